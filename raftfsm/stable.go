package raftfsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/failpoint"
	"skein/runtime/seam/vfs"
)

// The library's keys (raft.go, unexported there). It uses no others.
const (
	keyCurrentTerm = "CurrentTerm"
	keyVoteTerm    = "LastVoteTerm"
	keyVoteFor     = "LastVoteCand"
)

const stableMagic = "skeinst1"

var (
	errStable = errors.New("damaged stable file")
	errKey    = errors.New("unknown stable key")
)

// stable is what must survive besides the log. It is one small file, replaced
// whole, so that no two of its values can disagree after a crash.
type stable struct {
	ID       fleet.RaftID // whose log this is
	Newest   uint64       // number of a segment that must exist; 0 before the first
	Term     uint64
	VoteTerm uint64
	VoteFor  []byte // nil: never voted
}

// encode is magic, crc32c u32 of the rest, then length and ID, the three
// numbers, and 0, or 1 and the candidate.
func (v *stable) encode() []byte {
	b := append([]byte(stableMagic), 0, 0, 0, 0)
	b = binary.AppendUvarint(b, uint64(len(v.ID)))
	b = append(b, v.ID...)
	for _, n := range []uint64{v.Newest, v.Term, v.VoteTerm} {
		b = binary.AppendUvarint(b, n)
	}
	if v.VoteFor == nil {
		b = append(b, 0)
	} else {
		b = append(append(b, 1), v.VoteFor...)
	}
	binary.LittleEndian.PutUint32(b[len(stableMagic):], crc32.Checksum(b[len(stableMagic)+4:], castagnoli))
	return b
}

func decodeStable(b []byte) (stable, error) {
	const header = len(stableMagic) + 4
	if len(b) < header || string(b[:len(stableMagic)]) != stableMagic {
		return stable{}, errStable
	}
	if binary.LittleEndian.Uint32(b[len(stableMagic):]) != crc32.Checksum(b[header:], castagnoli) {
		return stable{}, fmt.Errorf("%w: checksum", errStable)
	}
	r := reader{b: b[header:]}
	v := stable{ID: fleet.RaftID(r.take(r.uvarint())), Newest: r.uvarint(), Term: r.uvarint(), VoteTerm: r.uvarint()}
	if r.byte() == 1 {
		v.VoteFor = append([]byte{}, r.b...)
	}
	if r.bad {
		return stable{}, fmt.Errorf("%w: ends early", errStable)
	}
	return v, nil
}

// SetUint64 implements raft.StableStore. The term of a vote is only held: the
// library writes term and candidate apart, and a crash between the two would
// leave a new term with an old candidate, who would then be granted a vote he
// did not win (hashicorp/raft issue 661). The library panics when the current
// term cannot be written; its goroutine ends instead.
func (s *store) SetUint64(key []byte, value uint64) error {
	switch string(key) {
	case keyVoteTerm:
		s.mu.Lock()
		s.voteTerm, s.votePending = value, true
		s.mu.Unlock()
		return failpoint.Hit("raftfsm/between-vote-writes")
	case keyCurrentTerm:
		err := s.setStable("write the term", func(v *stable) { v.Term = value })
		if err != nil {
			endGoroutine()
		}
		return err
	}
	return fmt.Errorf("%w %q", errKey, key)
}

// Set implements raft.StableStore. The candidate of a vote takes the term held
// with it, in one write.
func (s *store) Set(key, value []byte) error {
	if string(key) != keyVoteFor {
		return fmt.Errorf("%w %q", errKey, key)
	}
	s.mu.Lock()
	term, pending := s.voteTerm, s.votePending
	s.votePending = false
	s.mu.Unlock()
	if !pending {
		return fmt.Errorf("vote for %q: its term was not given first", value)
	}
	return s.setStable("write a vote", func(v *stable) { v.VoteTerm, v.VoteFor = term, append([]byte{}, value...) })
}

// GetUint64 implements raft.StableStore; 0 when there is none.
func (s *store) GetUint64(key []byte) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch string(key) {
	case keyVoteTerm:
		return s.stable.VoteTerm, nil
	case keyCurrentTerm:
		return s.stable.Term, nil
	}
	return 0, fmt.Errorf("%w %q", errKey, key)
}

// Get implements raft.StableStore; nil when there is none, which the library
// tests for.
func (s *store) Get(key []byte) ([]byte, error) {
	if string(key) != keyVoteFor {
		return nil, fmt.Errorf("%w %q", errKey, key)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stable.VoteFor, nil
}

// forgetFirstTerm undoes the first half of a bootstrap that a crash cut off
// before its configuration: the library then takes the log for used. Only where
// nothing was ever stored or voted, so that nothing is forgotten.
func (s *store) forgetFirstTerm() error {
	_, last := s.wal.bounds()
	s.mu.RLock()
	cut := last == 0 && s.stable.Term == 1 && s.stable.VoteFor == nil && s.covered.Load().index == 0
	s.mu.RUnlock()
	if !cut {
		return nil
	}
	return s.setStable("begin the bootstrap anew", func(v *stable) { v.Term = 0 })
}

// setStable changes the stable file.
func (s *store) setStable(op string, change func(*stable)) error {
	return s.write(op, func() error { return s.putStable(change) })
}

// putStable is setStable for a caller that is inside write.
func (s *store) putStable(change func(*stable)) error {
	s.mu.RLock()
	next := s.stable
	s.mu.RUnlock()
	change(&next)
	if err := vfs.WriteFileAtomic(s.fs, s.stablePath(), next.encode(), 0o600); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stable = next
	return nil
}
