package raftfsm

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

var sampleLog = raft.Log{
	Index: 812, Term: 7, Type: raft.LogConfiguration,
	Data: []byte("data"), Extensions: []byte("ext"), AppendedAt: time.Unix(1_700_000_000, 42),
}

func TestRecordsSurviveARoundTrip(t *testing.T) {
	for name, log := range map[string]raft.Log{
		"an entry with everything": sampleLog,
		"an entry with nothing":    {Index: 1},
		"a large entry":            {Index: 1 << 60, Term: 1 << 50, Data: bytes.Repeat([]byte("x"), 1<<16)},
	} {
		t.Run(name, func(t *testing.T) {
			var got raft.Log
			commit, err := readRecord(log.Index, appendRecord(nil, &log, 99), &got)
			if err != nil || commit != 99 {
				t.Fatalf("commit %d, %v", commit, err)
			}
			if diff := cmp.Diff(log, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryFlippedBitAndEveryCutIsFound(t *testing.T) {
	whole := appendRecord(nil, &sampleLog, 800)
	var log raft.Log
	for i := range whole {
		for bit := range 8 {
			bad := bytes.Clone(whole)
			bad[i] ^= 1 << bit
			if _, err := readRecord(sampleLog.Index, bad, &log); !errors.Is(err, errRecord) {
				t.Fatalf("byte %d bit %d flipped: %v", i, bit, err)
			}
		}
		if _, err := readRecord(sampleLog.Index, whole[:i], &log); !errors.Is(err, errRecord) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := readRecord(sampleLog.Index+1, whole, &log); !errors.Is(err, errRecord) {
		t.Errorf("an intact record under another index: %v", err)
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add(uint64(812), appendRecord(nil, &sampleLog, 800))
	f.Add(uint64(1), appendRecord(nil, &raft.Log{Index: 1}, 0))
	f.Add(uint64(0), []byte{recordVersion})
	f.Fuzz(func(t *testing.T, index uint64, b []byte) {
		var log raft.Log
		commit, err := readRecord(index, b, &log)
		if err != nil {
			if !errors.Is(err, errRecord) {
				t.Fatalf("error without the sentinel: %v", err)
			}
			return
		}
		var again raft.Log
		if c, err := readRecord(index, appendRecord(nil, &log, commit), &again); err != nil || c != commit {
			t.Fatalf("what was read cannot be written again: %v", err)
		}
	})
}

// FuzzReadRecordBody gets past the checksum, so that the fields behind it are
// fuzzed too.
func FuzzReadRecordBody(f *testing.F) {
	f.Add(uint64(812), appendRecord(nil, &sampleLog, 800)[recordHeader:])
	f.Fuzz(func(t *testing.T, index uint64, body []byte) {
		b := append([]byte{recordVersion, 0, 0, 0, 0}, body...)
		sum := recordSum(index, body)
		b[1], b[2], b[3], b[4] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
		var log raft.Log
		if _, err := readRecord(index, b, &log); err == nil && len(log.Data)+len(log.Extensions) > len(body) {
			t.Fatalf("%d bytes became %d", len(body), len(log.Data)+len(log.Extensions))
		}
	})
}
