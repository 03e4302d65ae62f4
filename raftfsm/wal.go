package raftfsm

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"sync"

	"github.com/hashicorp/raft"

	"skein/runtime/seam/failpoint"
	"skein/runtime/seam/vfs"
)

// defaultSegment is the size of a segment file: reserved at once, so that a full
// disk shows when a file begins and never inside an append.
const defaultSegment = 8 << 20

const segmentSuffix = ".seg"

// segment is one file of the journal.
type segment struct {
	file vfs.File
	seq  uint64
	salt uint64
	end  int64 // where the next frame goes
	size int64 // reserved
	from uint64
	// records are the live entries, from index from on.
	records []position
}

// last is the index of the segment's last live entry; from-1 when there is none.
func (s *segment) last() uint64 { return s.from + uint64(len(s.records)) - 1 }

// wal is a sequence of log entries without gaps in segment files that only
// grow. One goroutine writes at a time (the store sees to it); reads may run
// beside it.
type wal struct {
	fs      vfs.FS
	dir     string
	reserve int64 // size of new segments
	// began is told the number of a segment that must exist from now on.
	began func(seq uint64) error

	mu       sync.RWMutex // guards what follows
	segments []*segment   // by seq; entries go into the last one
	first    uint64       // 0: empty
	final    uint64       // last index

	buf []byte // the writer's
}

func (j *wal) bounds() (first, last uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.first, j.final
}

// size is the bytes reserved on disk, and those of live entries.
func (j *wal) size() (reserved, live int64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segments {
		reserved += s.size
		if n := len(s.records); n > 0 {
			live += int64(s.records[n-1].offset+s.records[n-1].length) - int64(s.records[0].offset)
		}
	}
	return reserved, live
}

// read reads one entry. found is false where there is none of that index. What is there
// and is not what was written gives ErrLogDamaged; an error of the disk says nothing of it.
func (j *wal) read(index uint64, log *raft.Log) (commit uint64, found bool, err error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for i := len(j.segments) - 1; i >= 0; i-- {
		s := j.segments[i]
		if len(s.records) == 0 || index < s.from || index > s.last() {
			continue
		}
		at := s.records[index-s.from]
		b := make([]byte, at.length)
		if _, err = s.file.ReadAt(b, int64(at.offset)); errors.Is(err, io.EOF) {
			return 0, true, fmt.Errorf("%w: entry %d: %s ends inside it", ErrLogDamaged, index, j.name(s.seq))
		} else if err != nil {
			return 0, true, fmt.Errorf("entry %d: %w", index, err)
		}
		if commit, err = readRecord(index, b, log); err != nil {
			return 0, true, fmt.Errorf("%w: entry %d: %w", ErrLogDamaged, index, err)
		}
		return commit, true, nil
	}
	return 0, false, nil
}

// append makes entries durable that follow the last one; an empty journal takes
// any first index. On an error nothing has changed that a reader could see, and
// the same call may be made once more if the error was a lack of room.
func (j *wal) append(logs []*raft.Log, commit uint64) error {
	j.buf = j.buf[:0]
	return j.write(func(s *segment) ([]byte, []position) {
		var records []position
		j.buf, records = appendFrame(j.buf[:0], s.salt, s.end, logs, commit)
		return j.buf, records
	}, logs[0].Index)
}

// cut makes durable that the entries from first on are gone.
func (j *wal) cut(first uint64) error {
	return j.write(func(s *segment) ([]byte, []position) {
		return cutFrame(s.salt, s.end, first), nil
	}, first)
}

