package stream

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func TestReached(t *testing.T) {
	const noon = fleet.Time(1_767_355_200_000)
	host := fleet.Admission{ID: "h-1", Name: "h1", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7700"),
		PublicKey: "key"}
	state, now := fleet.New(), noon
	do := func(commands ...fleet.Command) {
		t.Helper()
		for _, c := range commands {
			if out := state.Apply(state.Index()+1,
				fleet.Entry{At: now, Items: []fleet.Item{{Command: c}}}); out.Results[0].Err != nil {
				t.Fatalf("%T: %v", c, out.Results[0].Err)
			}
		}
	}
	do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
		Gossip: make([]byte, 8)}, Host: host, RaftID: "h-1.1"},
		fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 1, Addr: host.Addr, Zone: "a",
			Capacity: fleet.Resources{CPU: 1, Memory: 1}},
		fleet.Report{Host: "h-1", Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	for _, tt := range []struct {
		name string
		host fleet.HostID
		at   Position
		want error
	}{
		{"what the host has seen is here", "h-1", Position{Epoch: 1, Index: state.Index(), Session: 1}, nil},
		{"an index that is not here yet is behind", "h-1", Position{Epoch: 1, Index: state.Index() + 1, Session: 1},
			protocol.ErrBehind},
		{"an epoch that is not here yet is behind", "h-1", Position{Epoch: 2, Session: 1}, protocol.ErrBehind},
		{"a session that is not here yet is behind", "h-1", Position{Epoch: 1, Session: 2}, protocol.ErrBehind},
		{"a host that is not known yet is behind", "h-2", Position{Epoch: 1, Session: 1}, protocol.ErrBehind},
		{"an older session has ended", "h-1", Position{Epoch: 1, Session: 0}, fleet.ErrOldSession},
	} {
		if err := Reached(state, tt.host, tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	do(fleet.SilenceHost{Host: "h-1", Session: 1})
	if err := Reached(state, "h-1", Position{Epoch: 1, Session: 1}); err != nil {
		t.Errorf("a silent host keeps its Session: got %v", err)
	}
	now = now.Add(time.Hour)
	do(fleet.LoseHost{Host: "h-1", Session: 1})
	if err := Reached(state, "h-1", Position{Epoch: 1, Session: 1}); !errors.Is(err, fleet.ErrOldSession) {
		t.Errorf("being declared lost ends the Session: got %v", err)
	}
}
