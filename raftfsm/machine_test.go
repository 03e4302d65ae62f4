package raftfsm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/clock"
)

// testMachine is a machine that may not fail, with a fleet at index 1.
func testMachine(t *testing.T) *machine {
	t.Helper()
	m := newMachine(func(err error) { t.Errorf("the machine failed: %v", err) })
	m.Apply(commandAt(t, 1, initFleet(&host{id: "h-0000000000000001", n: 1})))
	return m
}

func commandAt(t *testing.T, index uint64, item fleet.Item) *raft.Log {
	t.Helper()
	data, err := wire.EncodeEntry(fleet.Entry{At: 1_767_355_200_000, Items: []fleet.Item{item}})
	if err != nil {
		t.Fatal(err)
	}
	return &raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: data}
}

func snapshotOf(t *testing.T, s *fleet.State) io.ReadCloser {
	t.Helper()
	var b bytes.Buffer
	if err := wire.WriteState(&b, s); err != nil {
		t.Fatal(err)
	}
	return io.NopCloser(&b)
}

func TestAnEntryIsAppliedOnce(t *testing.T) {
	m := testMachine(t)
	told := 0
	m.notify.add(func(uint64, fleet.ChangeSet) { told++ })
	first := m.Apply(commandAt(t, 2, token("once")))
	if out, ok := first.(fleet.Outcome); !ok || out.Results[0].Err != nil {
		t.Fatalf("the entry gave %v", first)
	}
	// The library hands in again what Open has applied, up to the very last entry.
	for _, index := range []uint64{1, 2} {
		if again := m.Apply(commandAt(t, index, token("again"))); again != nil {
			t.Errorf("index %d again gave %v", index, again)
		}
	}
	if got := m.published.Load(); has(got, "again") || !has(got, "once") || got.Index() != 2 {
		t.Errorf("State at %d has %v", got.Index(), tokens(got))
	}
	if told != 1 {
		t.Errorf("subscribers were told of %d entries, want 1", told)
	}
	if next := m.Apply(commandAt(t, 3, token("next"))); next == nil || !has(m.published.Load(), "next") {
		t.Errorf("the next entry gave %v", next)
	}
}

func TestASnapshotNeverReplacesANewerState(t *testing.T) {
	older := testMachine(t)
	older.Apply(commandAt(t, 2, token("a")))
	same := testMachine(t)
	same.Apply(commandAt(t, 2, token("a")))
	same.Apply(commandAt(t, 3, token("other")))
	newer := testMachine(t)
	newer.Apply(commandAt(t, 2, token("a")))
	newer.Apply(commandAt(t, 4, token("c")))
	for name, tt := range map[string]struct {
		from  *machine
		taken bool
	}{
		"an older one":                {older, false},
		"one of the same index":       {same, false},
		"a newer one takes its place": {newer, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := testMachine(t)
			m.Apply(commandAt(t, 2, token("a")))
			m.Apply(commandAt(t, 3, token("b")))
			told := 0
			m.notify.add(func(uint64, fleet.ChangeSet) { told++ })
			if err := m.Restore(snapshotOf(t, tt.from.live)); err != nil {
				t.Fatal(err)
			}
			if got := m.published.Load(); has(got, "b") == tt.taken || (told > 0) != tt.taken {
				t.Errorf("State at %d has %v, subscribers were told %d times", got.Index(), tokens(got), told)
			}
			if got, want := m.applied.Load(), max(3, tt.from.live.Index()); got != want {
				t.Errorf("applied up to %d, want %d", got, want)
			}
		})
	}
}

// What is told to be not sent is never sent; what may be sent is told unknown.
func TestAProposalIsSentOrToldThatItIsNot(t *testing.T) {
	for name, end := range map[string]func(*Node, func()){
		"its caller's time ends": func(_ *Node, cancel func()) { cancel() },
		"the disk stalls":        func(n *Node, _ func()) { n.leading.shake() },
	} {
		for _, sent := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				n := &Node{cfg: Config{Clock: clock.System()}, machine: testMachine(t)}
				q := newProposer(n)
				item, err := wire.EncodeItem(token("a"))
				must(t, err)
				p := &proposal{items: []fleet.Item{token("a")}, encoded: [][]byte{item}, done: make(chan answer, 1)}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				told := make(chan error, 1)
				go func() {
					_, _, outcome := q.submit(ctx, p, time.Minute)
					told <- outcome
				}()
				queued := <-q.queue
				if sent {
					if batch, _, failed := q.entry([]*proposal{queued}); failed != nil || len(batch) != 1 {
						t.Fatalf("an entry of %d: %v", len(batch), failed)
					}
				}
				end(n, cancel)
				err = <-told
				if sent != errors.Is(err, ErrUnknown) || sent == NotDone(err) {
					t.Errorf("sent %v: it was told %v", sent, err)
				}
				if batch, _, err := q.entry([]*proposal{queued}); err != nil || len(batch) != 0 {
					t.Errorf("it is sent after all: an entry of %d, %v", len(batch), err)
				}
			})
		}
	}
}
