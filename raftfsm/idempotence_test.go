package raftfsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// entryAt is an entry as the library hands it to the machine.
func entryAt(t *testing.T, index uint64, items ...fleet.Item) *raft.Log {
	t.Helper()
	data, err := wire.EncodeEntry(fleet.Entry{At: fleet.Time(1000 * index), Items: items})
	must(t, err)
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
}

func snapshotOf(t *testing.T, s *fleet.State) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, wire.WriteState(&b, s))
	return b.Bytes()
}

// aMachine has applied the making of a fleet and three tokens, at 1 to 4.
func aMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(func(err error) { t.Errorf("the machine failed: %v", err) })
	h := &host{id: "h-0000000000000001", n: 1}
	m.Apply(entryAt(t, 1, initFleet(h)))
	for i := uint64(2); i <= 4; i++ {
		m.Apply(entryAt(t, i, token(fmt.Sprint("t", i))))
	}
	return m
}

func TestAnEntryThatStateHoldsIsNotAppliedAgain(t *testing.T) {
	for _, index := range []uint64{2, 4} {
		t.Run(fmt.Sprintf("entry %d of 4", index), func(t *testing.T) {
			m := aMachine(t)
			before := snapshotOf(t, m.published.Load())
			m.notify.add(func(index uint64, _ fleet.Touched) { t.Errorf("%d is told again", index) })
			if answer := m.Apply(entryAt(t, index, fleet.Item{Command: fleet.DeleteToken{ID: "t3"}})); answer != nil {
				t.Errorf("it was answered %v", answer)
			}
			if after := snapshotOf(t, m.published.Load()); !bytes.Equal(before, after) {
				t.Errorf("State at %d has changed", m.published.Load().Index())
			}
			if got := m.applied.Load(); got != 4 {
				t.Errorf("applied is %d", got)
			}
		})
	}
}

func TestAnOlderSnapshotDoesNotReplaceANewerState(t *testing.T) {
	older := aMachine(t)
	old := snapshotOf(t, older.published.Load())
	m := aMachine(t)
	m.Apply(entryAt(t, 5, token("t5")))
	before := snapshotOf(t, m.published.Load())
	m.notify.add(func(index uint64, _ fleet.Touched) { t.Errorf("%d is told", index) })
	must(t, m.Restore(io.NopCloser(bytes.NewReader(old))))
	if !bytes.Equal(before, snapshotOf(t, m.published.Load())) || m.live.Index() != 5 {
		t.Errorf("State is of %d now", m.live.Index())
	}
	older.Apply(entryAt(t, 6, token("t6")))
	m.notify = subscribers{}
	must(t, m.Restore(io.NopCloser(bytes.NewReader(snapshotOf(t, older.published.Load())))))
	if got := m.published.Load().Index(); got != 6 {
		t.Errorf("a newer snapshot leaves State at %d", got)
	}
}

func TestAProposalAnsweredNotSentIsNeverSent(t *testing.T) {
	faults := newFaulty()
	inCluster(t, 1, faults.config, func(t *testing.T, c *cluster) {
		h := c.hosts[0]
		release := make(chan struct{})
		faults.set(h, func() error { <-release; return nil })
		for i := range 2 * maxInFlight { // each an entry of its own, until no more may be under way
			go func() { _ = h.propose(fmt.Sprint("under-way-", i)) }()
			time.Sleep(2 * gatherFor)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err := h.node.Propose(ctx, []fleet.Item{token("late")})
		if !errors.Is(err, ErrStalled) || !NotDone(err) {
			t.Fatalf("got %v, want that it was not sent", err)
		}
		close(release)
		must(t, h.propose("after"))
		time.Sleep(time.Second)
		if has(h.node.State(), "late") {
			t.Error("it was said not to be sent, and it is done")
		}
		if !has(h.node.State(), "under-way-0") {
			t.Error("what was under way is not done")
		}
	})
}
