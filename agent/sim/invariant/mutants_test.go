package invariant

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"skein/agent/lead"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// mutant is a fleet with one rule forgotten somewhere.
type mutant struct {
	name, breaks string
	planner      string // whose plan is changed; empty: nobody's
	plan         func(in plan.Input, out plan.Plan) plan.Plan
	machine      func(f *fleetOf, t *fleet.Task, m Machine) // instead of a clean start
}

// stopFirst has a healthy task stop for each that is created.
func stopFirst(in plan.Input, out plan.Plan) plan.Plan {
	for i, item := range out.Items {
		created, ok := item.Command.(fleet.CreateTasks)
		if !ok {
			continue
		}
		service, _ := created.Revision.Split()
		for t := range in.State.LiveTasksOfService(service) {
			if in.State.Healthy(t, in.Now) {
				out.Items = slices.Insert(out.Items, i, fleet.Item{By: "service", Command: stop(t.ID)})
				break
			}
		}
	}
	return out
}

// pack has everything that is placed go to the host of the first.
func pack(_ plan.Input, out plan.Plan) plan.Plan {
	var first fleet.HostID
	for i, item := range out.Items {
		if cmd, ok := item.Command.(fleet.PlaceTasks); ok {
			packed := fleet.AssignTasks{}
			for _, share := range cmd.Shares {
				if first == "" {
					first = share.Host
				}
				packed.Tasks, packed.Ports = append(packed.Tasks, share.Tasks...), append(packed.Ports, share.Ports...)
			}
			packed.Host = first
			out.Items[i].Command = fleet.PlaceTasks{Shares: []fleet.AssignTasks{packed}}
		}
	}
	return out
}

// panics silences a host that answers.
func panics(in plan.Input, out plan.Plan) plan.Plan {
	for h := range in.State.Hosts() {
		if h.State == fleet.HostReady && in.Liveness.Hosts[h.ID].Liveness == plan.LivenessAlive {
			out.Items = append(out.Items, fleet.Item{By: "hosts", Command: fleet.SilenceHost{Host: h.ID, Session: h.Session.N}})
			break
		}
	}
	return out
}

func start(f *fleetOf, t *fleet.Task, m Machine, attempt int) {
	f.c.StartRecorded(m, t.ID, "app", attempt, attempt)
	f.c.ContainerCreated(m, t.ID, "app", attempt)
	f.c.ContainerStarted(m, t.ID, "app", attempt)
}

var mutants = []mutant{
	{name: "stop before start", breaks: "I1 I2", planner: "service", plan: stopFirst},
	{name: "pack before spread", breaks: "I13", planner: "placement", plan: pack},
	{name: "a host that answers is called silent", breaks: "silence", planner: "hosts", plan: panics},
	{name: "a task is started twice", breaks: "I6", machine: func(f *fleetOf, t *fleet.Task, m Machine) {
		start(f, t, m, 1)
		f.c.ContainerEnded(m, t.ID, "app", Itself)
		start(f, t, m, 1)
	}},
	{name: "a container is made before its journal line", breaks: "I6",
		machine: func(f *fleetOf, t *fleet.Task, m Machine) {
			f.c.ContainerCreated(m, t.ID, "app", 1)
			start(f, t, m, 1)
		}},
	{name: "absence is read as a stop", breaks: "I10", machine: func(f *fleetOf, t *fleet.Task, m Machine) {
		start(f, t, m, 1)
		f.c.Signalled(Signal{On: m, Task: t.ID, Container: "app", Number: 15})
	}},
	{name: "an older intent is obeyed", breaks: "I9", machine: func(f *fleetOf, t *fleet.Task, m Machine) {
		start(f, t, m, 1)
		f.c.FrameAccepted(m, 1, 1, f.s.Index())
		f.c.FrameAccepted(m, 1, 1, f.s.Index()-1)
	}},
}

// Each mutant is caught within twenty seeds, and by the rule that it breaks.
func TestMutantsAreCaught(t *testing.T) {
	const seeds = 20
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(1); seed <= seeds; seed++ {
				if got := m.caught(t, seed); got != "" {
					if !slices.Contains(strings.Fields(m.breaks), got) {
						t.Errorf("seed %d breaks %s, want %s", seed, got, m.breaks)
					}
					t.Logf("caught by seed %d", seed)
					return
				}
			}
			t.Errorf("not caught within %d seeds", seeds)
		})
	}
}

// caught runs a mutant's history and returns the name of what it broke first.
func (m *mutant) caught(t *testing.T, seed uint64) string {
	var planners []lead.Planner
	for _, p := range lead.Planners() {
		if next := p.Next; p.By == m.planner {
			p.Next = func(in plan.Input) plan.Plan { return m.plan(in, next(in)) }
		}
		planners = append(planners, p)
	}
	f := newFleet(t, rand.New(rand.NewPCG(seed, 13)), 5, planners...)
	f.starts = m.machine
	for range 400 {
		f.happen()
		if len(f.broken) > 0 {
			return f.broken[0].Name
		}
	}
	return ""
}
