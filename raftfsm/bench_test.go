package raftfsm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"skein/runtime/vfs"
)

// benchEntry is about what one small command takes.
const benchEntry = 256

// BenchmarkFloor is the least a durable append can cost here: write and
// fdatasync of the same bytes into a file whose room is reserved.
func BenchmarkFloor(b *testing.B) {
	f, err := vfs.OS.OpenFile(filepath.Join(b.TempDir(), "floor"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Allocate(defaultSegment); err != nil {
		b.Fatal(err)
	}
	data, at := make([]byte, benchEntry), int64(0)
	for b.Loop() {
		if at+benchEntry > defaultSegment {
			at = 0
		}
		if _, err := f.WriteAt(data, at); err != nil {
			b.Fatal(err)
		}
		at += benchEntry
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStoreAppend is one durable append of one entry.
func BenchmarkStoreAppend(b *testing.B) {
	cfg := storeOn(vfs.OS, b.TempDir())
	cfg.reserve = defaultSegment
	s, err := openStore(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	data, index := make([]byte, benchEntry), uint64(0)
	for b.Loop() {
		index++
		if err := s.StoreLogs([]*raft.Log{{Index: index, Term: 1, Data: data}}); err != nil {
			b.Fatal(err)
		}
	}
}
