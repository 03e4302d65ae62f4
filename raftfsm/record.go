package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// recordVersion is the first byte of every stored log entry.
const recordVersion = 1

// recordHeader is the version byte and the checksum.
const recordHeader = 5

// castagnoli has hardware support and is what ext4 and iSCSI use.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errRecord = errors.New("record is damaged")

// A record is a log entry as it is stored under its index:
//
//	byte     version
//	4 bytes  crc32c of the index (8 bytes, big endian) and all that follows
//	uvarint  commit: the commit index known when the entry was written
//	uvarint  term
//	byte     type
//	varint   appended at, unix nanoseconds; 0 for none
//	uvarint  length of extensions, and they
//	         data
//
// The index is under the checksum, so an intact record in the wrong place is
// found. The commit index rides along: it costs no page of its own, is written
// atomically with the entry, and can never lie above the last one.
func appendRecord(b []byte, log *raft.Log, commit uint64) []byte {
	start := len(b)
	b = append(b, recordVersion, 0, 0, 0, 0)
	b = binary.AppendUvarint(b, commit)
	b = binary.AppendUvarint(b, log.Term)
	b = append(b, byte(log.Type))
	b = binary.AppendVarint(b, unixNano(log.AppendedAt))
	b = binary.AppendUvarint(b, uint64(len(log.Extensions)))
	b = append(b, log.Extensions...)
	b = append(b, log.Data...)
	binary.BigEndian.PutUint32(b[start+1:], recordSum(log.Index, b[start+recordHeader:]))
	return b
}

func recordSum(index uint64, body []byte) uint32 {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], index)
	return crc32.Update(crc32.Update(0, castagnoli, key[:]), castagnoli, body)
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// readRecord reads the record stored at index. The entry shares no memory with b.
func readRecord(index uint64, b []byte, log *raft.Log) (commit uint64, err error) {
	if len(b) < recordHeader {
		return 0, fmt.Errorf("entry %d has %d bytes: %w", index, len(b), errRecord)
	}
	if b[0] != recordVersion {
		return 0, fmt.Errorf("entry %d has record version %d, want %d: %w", index, b[0], recordVersion, errRecord)
	}
	body := b[recordHeader:]
	if want, got := binary.BigEndian.Uint32(b[1:]), recordSum(index, body); want != got {
		return 0, fmt.Errorf("entry %d has checksum %08x, want %08x: %w", index, got, want, errRecord)
	}
	r := reader{b: body}
	commit = r.uvarint()
	term := r.uvarint()
	kind := r.byte()
	appended := r.varint()
	extensions := r.take(r.uvarint())
	if r.bad {
		return 0, fmt.Errorf("entry %d ends early: %w", index, errRecord)
	}
	*log = raft.Log{Index: index, Term: term, Type: raft.LogType(kind), Data: clone(r.b), Extensions: clone(extensions)}
	if appended != 0 {
		log.AppendedAt = time.Unix(0, appended)
	}
	return commit, nil
}

// clone copies, keeping empty as nil.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// reader takes values off the front of b; bad is set once and for all when
// there are not enough bytes.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	r.skip(n)
	return v
}

func (r *reader) skip(n int) {
	if n <= 0 {
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
}

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
