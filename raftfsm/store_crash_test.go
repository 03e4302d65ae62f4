package raftfsm

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"skein/runtime/seam/vfs"
)

// crashed opens what is left of a store's folder after a power loss now.
func crashed(t testing.TB, s *store) *store {
	t.Helper()
	mem := s.fs.(*vfs.Mem)
	mem.Crash()
	again, err := openStore(storeOn(mem, s.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	return again
}

// model is what a store must hold: the terms of entries, by index, and the vote.
type model struct {
	first, last uint64
	terms       map[uint64]uint64
	commit      uint64
	vote        uint64
}

// step does one random thing to a store. It returns what the store may hold
// afterwards: all of after when err is nil, else either.
func step(random *rand.Rand, s *store, before model) (after model, err error) {
	after = before
	after.terms = map[uint64]uint64{}
	for k, v := range before.terms {
		after.terms[k] = v
	}
	switch what := random.IntN(10); {
	case what < 6:
		from, n, term := before.last+1, 1+random.Uint64N(8), 1+random.Uint64N(1000)
		if before.last == 0 {
			from = 1 + random.Uint64N(50)
			after.first = from
		}
		logs := entries(term, from, from+n-1)
		for _, log := range logs {
			log.Data = append(log.Data, make([]byte, random.IntN(900))...)
			after.terms[log.Index] = term
		}
		after.last = from + n - 1
		if before.last != 0 {
			after.commit = max(before.commit, before.last)
			_ = s.StageCommitIndex(after.commit)
		}
		return after, s.StoreLogs(logs)
	case what == 6 && before.last > before.first:
		cut := before.first + 1 + random.Uint64N(before.last-before.first)
		after.last = cut - 1
		return after, s.DeleteRange(cut, before.last)
	case what == 7 && before.last > 0:
		to := before.first + random.Uint64N(before.last-before.first+1)
		after.first = to + 1
		if to == before.last {
			after.first, after.last = 0, 0
		}
		return after, s.DeleteRange(before.first, to)
	default:
		after.vote++
		return after,
			errors.Join(s.SetUint64([]byte(keyVoteTerm), after.vote),
				s.Set([]byte(keyVoteFor), strconv.AppendUint(nil, after.vote, 10)))
	}
}

// holds reports why a store does not hold a model. Compacted entries may be back.
func (m model) holds(s *store) error {
	first, last := s.wal.bounds()
	if last != m.last || first > m.first || m.last == 0 && first != 0 {
		return fmt.Errorf("entries %d to %d, want %d to %d", first, last, m.first, m.last)
	}
	for index := m.first; index != 0 && index <= m.last; index++ {
		var log raft.Log
		if _, found, err := s.wal.read(index, &log); err != nil || !found || log.Term != m.terms[index] {
			return fmt.Errorf("entry %d: found %v, term %d, want %d (%v)", index, found, log.Term, m.terms[index], err)
		}
	}
	if term, candidate := s.stable.VoteTerm, string(s.stable.VoteFor); term != m.vote || term != 0 &&
		candidate != strconv.FormatUint(m.vote, 10) {
		return fmt.Errorf("vote %d for %q, want %d", term, candidate, m.vote)
	}
	return nil
}

// TestAcknowledgedWritesSurviveAPowerLossAtAnyCall runs random histories; each
// ends at a random call of the file system, after which any part of what was
// not synced may be there. What was acknowledged must be, what was not may be,
// and damage must never be seen: a power loss is not damage.
func TestAcknowledgedWritesSurviveAPowerLossAtAnyCall(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SKEIN_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("SKEIN_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	rounds := 1500
	if testing.Short() {
		rounds = 150
	}
	interrupted, kept := 0, 0
	for round := range rounds {
		mem := vfs.NewMem()
		state := model{}
		for life := range 4 {
			s, err := openStore(storeOn(mem, "/log"))
			if err != nil {
				t.Fatalf("round %d, life %d: %v", round, life, err)
			}
			if first, _ := s.wal.bounds(); first < state.first {
				state.first = first // compacted entries are back
			}
			mem.StopAt(1 + random.IntN(60))
			var after model
			for err == nil {
				after, err = step(random, s, state)
				if err == nil {
					state = after
				}
			}
			interrupted++
			mem.CrashKeeping(func() bool { return random.IntN(2) == 0 })
			if s, err = openStore(storeOn(mem, "/log")); err != nil {
				t.Fatalf("round %d, life %d: after a power loss: %v", round, life, err)
			}
			if errBefore := state.holds(s); errBefore != nil {
				if errAfter := after.holds(s); errAfter != nil {
					t.Fatalf("round %d, life %d: neither what was acknowledged (%v) nor what was under way (%v)", round, life,
						errBefore, errAfter)
				}
				state = after
				kept++
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kept == 0 || kept == interrupted {
		t.Errorf("of %d interrupted writes %d were kept: the test sees only one side", interrupted, kept)
	}
}

// TestChildThatAppends is not a test: it is the process that the next one kills.
func TestChildThatAppends(t *testing.T) {
	dir := os.Getenv("SKEIN_TEST_APPEND_TO")
	if dir == "" {
		t.Skip("only run by TestAcknowledgedEntriesSurviveSIGKILL")
	}
	s, err := openStore(storeOn(vfs.OS, dir))
	if err != nil {
		t.Fatal(err)
	}
	_, last := s.wal.bounds()
	for index := last + 1; ; index += 3 {
		_ = s.StageCommitIndex(index)
		if err := s.StoreLogs(entries(index, index, index+2)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.SetUint64([]byte(keyVoteTerm), index),
			s.Set([]byte(keyVoteFor), []byte(strconv.FormatUint(index, 10)))); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("acknowledged %d\n", index)
	}
}

func TestAcknowledgedEntriesSurviveSIGKILL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	for round := range 5 {
		acknowledged := appendUntilKilled(t, dir, 50*time.Millisecond+time.Duration(round)*7*time.Millisecond)
		s, err := openStore(storeOn(vfs.OS, dir))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if _, last := s.wal.bounds(); last < acknowledged+2 {
			t.Fatalf("round %d: entry %d was acknowledged, the log ends at %d", round, acknowledged+2, last)
		}
		commit, err := s.committed()
		if err != nil || commit < acknowledged {
			t.Fatalf("round %d: commit index %d (%v), acknowledged %d", round, commit, err, acknowledged)
		}
		term, candidate := s.stable.VoteTerm, s.stable.VoteFor
		if strconv.FormatUint(term, 10) != string(candidate) || term < acknowledged {
			t.Fatalf("round %d: vote %d for %q, acknowledged %d", round, term, candidate, acknowledged)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// appendUntilKilled runs the child for a while after its first acknowledgement
// and returns the last index it acknowledged.
func appendUntilKilled(t *testing.T, dir string, run time.Duration) (acknowledged uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildThatAppends$", "-test.v")
	cmd.Env = append(os.Environ(), "SKEIN_TEST_APPEND_TO="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "acknowledged ")
		if !ok {
			continue
		}
		if acknowledged == 0 {
			time.AfterFunc(run, func() { _ = cmd.Process.Kill() })
		}
		if acknowledged, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the child ended by itself")
	}
	if acknowledged == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return acknowledged
}
