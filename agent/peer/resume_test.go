package peer

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
	host := fleet.Admission{ID: "h-1", Name: "h1", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7700"), PublicKey: "key"}
	do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8), Gossip: make([]byte, 8)}, Host: host, RaftID: "h-1.1"})
	do(fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 1, Addr: host.Addr, Zone: "a", Capacity: fleet.Resources{CPU: 4096, Memory: 8192}})
	do(fleet.Report{Host: "h-1", Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
	do(fleet.RegisterTaskDef{Family: "app", Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{{Name: "app", Image: "app:1", CPU: 1, MemoryReservation: 4, StopTimeoutS: 30}}}})
	do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{"00000000000000000000000000000001"}})
	do(fleet.AssignTasks{Host: "h-1", Tasks: []fleet.TaskID{"00000000000000000000000000000001"}})
	return st, do
}

func TestAStreamGoesOnOnlyFromWhatItsHostHolds(t *testing.T) {
	st, do := stateWithATask(t)
	changed := st.Host("h-1").WantedModifyIndex
	do(fleet.PutSetting{Name: "voters", Value: 3}) // nothing of the host's
	tests := map[string]struct {
		at   position
		host fleet.HostID
		want bool // it goes on; else a snapshot comes
	}{
		"it holds the last change of its part":       {position{epoch: 1, index: changed, session: 1}, "h-1", true},
		"it holds all that there is":                 {position{epoch: 1, index: st.Index(), session: 1}, "h-1", true},
		"its part has changed since":                 {position{epoch: 1, index: changed - 1, session: 1}, "h-1", false},
		"it holds what an earlier session was given": {position{epoch: 1, index: st.Index(), session: 0}, "h-1", false},
		"it holds what a later session was given":    {position{epoch: 1, index: st.Index(), session: 2}, "h-1", false},
		"it holds what another epoch was given":      {position{epoch: 0, index: st.Index(), session: 1}, "h-1", false},
		"the host is not known":                      {position{epoch: 1, index: st.Index(), session: 1}, "h-2", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sent := &ledger{}
			resumeAt(sent, st, tt.host, tt.at)
			if sent.begun != tt.want {
				t.Fatalf("it goes on: %v, want %v", sent.begun, tt.want)
			}
			if tt.host != "h-1" {
				return
			}
			d := sent.frame(st.Wanted("h-1"))
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

// Whatever happens while a host has no stream reaches it in the same session.
func TestAHostGetsWhatChangedWhileItWasCutOff(t *testing.T) {
	t.Parallel()
	r, network := threeInMemory(t)
	h := r.join("h4", r.agents[0]).host().up()
	r.ready(h)
	r.run(h, 2)
	h.up()
	session := h.session()
	for _, voter := range r.agents[:3] {
		network.cut(h.a.addr().Addr(), voter.addr().Addr(), true)
	}
	h.is("without a stream", func() bool { return !h.link.Status().Up })
	kept := r.run(h, 1)[0]
	network.heal()
	h.up()
	if got := h.session(); got != session {
		t.Errorf("session %d became %d: that is not what is tested here", session, got)
	}
	found := false
	for _, task := range h.wanted().Tasks {
		found = found || task.ID == kept
	}
	if !found {
		t.Errorf("the task that came meanwhile is missing from %d", len(h.wanted().Tasks))
	}
}
