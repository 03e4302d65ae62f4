package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// many is a fleet of services that bake, all of them at once, each with so many tasks of
// either revision.
func many(b *testing.B, services, tasks int) *plantest.World {
	b.Helper()
	var text strings.Builder
	for i := range services {
		fmt.Fprintf(&text, "s%04d desired=%d cpu=1 mem=4 check\n", i, tasks)
	}
	for i := range 10 {
		fmt.Fprintf(&text, "h%d zone=a reads=2 cpu=1000000 mem=9000000:\n", i)
	}
	text.WriteString("leader format=2")
	w := plantest.Parse(b, text.String())
	w.Play("live", planners...)
	for i := range services {
		w.Play(fmt.Sprintf("deploy s%04d strategy=BLUE_GREEN bake=1h", i))
	}
	w.Play("live", planners...)
	for d := range w.State.LiveDeployments() {
		if d.Stage != fleet.StageBakeTime {
			b.Fatalf("%s is at %s", d.ID, d.Stage)
		}
	}
	return w
}

// BenchmarkEvent is a pass after an event about a task of one service, with one task or
// many, while one service is deployed or a thousand are.
func BenchmarkEvent(b *testing.B) {
	for _, size := range []struct{ services, tasks int }{{1, 1}, {1, 4_000}, {1_000, 1}} {
		b.Run(fmt.Sprintf("services=%d/tasks=%d", size.services, size.tasks), func(b *testing.B) {
			w := many(b, size.services, size.tasks)
			in := w.Input()
			in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("s0000"))}
			for b.Loop() {
				if p := deploy.Next(in); len(p.Items) > 0 {
					b.Fatal(plantest.Text(p))
				}
			}
		})
	}
}

// BenchmarkEventWithFailures is a pass after an event about one of 4,000 tasks of a rolling
// deployment of which a task failed, which may have to trip its circuit breaker. Beside it,
// as the floor, the same before any failed.
func BenchmarkEventWithFailures(b *testing.B) {
	w := plantest.Parse(b, "s0000 desired=4000 cpu=1 mem=4 check\nh0 zone=a reads=2 cpu=1000000 mem=9000000:\n"+
		"leader format=2")
	w.Play("live", planners...)
	w.Play("deploy s0000 strategy=ROLLING breaker=50")
	w.Play("live s0000 SCALE_UP", planners...)
	for range 2 {
		w.Play("plan", planners...)
	}
	pass := func(b *testing.B) {
		in := w.Input()
		in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("s0000"))}
		for b.Loop() {
			deploy.Next(in)
		}
	}
	b.Run("floor-none", pass)
	for t := range w.State.LiveTasksOfService("s0000") {
		if t.Revision == w.State.LiveDeployment("s0000").Target && t.Host != "" {
			w.Play("obey " + string(t.ID) + "=fails")
			break
		}
	}
	if w.State.LiveDeployment("s0000").Breaker.Failures == 0 {
		b.Fatal("no task failed")
	}
	b.Run("one", pass)
}

// BenchmarkFullPass is a full pass over a thousand deployments.
func BenchmarkFullPass(b *testing.B) {
	w := many(b, 1_000, 1)
	in := w.Input()
	for b.Loop() {
		if p := deploy.Next(in); len(p.Items) > 0 {
			b.Fatal(plantest.Text(p))
		}
	}
}
