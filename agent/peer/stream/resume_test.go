package stream

import (
	"net/netip"
	"testing"

	"skein/raftfsm/fleet"
)

// One host that has a task, in a State of epoch 1.
func stateWithATask(t *testing.T) (st *fleet.State, do func(fleet.Command)) {
	t.Helper()
	st = fleet.New()
	do = func(c fleet.Command) {
		t.Helper()
		out := st.Apply(st.Index()+1, fleet.Entry{At: fleet.Time(1_767_355_200_000), Items: []fleet.Item{{Command: c}}})
		if err := out.Results[0].Err; err != nil {
			t.Fatalf("%T: %v", c, err)
		}
	}
	host := fleet.Admission{ID: "h-1", Name: "h1", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7700"),
		PublicKey: "key"}
	do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
		Gossip: make([]byte, 8)}, Host: host, RaftID: "h-1.1"})
	do(fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 1, Addr: host.Addr, Zone: "a",
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192}})
	do(fleet.Report{Host: "h-1", Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
	do(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
			Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}}}})
	do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"00000000000000000000000000000001"}})
	do(fleet.AssignTasks{Host: "h-1", Tasks: []fleet.TaskID{"00000000000000000000000000000001"}})
	return st, do
}

func TestAStreamGoesOnOnlyFromWhatItsHostHolds(t *testing.T) {
	st, do := stateWithATask(t)
	changed := st.Host("h-1").WantedModifyIndex
	do(fleet.PutSetting{Name: "voters", Value: 3}) // nothing of the host's
	tests := map[string]struct {
		at   Position
		host fleet.HostID
		want bool // it goes on; else a snapshot comes
	}{
		"it holds the last change of its part":       {Position{Epoch: 1, Index: changed, Session: 1}, "h-1", true},
		"it holds all that there is":                 {Position{Epoch: 1, Index: st.Index(), Session: 1}, "h-1", true},
		"its part has changed since":                 {Position{Epoch: 1, Index: changed - 1, Session: 1}, "h-1", false},
		"it holds what an earlier session was given": {Position{Epoch: 1, Index: st.Index(), Session: 0}, "h-1", false},
		"it holds what a later session was given":    {Position{Epoch: 1, Index: st.Index(), Session: 2}, "h-1", false},
		"it holds what another epoch was given":      {Position{Epoch: 0, Index: st.Index(), Session: 1}, "h-1", false},
		"the host is not known":                      {Position{Epoch: 1, Index: st.Index(), Session: 1}, "h-2", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sent := &ledger{}
			sent.resume(st, tt.host, tt.at)
			if sent.begun != tt.want {
				t.Fatalf("it goes on: %v, want %v", sent.begun, tt.want)
			}
			if tt.host != "h-1" {
				return
			}
			d := sent.frame(st, st.Host("h-1"))
			want := KindSnapshot
			if tt.want {
				want = KindBeat // nothing is missing
			}
			if d.Kind != want {
				t.Errorf("the first frame is of kind %d, want %d", d.Kind, want)
			}
		})
	}
}
