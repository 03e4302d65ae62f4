package service_test

import (
	"fmt"
	"net/netip"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// large is a service of n running tasks on one hundred hosts, at rest or in the
// middle of a roll-over.
func large(b *testing.B, n int, rolling bool) plan.Input {
	b.Helper()
	s := fleet.New()
	at := fleet.Time(1)
	do := func(c fleet.Command) {
		if r := s.Apply(s.Index()+1, fleet.Entry{At: at, Items: []fleet.Item{{Command: c}}}).Results[0]; r.Err != nil {
			b.Fatalf("%T: %v", c, r.Err)
		}
	}
	addr := netip.MustParseAddrPort("10.0.0.1:7000")
	const hosts = 100
	for i := range hosts {
		id := fleet.HostID(fmt.Sprintf("h%03d", i))
		a := fleet.Admission{ID: id, Name: string(id), Zone: string(rune('a' + i%3)), Addr: addr, PublicKey: string(id)}
		if i == 0 {
			do(fleet.InitFleet{ID: "f", CABundle: []byte("x"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
				Gossip: make([]byte, 8)}, Host: a, RaftID: fleet.MakeRaftID(id, 1)})
			do(fleet.PutToken{ID: "t", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: hosts, NotAfter: 1 << 40})
		} else {
			do(fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: a})
		}
		do(fleet.OpenSession{Host: id, Boot: "b", Nonce: 1, Addr: addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: 1 << 30, Memory: 1 << 30}})
		do(fleet.Report{Host: id, Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	do(fleet.RegisterTaskDef{Family: "web", Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
		Containers: []fleet.Container{{Name: "app", Image: "x", CPU: 64, MemoryReservation: 64, StopTimeoutS: 30}}}})
	do(fleet.PutService{Name: "web", TaskDef: "web:1", Desired: n, MinPercent: 100, MaxPercent: 200})
	do(s.Service("web").DefaultGoals())
	for i := range hosts {
		id, run, report := fleet.HostID(fmt.Sprintf("h%03d", i)), []fleet.TaskID(nil), []fleet.TaskReport(nil)
		for j := range n / hosts {
			task := fleet.TaskID(fmt.Sprintf("%03d-%06d", i, j))
			run = append(run, task)
			report = append(report, fleet.TaskReport{Task: task, Status: fleet.TaskRunning, Health: fleet.HealthHealthy,
				Attempt: 1})
		}
		do(fleet.CreateTasks{Revision: "web/1", Tasks: run})
		do(fleet.AssignTasks{Host: id, Tasks: run})
		do(fleet.Report{Host: id, Session: 1, Seq: 2, Tasks: report})
	}
	if rolling {
		do(fleet.PutService{Name: "web", ExpectedModifyIndex: s.Service("web").ModifyIndex, TaskDef: "web:1", Desired: n,
			MinPercent: 100, MaxPercent: 100, Force: true})
	}
	ids := 0
	return plan.Input{State: s, Now: 120_000, Scope: plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("web"))},
		NewID: func() fleet.TaskID { ids++; return fleet.TaskID(fmt.Sprintf("new-%09d", ids)) }}
}

// BenchmarkOneEvent visits a service of 100,000 tasks because of one of them.
func BenchmarkOneEvent(b *testing.B) {
	for _, rolling := range []bool{false, true} {
		b.Run(map[bool]string{false: "at rest", true: "rolling"}[rolling], func(b *testing.B) {
			in := large(b, 100_000, rolling)
			for b.Loop() {
				service.Next(in)
			}
		})
	}
}