// write puts a frame at the end of the last segment, or of a new one where it
// does not fit.
func (j *wal) write(encode func(*segment) ([]byte, []position), first uint64) error {
	j.mu.RLock()
	var s *segment
	if n := len(j.segments); n > 0 {
		s = j.segments[n-1]
	}
	j.mu.RUnlock()
	if s == nil {
		s = &segment{size: segmentHeader, end: segmentHeader} // full: makes the first one
	}
	b, records := encode(s)
	if s.end+int64(len(b)) > s.size {
		var err error
		if s, err = j.roll(s.seq+1, int64(len(b))); err != nil {
			return err
		}
		b, records = encode(s)
	}
	if _, err := s.file.WriteAt(b, s.end); err != nil {
		return err
	}
	if err := failpoint.Hit("raftfsm/before-sync"); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	s.end += int64(len(b))
	j.add(s, frame{first: first, records: records})
	return nil
}

// add takes a frame of the last segment into the index. j.mu is held.
func (j *wal) add(s *segment, f frame) {
	if len(f.records) == 0 {
		j.dropFrom(f.first)
		return
	}
	if len(s.records) == 0 {
		s.from = f.first
	}
	s.records = append(s.records, f.records...)
	if j.first == 0 {
		j.first = f.first
	}
	j.final = s.last()
}

func (j *wal) dropFrom(first uint64) {
	for _, s := range j.segments {
		if len(s.records) > 0 && s.last() >= first {
			s.records = s.records[:max(first, s.from)-s.from]
		}
	}
	if first <= j.first {
		j.first, j.final = 0, 0
	} else {
		j.final = min(j.final, first-1)
	}
}

// roll makes the next segment, large enough for a frame of need bytes.
func (j *wal) roll(seq uint64, need int64) (*segment, error) {
	s := &segment{seq: seq, salt: rand.Uint64(), end: segmentHeader, size: max(j.reserve, segmentHeader+need)}
	if s.size > math.MaxUint32 {
		return nil, fmt.Errorf("append %d bytes: %w", need, ErrTooLarge)
	}
	name := j.name(seq)
	if err := s.create(j.fs, name); err != nil {
		return nil, err
	}
	if err := errors.Join(j.fs.SyncDir(j.dir), j.began(seq)); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments, s)
	return s, nil
}

func (s *segment) create(fsys vfs.FS, name string) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = f.Allocate(s.size)
	if errors.Is(err, errors.ErrUnsupported) { // a hole where nothing can be reserved
		err = f.Truncate(s.size)
	}
	if err == nil {
		_, err = f.WriteAt(encodeSegmentHeader(s.seq, s.salt), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Close(), fsys.Remove(name))
	}
	s.file = f
	return nil
}

// compact forgets entries up to index and removes the files that hold nothing
// else. Forgetting the last entry is made durable first: whatever comes next
// need not follow it.
func (j *wal) compact(index uint64) error {
	first, last := j.bounds()
	if first == 0 || index < first {
		return nil
	}
	if index >= last {
		// All, not from first on: compacted entries that share a file with live ones
		// are there again after a restart.
		if err := j.cut(0); err != nil {
			return err
		}
	}
	for _, s := range j.forget(index) {
		// One by one and in order: a gap in the sequence would be damage.
		err := errors.Join(s.file.Close(), j.fs.Remove(j.name(s.seq)), j.fs.SyncDir(j.dir))
		if err != nil {
			return err
		}
	}
	return nil
}

// forget drops entries up to index from the index of the journal and returns
// the segments to be removed.
func (j *wal) forget(index uint64) (dead []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.segments {
		if len(s.records) > 0 && s.from <= index {
			n := min(index+1-s.from, uint64(len(s.records)))
			s.records, s.from = s.records[n:], s.from+n
		}
	}
	if j.first != 0 {
		j.first = index + 1
	}
	for len(j.segments) > 1 && len(j.segments[0].records) == 0 {
		dead = append(dead, j.segments[0])
		j.segments = j.segments[1:]
	}
	return dead
}

func (j *wal) name(seq uint64) string {
	return path.Join(j.dir, fmt.Sprintf("%012d%s", seq, segmentSuffix))
}

func (j *wal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	for _, s := range j.segments {
		err = errors.Join(err, s.file.Close())
	}
	j.segments = nil
	return err
}
