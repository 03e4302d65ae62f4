package raftfsm

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"

	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

const testID = "h-0000000000000001.1"

// Segments are small, so that every test crosses many.
const testSegment = 2 << 10

func storeOn(fsys vfs.FS, dir string) storeConfig {
	return storeConfig{fs: fsys, dir: dir, id: testID, clock: clock.System(), reserve: testSegment,
		ballast: &ballast{fs: fsys}}
}

func newStore(t testing.TB, change ...func(*storeConfig)) *store {
	t.Helper()
	cfg := storeOn(vfs.NewMem(), "/log")
	for _, c := range change {
		c(&cfg)
	}
	s, err := openStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen closes a store and opens its folder again.
func reopen(t testing.TB, s *store) *store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openStore(storeOn(s.fs, s.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

func entries(term, from, to uint64) []*raft.Log {
	var logs []*raft.Log
	for index := from; index <= to; index++ {
		logs = append(logs, &raft.Log{Index: index, Term: term, Data: fmt.Appendf(nil, "t%d i%d", term, index)})
	}
	return logs
}

func mustStore(t testing.TB, s *store, logs []*raft.Log) {
	t.Helper()
	if err := s.StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
}

func bounds(t testing.TB, s *store) [2]uint64 {
	t.Helper()
	first, err1 := s.FirstIndex()
	last, err2 := s.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return [2]uint64{first, last}
}

func TestTheLogKeepsItsBoundsThroughChangesAndReopening(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *store) error
		want   [2]uint64
	}{
		{"nothing changed", func(*store) error { return nil }, [2]uint64{1, 3000}},
		{"a prefix is compacted over several files", func(s *store) error { return s.DeleteRange(1, 2500) },
			[2]uint64{2501, 3000}},
		{"a prefix is asked for from below the first", func(s *store) error { return s.DeleteRange(0, 10) },
			[2]uint64{11, 3000}},
		{"a conflicting suffix goes over several files", func(s *store) error { return s.DeleteRange(500, 3000) },
			[2]uint64{1, 499}},
		{"a suffix is asked for past the last", func(s *store) error { return s.DeleteRange(2999, 9000) },
			[2]uint64{1, 2998}},
		{"everything goes", func(s *store) error { return s.DeleteRange(1, 3000) }, [2]uint64{0, 0}},
		{"everything goes, then the log begins again elsewhere", func(s *store) error {
			return errors.Join(s.DeleteRange(1, 3000), s.StoreLogs(entries(2, 9001, 9002)))
		}, [2]uint64{9001, 9002}},
		{"a suffix is replaced", func(s *store) error {
			return errors.Join(s.DeleteRange(2990, 3000), s.StoreLogs(entries(2, 2990, 2991)))
		}, [2]uint64{1, 2991}},
		{"a jump forward drops what a snapshot covers", func(s *store) error { return s.StoreLogs(entries(2, 5000, 5001)) },
			[2]uint64{5000, 5001}},
		{"an empty range changes nothing", func(s *store) error { return s.DeleteRange(10, 9) }, [2]uint64{1, 3000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStore(t)
			mustStore(t, s, entries(1, 1, 3000))
			if err := tc.change(s); err != nil {
				t.Fatal(err)
			}
			if got := bounds(t, s); got != tc.want {
				t.Errorf("bounds %v, want %v", got, tc.want)
			}
			// Compacted entries may come back with the file they share with live ones.
			s = reopen(t, s)
			if got := bounds(t, s); got[1] != tc.want[1] || got[0] > tc.want[0] || tc.want[0] == 0 && got[0] != 0 {
				t.Errorf("bounds after reopening %v, want %v", got, tc.want)
			}
			for index := tc.want[0]; index != 0 && index <= tc.want[1]; index++ {
				var log raft.Log
				if err := s.GetLog(index, &log); err != nil || log.Index != index {
					t.Fatalf("entry %d: %+v, %v", index, log, err)
				}
			}
			var log raft.Log
			if err := s.GetLog(tc.want[1]+1, &log); !errors.Is(err, raft.ErrLogNotFound) {
				t.Errorf("past the end: %v", err)
			}
		})
	}
}

func TestTheLogRefusesGapsAndOverwrites(t *testing.T) {
	s := newStore(t)
	mustStore(t, s, entries(1, 1, 10))
	for name, err := range map[string]error{
		"an overwrite":             s.StoreLogs(entries(2, 10, 11)),
		"a gap inside one append":  s.StoreLogs([]*raft.Log{{Index: 11}, {Index: 13}}),
		"a hole cut in the middle": s.DeleteRange(4, 6),
	} {
		if err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if err := s.Err(); err != nil {
		t.Errorf("a refusal failed the store: %v", err)
	}
	if got := bounds(t, s); got != [2]uint64{1, 10} {
		t.Errorf("bounds %v", got)
	}
}

func TestEntriesReadTheSameFromMemoryAndFromDisk(t *testing.T) {
	s := newStore(t)
	want := raft.Log{Index: 1, Term: 3, Type: raft.LogConfiguration, Data: []byte("d"), Extensions: []byte("e"),
		AppendedAt: time.Unix(0, 1_700_000_000_000_000_001)}
	mustStore(t, s, []*raft.Log{&want})
	for _, s := range []*store{s, reopen(t, s)} {
		var got raft.Log
		if err := s.GetLog(1, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTheMemoryOfRecentEntriesIsBoundedAndTrue(t *testing.T) {
	s := newStore(t)
	mustStore(t, s, entries(1, 1, 3*maxRecent))
	if n := len(s.recent.logs); n != maxRecent {
		t.Errorf("%d entries are kept, want %d", n, maxRecent)
	}
	big := entries(1, 3*maxRecent+1, 3*maxRecent+5)
	for _, log := range big {
		log.Data = make([]byte, maxRecentBytes/3)
	}
	mustStore(t, s, big)
	if s.recent.bytes > maxRecentBytes {
		t.Errorf("%d bytes are kept, want at most %d", s.recent.bytes, maxRecentBytes)
	}
	// A suffix replaced by another term must not be answered from memory.
	last := uint64(3*maxRecent + 5)
	if err := s.DeleteRange(last, last); err != nil {
		t.Fatal(err)
	}
	mustStore(t, s, entries(9, last, last))
	var log raft.Log
	if err := s.GetLog(last, &log); err != nil || log.Term != 9 {
		t.Errorf("entry %d has term %d, %v", last, log.Term, err)
	}
}

func TestTheCommitIndexIsPersistedWithTheNextAppend(t *testing.T) {
	s := newStore(t)
	committed := func(s *store) uint64 {
		t.Helper()
		index, err := s.committed()
		if err != nil {
			t.Fatal(err)
		}
		return index
	}
	if got := committed(s); got != 0 {
		t.Errorf("an empty log has commit index %d", got)
	}
	mustStore(t, s, entries(1, 1, 5))
	_ = s.StageCommitIndex(4)
	if got := committed(s); got != 0 {
		t.Errorf("commit index %d before any append carried it", got)
	}
	mustStore(t, s, entries(1, 6, 7))
	s = reopen(t, s)
	if got := committed(s); got != 4 {
		t.Errorf("commit index %d after reopening, want 4", got)
	}
	_ = s.StageCommitIndex(1000)
	mustStore(t, s, entries(1, 8, 9))
	if got := committed(s); got != 9 {
		t.Errorf("commit index %d, want the last entry 9", got)
	}
	if err := s.DeleteRange(9, 9); err != nil {
		t.Fatal(err)
	}
	if got := committed(s); got != 8 {
		t.Errorf("commit index %d after cutting the end, want 8", got)
	}
	if got, err := s.GetCommitIndex(); got != 0 || err != nil {
		t.Errorf("the library is told %d, %v; it must not replay by itself", got, err)
	}
}

func TestATermAndItsCandidateAreOneVote(t *testing.T) {
	s := newStore(t)
	vote := func(s *store) string {
		t.Helper()
		term, err1 := s.GetUint64([]byte(keyVoteTerm))
		candidate, err2 := s.Get([]byte(keyVoteFor))
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d for %q", term, candidate)
	}
	if candidate, _ := s.Get([]byte(keyVoteFor)); candidate != nil {
		t.Error("no vote must read as nil: the library tests for it")
	}
	cast := func(s *store, term uint64, candidate string) {
		t.Helper()
		if err := errors.Join(s.SetUint64([]byte(keyVoteTerm), term),
			s.Set([]byte(keyVoteFor), []byte(candidate))); err != nil {
			t.Fatal(err)
		}
	}
	cast(s, 5, "alice")
	// A crash between the two calls leaves the old vote whole, never 6 for alice.
	if err := s.SetUint64([]byte(keyVoteTerm), 6); err != nil {
		t.Fatal(err)
	}
	s = crashed(t, s)
	if got := vote(s); got != `5 for "alice"` {
		t.Errorf("after a crash between the calls: vote %s", got)
	}
	cast(s, 6, "bob")
	s = crashed(t, s)
	if got := vote(s); got != `6 for "bob"` {
		t.Errorf("after both calls: vote %s", got)
	}
	if err := s.Set([]byte(keyVoteFor), []byte("carol")); err == nil {
		t.Error("a candidate without a term was accepted")
	}
}

func TestTheTermSurvivesReopening(t *testing.T) {
	s := newStore(t)
	if n, err := s.GetUint64([]byte(keyCurrentTerm)); n != 0 || err != nil {
		t.Errorf("no term yet: %d, %v", n, err)
	}
	if err := s.SetUint64([]byte(keyCurrentTerm), 1<<40); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s)
	if n, err := s.GetUint64([]byte(keyCurrentTerm)); n != 1<<40 || err != nil {
		t.Errorf("term %d, %v", n, err)
	}
}

func TestUnknownStableKeysAreRefused(t *testing.T) {
	s := newStore(t)
	_, err1 := s.Get([]byte("Other"))
	_, err2 := s.GetUint64([]byte("Other"))
	for name, err := range map[string]error{
		"Get": err1, "GetUint64": err2,
		"Set": s.Set([]byte("Other"), nil), "SetUint64": s.SetUint64([]byte("Other"), 1),
	} {
		if !errors.Is(err, errKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
