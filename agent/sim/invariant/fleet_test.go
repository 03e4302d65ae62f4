package invariant

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skein/agent/lead"
	"skein/agent/plan"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// fleetOf is a rig that plans: its leader is the real one, its machines do what
// a State tells them.
type fleetOf struct {
	*rig
	r        *rand.Rand
	loop     *lead.Loop
	liveness map[fleet.HostID]plan.HostLiveness
	hosts    []fleet.HostID
	dead     map[fleet.HostID]bool
	wake     time.Duration
	ids      int
	boots    int
	well     bool // all tasks are healthy
	// racing has hosts and operators come between a plan and its entry.
	racing  bool
	telling func(fleet.HostID, []fleet.TaskReport)
	starts  func(*fleetOf, *fleet.Task, Machine) // instead of a clean start
}

func newFleet(t testing.TB, r *rand.Rand, hosts int, planners ...lead.Planner) *fleetOf {
	t.Helper()
	f := &fleetOf{rig: newRig(t), r: r, liveness: map[fleet.HostID]plan.HostLiveness{}, dead: map[fleet.HostID]bool{}}
	if planners == nil {
		planners = lead.Planners()
	}
	f.loop = lead.NewLoop(f.newID, planners...)
	for i := 1; i <= hosts; i++ {
		id := fleet.HostID(fmt.Sprintf("h%d", i))
		if i > 2 {
			f.host(id, string(rune('a'+(i-1)%3)))
		}
		f.hosts = append(f.hosts, id)
		f.liveness[id] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: f.s.Host(id).Session.N}
	}
	f.step(lead.LivenessChanged{Liveness: f.livenessNow()}, lead.BecameLeader{State: f.s.Clone()})
	return f
}

func (f *fleetOf) newID() fleet.TaskID { f.ids++; return fleet.TaskID(fmt.Sprintf("task-%06d", f.ids)) }

func (f *fleetOf) livenessNow() plan.FleetLiveness {
	return plan.FleetLiveness{Hosts: maps.Clone(f.liveness)}
}

func (f *fleetOf) instant() lead.Instant {
	return lead.Instant{Wall: dawn.Add(f.clock), Mono: time.Hour + f.clock}
}

// apply commits commands of somebody else and tells the loop.
func (f *fleetOf) apply(by string, commands ...fleet.Command) {
	f.t.Helper()
	items := make([]fleet.Item, len(commands))
	for i, cmd := range commands {
		items[i] = fleet.Item{Command: cmd, By: by}
	}
	f.step(f.entry(items, 0))
}

func (f *fleetOf) entry(items []fleet.Item, planned uint64) lead.Applied {
	f.t.Helper()
	applied, _ := f.entryOf(items, planned)
	return applied
}

func (f *fleetOf) entryOf(items []fleet.Item, planned uint64) (lead.Applied, []fleet.Result) {
	f.t.Helper()
	e := fleet.Entry{At: dawn.Add(f.clock), Items: items}
	out := f.s.Apply(f.s.Index()+1, e)
	f.c.Committed(Entry{Index: f.s.Index(), Term: 1, Leader: "h1.1", Planned: planned, Entry: e, Results: out.Results,
		After: f.s})
	return lead.Applied{State: f.s.Clone(), ChangeSet: out.ChangeSet}, out.Results
}

func (f *fleetOf) step(events ...lead.Event) {
	f.t.Helper()
	for range 1_000 {
		var next []lead.Event
		planned := f.s.Index()
		for _, e := range f.loop.Step(f.instant(), events...) {
			switch e := e.(type) {
			case lead.Propose:
				done := lead.ProposalDone{N: e.N}
				for _, items := range e.Entries {
					if f.racing && f.r.IntN(2) == 0 {
						next = append(next, f.meanwhile()...)
					}
					applied, results := f.entryOf(items, planned)
					next = append(next, applied)
					done.Index, done.Results = f.s.Index(), append(done.Results, results...)
				}
				next = append(next, done)
			case lead.Wake:
				f.wake = e.At
			}
		}
		if next == nil {
			return
		}
		events = next
	}
	f.t.Fatal("the loop proposes for ever")
}

// meanwhile is what comes between a plan and its entry.
func (f *fleetOf) meanwhile() []lead.Event {
	f.t.Helper()
	var events []lead.Event
	commit := func(by string, cmd fleet.Command) {
		events = append(events, f.entry([]fleet.Item{{Command: cmd, By: by}}, 0))
	}
	id := f.hosts[f.r.IntN(len(f.hosts))]
	name := []string{"api", "job", "web"}[f.r.IntN(3)]
	switch f.r.IntN(4) {
	case 0:
		commit("operator", fleet.ScaleService{Name: name, Desired: f.r.IntN(9)})
	case 1:
		commit("operator", fleet.CordonHost{Host: id})
	default:
		f.telling = func(id fleet.HostID, reports []fleet.TaskReport) {
			f.seqs[id]++
			commit("host "+string(id), fleet.Report{Host: id, Session: f.s.Host(id).Session.N, Seq: f.seqs[id], Tasks: reports})
		}
		f.obey(id, 0.5)
		f.fail(id)
		f.telling = nil
	}
	return events
}

