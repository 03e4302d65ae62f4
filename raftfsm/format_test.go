package raftfsm

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

const nextFormat = fleet.FormatVersion + 1

// upgraded is a session of an agent that reads the next format.
func upgraded(nonce uint64, format int) fleet.Item {
	return fleet.Item{Command: fleet.OpenSession{
		Host: "h-0000000000000001", Boot: "b", Nonce: nonce, Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"),
		Format: format,
	}}
}
func raise(at fleet.Time) fleet.Item {
	return fleet.Item{Command: fleet.RaiseFormat{Format: nextFormat, At: at}}
}

// A build that was taken back must not apply what comes after the format was
// raised beyond it, and may go on until then.
func TestAFormatBeyondThisBuildFreezesTheMachine(t *testing.T) {
	var failed error
	m := newMachine(func(err error) { failed = err })
	for i, item := range []fleet.Item{
		initFleet(&host{id: "h-0000000000000001", n: 1}),
		upgraded(1, nextFormat),
		raise(4_000_000_000_000),         // planned
		upgraded(2, fleet.FormatVersion), // taken back, which ends the plan
		raise(0),                         // refused
		upgraded(3, nextFormat),
	} {
		if _, ok := m.Apply(commandAt(t, uint64(i+1), item)).(fleet.Outcome); !ok || failed != nil {
			t.Fatalf("%T: %v", item.Command, failed)
		}
	}
	err, _ := m.Apply(commandAt(t, 7, raise(0))).(error)
	if !errors.Is(err, ErrUnreadable) || !errors.Is(failed, ErrUnreadable) ||
		!strings.Contains(err.Error(), "this build reads") {
		t.Errorf("the entry gave %v, the machine failed with %v", err, failed)
	}
	if st := m.published.Load(); st.Fleet().Format != 1 || st.Index() != 6 {
		t.Errorf("State is at index %d, format %d", st.Index(), st.Fleet().Format)
	}
}
func TestASnapshotOfALaterFormatIsNotRestored(t *testing.T) {
	later := fleet.New()
	for i, item := range []fleet.Item{initFleet(&host{id: "h-0000000000000001", n: 1}), upgraded(1, nextFormat),
		raise(0)} {
		if err := later.Apply(uint64(i+1), fleet.Entry{At: 1, Items: []fleet.Item{item}}).Results[0].Err; err != nil {
			t.Fatal(err)
		}
	}
	var failed error
	m := newMachine(func(err error) { failed = err })
	if err := m.Restore(snapshotOf(t, later)); !errors.Is(err, ErrUnreadable) || !errors.Is(failed, ErrUnreadable) {
		t.Errorf("got %v, failed with %v", err, failed)
	}
}
func TestACommandOfALaterFormatIsNotPutIntoTheLog(t *testing.T) {
	inCluster(t, 1, func(cfg *Config) { cfg.gate.Kinds = map[fleet.Kind]int{fleet.KindPutToken: nextFormat} },
		func(t *testing.T, c *cluster) {
			node := c.hosts[0].node
			before := node.raft.LastIndex()
			_, _, err := node.Propose(t.Context(), []fleet.Item{token("early")})
			if !errors.Is(err, fleet.ErrFormatAhead) || !NotDone(err) ||
				!strings.Contains(err.Error(), "put-token needs format") {
				t.Errorf("got %v", err)
			}
			if node.raft.LastIndex() != before || has(node.State(), "early") {
				t.Error("it is in the log")
			}
		})
}
