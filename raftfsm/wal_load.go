package raftfsm

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// load reads every segment, and so verifies every entry. newest is the highest
// segment that is known to have existed.
func (j *wal) load(newest uint64) error {
	files, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return err
	}
	var seqs []uint64
	for _, file := range files {
		base, ok := strings.CutSuffix(file.Name(), segmentSuffix)
		if !ok {
			continue
		}
		seq, err := strconv.ParseUint(base, 10, 64)
		if err != nil {
			return fmt.Errorf("%w: segment file %q", ErrLogDamaged, file.Name())
		}
		if n := len(seqs); n > 0 && seq != seqs[n-1]+1 {
			return fmt.Errorf("%w: segment %d follows %d", ErrLogDamaged, seq, seqs[n-1])
		}
		seqs = append(seqs, seq)
	}
	for i, seq := range seqs {
		if err := j.loadSegment(seq, i == len(seqs)-1, newest); err != nil {
			return err
		}
	}
	if n := len(j.segments); newest > 0 && (n == 0 || j.segments[n-1].seq < newest) {
		return fmt.Errorf("%w: segment %d is missing", ErrLogDamaged, newest)
	}
	return nil
}

func (j *wal) loadSegment(seq uint64, last bool, newest uint64) error {
	name := j.name(seq)
	b, err := j.fs.ReadFile(name)
	if err != nil {
		return err
	}
	found, salt, err := decodeSegmentHeader(b)
	switch {
	case errors.Is(err, ErrUnreadable):
		return fmt.Errorf("%s: %w", name, err)
	case err == nil && found != seq, err != nil && !(last && seq > newest):
		return fmt.Errorf("%w: %s: %w", ErrLogDamaged, name, errors.Join(err, fmt.Errorf("segment %d was expected", seq)))
	case err != nil: // its creation was interrupted and nothing was ever put in
		return errors.Join(j.fs.Remove(name), j.fs.SyncDir(j.dir))
	}
	frames, end, torn, err := scanFrames(b, salt)
	if err != nil || torn && !last {
		return fmt.Errorf("%w: %s: %w", ErrLogDamaged, name, errors.Join(err, fmt.Errorf("sound up to offset %d", end)))
	}
	s := &segment{seq: seq, salt: salt, end: end, size: int64(len(b))}
	if s.file, err = j.fs.OpenFile(name, os.O_RDWR, 0); err != nil {
		return err
	}
	j.segments = append(j.segments, s)
	if torn {
		if err := s.trim(); err != nil {
			return err
		}
	}
	for _, f := range frames {
		if len(f.records) > 0 && j.first != 0 && f.first != j.final+1 {
			return fmt.Errorf("%w: %s: entry %d follows %d", ErrLogDamaged, name, f.first, j.final)
		}
		j.add(s, f)
	}
	return nil
}

// trim removes what an interrupted append left, so that it is never read as the
// rest of a later one.
func (s *segment) trim() error {
	if err := s.file.Truncate(s.end); err != nil {
		return err
	}
	if err := s.file.Allocate(s.size); err != nil {
		s.size = s.end // no room: the next append begins a new file
	}
	return s.file.Sync()
}
