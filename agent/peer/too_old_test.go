package peer

import (
	"errors"
	"testing"

	"skein/raftfsm/fleet"
)

// A voter refuses an agent that is too old each time, and writes it down once.
func TestAnAgentThatIsTooOldIsNotedInItsHostsRow(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	agents := r.agents
	open := func(a *rigAgent, nonce uint64, version string, format int) fleet.OpenSession {
		return fleet.OpenSession{Host: a.id(), Boot: "b", Nonce: nonce, Addr: a.addr(), Zone: "a",
			Capacity: fleet.Resources{CPU: 1, Memory: 1}, Version: version, Format: format}
	}
	for _, a := range agents {
		r.must(open(a, 100, "v2", fleet.FormatVersion+1))
	}
	r.must(fleet.RaiseFormat{Format: fleet.FormatVersion + 1})

	old := agents[2]
	ask := func(version string) {
		t.Helper()
		if err := old.port.call(t.Context(), agents[1].id(), PathSession, open(old, 200, version, fleet.FormatVersion),
			nil); !errors.Is(err, fleet.ErrAgentTooOld) {
			t.Fatalf("got %v", err)
		}
	}
	ask("v1")
	row := r.cluster.state().Host(old.id())
	if row.Refused == nil || row.Refused.Version != "v1" || row.Session.Nonce != 100 {
		t.Fatalf("its row: %+v, %+v", row, row.Refused)
	}
	index := r.cluster.state().Index()
	for range 3 {
		ask("v1")
	}
	if now := r.cluster.state().Index(); now != index {
		t.Errorf("it is noted again: index %d, was %d", now, index)
	}
	ask("v0")
	if row = r.cluster.state().Host(old.id()); row.Refused.Version != "v0" {
		t.Errorf("another one that is too old: %+v", row.Refused)
	}
}
