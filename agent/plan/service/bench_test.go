package service_test

import (
	"fmt"
	"net/netip"
	"slices"
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
	s.Apply(s.Index()+1, fleet.Entry{At: 120_000}) // as the leader has time pass before it plans
	ids := 0
	return plan.Input{State: s, Now: 120_000, Scope: plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("web"))},
		NewID: func() fleet.TaskID { ids++; return fleet.TaskID(fmt.Sprintf("new-%09d", ids)) }}
}

// BenchmarkOneEvent visits a service of 100,000 tasks because of one of them: at rest, in
// a roll-out that its bounds hold up, and in one of which each new task that turns
// healthy has an old one stop. The last is planned, as by the leader, over what is kept
// between passes; "looking at all tasks" is the same without that.
func BenchmarkOneEvent(b *testing.B) {
	for _, rolling := range []bool{false, true} {
		b.Run(map[bool]string{false: "at rest", true: "rolling"}[rolling], func(b *testing.B) {
			in := large(b, 100_000, rolling)
			for b.Loop() {
				service.Next(in)
			}
		})
	}
	b.Run("rolling, a task stops", func(b *testing.B) { benchStops(b, new(service.Index).Next) })
	b.Run("rolling, a task stops, looking at all tasks", func(b *testing.B) { benchStops(b, service.Next) })
}

func benchStops(b *testing.B, next func(plan.Input) plan.Plan) {
	in := large(b, 100_000, false)
	s := in.State
	apply := func(items ...fleet.Item) fleet.ChangeSet {
		out := s.Apply(s.Index()+1, fleet.Entry{At: in.Now, Items: items})
		for i, r := range out.Results {
			if r.Err != nil {
				b.Fatalf("%T: %v", items[i].Command, r.Err)
			}
		}
		return out.ChangeSet
	}
	def := *s.TaskDef("web:1")
	def.ID, def.Containers = "", slices.Clone(def.Containers)
	def.Containers[0].HealthCheck = &fleet.HealthCheck{Command: []string{"CMD", "true"}, IntervalS: 30, TimeoutS: 5,
		Retries: 3}
	v := s.Service("web")
	apply(fleet.Item{Command: fleet.RegisterTaskDef{Family: "web", Def: def}})
	apply(fleet.Item{Command: fleet.PutService{Name: "web", ExpectedModifyIndex: v.ModifyIndex, TaskDef: "web:2",
		Desired: v.Desired, MinPercent: 100, MaxPercent: 110}})
	apply(fleet.Item{Command: s.Service("web").DefaultGoals()})
	const fresh = 10_000 // as many as the upper bound lets start
	var all []fleet.TaskID
	for i := range 100 {
		host, run := fleet.HostID(fmt.Sprintf("h%03d", i)), []fleet.TaskID(nil)
		for range fresh / 100 {
			run = append(run, in.NewID())
		}
		apply(fleet.Item{Command: fleet.CreateTasks{Revision: "web/2", Tasks: run}},
			fleet.Item{Command: fleet.AssignTasks{Host: host, Tasks: run}})
		all = append(all, run...)
	}
	turns := 0
	event := func() plan.Plan {
		task := s.Task(all[turns])
		turns++
		in.Scope = plan.Scope{ChangeSet: apply(fleet.Item{Command: fleet.Report{Host: task.Host, Session: 1,
			Seq: s.Host(task.Host).ReportSeq + 1, Tasks: []fleet.TaskReport{{Task: task.ID, Status: fleet.TaskRunning,
				Health: fleet.HealthHealthy, Attempt: 1}}}})}
		return next(in)
	}
	apply(event().Items...) // what is kept is made by the first
	for b.Loop() {
		b.StopTimer()
		if turns == len(all) {
			b.Fatalf("all of %d new tasks are healthy: run it for less time", turns)
		}
		b.StartTimer()
		p := event()
		b.StopTimer()
		if n := stops(p); n != 1 {
			b.Fatalf("after %d tasks turned healthy %d stop, want 1", turns, n)
		}
		in.Scope = plan.Scope{ChangeSet: apply(p.Items...)}
		next(in)
		b.StartTimer()
	}
}

func stops(p plan.Plan) (n int) {
	for _, item := range p.Items {
		if stop, ok := item.Command.(fleet.StopTasks); ok {
			n += len(stop.Tasks)
		}
	}
	return n
}