func (f *fleetOf) advance(d time.Duration) {
	f.t.Helper()
	for end := f.clock + d; f.clock < end; {
		f.clock = min(end, max(f.wake-time.Hour, f.clock+time.Millisecond))
		f.step()
	}
}

func (f *fleetOf) see(id fleet.HostID, liveness plan.Liveness) {
	f.t.Helper()
	seen := plan.HostLiveness{Liveness: liveness, For: time.Second, Age: time.Second}
	if liveness == plan.LivenessAlive {
		seen.Session = f.s.Host(id).Session.N
	}
	f.liveness[id] = seen
	f.step(lead.LivenessChanged{Liveness: f.livenessNow()})
}

// obey has a machine do the next step of some of its tasks, or all, and say so.
func (f *fleetOf) obey(id fleet.HostID, share float64) {
	f.t.Helper()
	state := f.s.Host(id).State
	if f.dead[id] || state != fleet.HostReady && state != fleet.HostSilent {
		return
	}
	f.c.FrameAccepted(f.machine(id), f.s.Host(id).Session.N, 1, f.s.Index())
	f.c.Served(id, fleet.ServedAt(1, f.s.Index()))
	var reports []fleet.TaskReport
	for _, t := range slices.Collect(f.s.HeldBy(id)) {
		if f.r.Float64() < share {
			if r, ok := f.obeyOne(t); ok {
				reports = append(reports, r)
			}
		}
	}
	if len(reports) > 0 {
		f.reports(id, reports)
	}
}

func (f *fleetOf) reports(id fleet.HostID, reports []fleet.TaskReport) {
	f.t.Helper()
	if f.telling != nil {
		f.telling(id, reports)
		return
	}
	f.seqs[id]++
	f.apply("host "+string(id), fleet.Report{Host: id, Session: f.s.Host(id).Session.N, Seq: f.seqs[id], Tasks: reports})
}

// obeyOne is one step of a task on its machine.
func (f *fleetOf) obeyOne(t *fleet.Task) (fleet.TaskReport, bool) {
	m := f.machine(t.Host)
	out := fleet.TaskReport{Task: t.ID, Attempt: 1, Status: fleet.TaskRunning, Health: fleet.Health(1 + f.r.IntN(3))}
	if f.well {
		out.Health = fleet.HealthHealthy
	}
	here := t.Session >= f.s.Host(t.Host).BootSession
	switch {
	case t.Desired == fleet.TaskStopped || !here:
		f.end(t, m)
		out.Status, out.Health = fleet.TaskStopped, fleet.HealthUnknown
	case t.Last < fleet.TaskRunning && f.starts != nil:
		f.starts(f, t, m)
	case t.Last < fleet.TaskRunning:
		start(f, t, m, 1)
	}
	return out, out.Status != t.Last || out.Health != t.Health || t.Unconfirmed
}

func (f *fleetOf) end(t *fleet.Task, m Machine) {
	if machine := f.c.machines[m]; machine == nil || machine.tasks[t.ID] == nil || machine.tasks[t.ID].alive == 0 {
		return
	}
	f.c.Signalled(Signal{On: m, Task: t.ID, Container: "app", Number: 15})
	f.c.ContainerEnded(m, t.ID, "app", Signalled)
}

func (f *fleetOf) die(id fleet.HostID) {
	f.t.Helper()
	f.dead[id] = true
	f.c.HostCondition(id, virtual.Off)
	f.see(id, plan.LivenessSilent)
}

// revive brings a host back: its machine had stood still, or begins anew.
func (f *fleetOf) revive(id fleet.HostID) {
	f.t.Helper()
	lost := f.s.Host(id).State == fleet.HostLost
	if !f.dead[id] && !lost {
		return
	}
	f.dead[id] = false
	f.c.HostCondition(id, virtual.Up)
	if lost || f.r.IntN(2) == 0 {
		f.c.MachineOff(f.machine(id))
		f.boots++
		host := f.s.Host(id)
		f.seqs[id] = 1
		f.apply("host "+string(id), fleet.OpenSession{Host: id, Boot: fmt.Sprint("boot-", f.boots+1),
			Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone, Capacity: host.Capacity},
			fleet.Report{Host: id, Session: host.Session.N + 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
	}
	f.see(id, plan.LivenessAlive)
}
