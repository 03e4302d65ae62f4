//go:build nextformat

package stream

import (
	"net/netip"
	"testing"

	"skein/raftfsm/fleet"
)

// A host whose agent reads less is sent nothing newer; one beside it all of it.
func TestNextFormatFieldsGoOnlyToHostsThatReadThem(t *testing.T) {
	st, do := stateWithATask(t)
	host := func(id fleet.HostID, nonce uint64, format int) fleet.OpenSession {
		return fleet.OpenSession{Host: id, Boot: "b", Nonce: nonce, Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.2:7700"),
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Format: format}
	}
	two := fleet.TaskID("00000000000000000000000000000002")
	do(fleet.PutToken{ID: "tok", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 1, NotAfter: 1_800_000_000_000})
	do(fleet.AdmitHost{Token: "tok", SecretHash: make([]byte, 32), Host: fleet.Admission{
		ID: "h-2", Name: "h2", Zone: "b", Addr: netip.MustParseAddrPort("10.0.0.2:7700"), PublicKey: "key2",
	}})
	do(host("h-2", 1, 1))
	do(fleet.Report{Host: "h-2", Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
	do(fleet.RunTasks{TaskDef: "app:1", Tasks: []fleet.TaskID{two}})
	do(fleet.AssignTasks{Host: "h-2", Tasks: []fleet.TaskID{two}})
	do(host("h-1", 2, fleet.FormatVersion))
	do(fleet.RaiseFormat{Format: fleet.FormatVersion, Force: true})
	do(fleet.MarkTaskDef{ID: "app:1", Next: "x"})
	for id, want := range map[fleet.HostID]struct {
		session uint64
		next    string
	}{"h-1": {2, "x"}, "h-2": {1, ""}} {
		f, err := NewSender(id, st, Position{Session: want.session}).Next(0, View{State: st})
		if err != nil || f == nil || len(f.TaskDefs) != 1 {
			t.Fatalf("%s is sent %+v, %v", id, f, err)
		}
		if got := f.TaskDefs[0].Next; got != want.next {
			t.Errorf("%s is sent %q, want %q", id, got, want.next)
		}
	}
	if st.TaskDef("app:1").Next != "x" {
		t.Error("sending has changed State")
	}
}
