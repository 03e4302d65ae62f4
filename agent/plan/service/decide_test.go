package service

import (
	"fmt"
	"testing"

	"skein/raftfsm/fleet"
)

// The golden vectors of ECS API, DeploymentConfiguration: from a service whose desired old tasks are
// all healthy, the first moves of a roll-over.
func TestGoldenVectorsOfTheRollingArithmetic(t *testing.T) {
	tests := []struct {
		desired, min, max int
		lower, upper      int
		start, stop       int // in the first pass
		stuck             bool
	}{
		{desired: 4, min: 100, max: 200, lower: 4, upper: 8, start: 4},
		{desired: 4, min: 50, max: 100, lower: 2, upper: 4, start: 2, stop: 2},
		{desired: 2, min: 75, max: 100, lower: 2, upper: 2, stuck: true},
		{desired: 3, min: 100, max: 125, lower: 3, upper: 3, stuck: true},
		{desired: 1, min: 100, max: 200, lower: 1, upper: 2, start: 1},
		{desired: 1, min: 0, max: 100, lower: 0, upper: 1, start: 1, stop: 1},
		{desired: 1, min: 100, max: 100, lower: 1, upper: 1, stuck: true},
		{desired: 7, min: 100, max: 100, lower: 7, upper: 7, stuck: true},
		{desired: 1000, min: 100, max: 100, lower: 1000, upper: 1000, stuck: true},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d tasks at %d/%d", tt.desired, tt.min, tt.max), func(t *testing.T) {
			v := fleet.Service{Desired: tt.desired, MinPercent: tt.min, MaxPercent: tt.max}
			if v.MinHealthy() != tt.lower || v.MaxRunning() != tt.upper {
				t.Errorf("bounds are %d and %d, want %d and %d", v.MinHealthy(), v.MaxRunning(), tt.lower, tt.upper)
			}
			m := decide(rollingOver(v))
			if start := m.revisions[0].create; start != tt.start || m.stopOldFirst != tt.stop || m.stuck != tt.stuck {
				t.Errorf("starts %d, stops %d, stuck %v; want %d, %d, %v",
					start, m.stopOldFirst, m.stuck, tt.start, tt.stop, tt.stuck)
			}
			if m.stops() != m.stopOldFirst {
				t.Errorf("other stops: %+v", m)
			}
		})
	}
}

// Every roll-over that is not stuck ends, by no more passes than it has tasks,
// and on the way healthy tasks never fall below the lower bound, tasks never
// pass the upper, and nothing stops while the upper bound leaves room to start.
func TestRollOversEndWithinTheirBounds(t *testing.T) {
	for desired := 0; desired <= 12; desired++ {
		for _, min := range []int{0, 25, 50, 75, 100} {
			for _, max := range []int{100, 110, 125, 150, 200} {
				t.Run(fmt.Sprintf("%d tasks at %d/%d", desired, min, max), func(t *testing.T) { rollOver(t, desired, min, max) })
			}
		}
	}
}

func rollOver(t *testing.T, desired, min, max int) {
	v := fleet.Service{Desired: desired, MinPercent: min, MaxPercent: max}
	n := rollingOver(v)
	for pass := 0; ; pass++ {
		if pass > 2*desired+2 {
			t.Fatalf("still %+v after %d passes", n, pass)
		}
		m := decide(n)
		if m.stuck {
			if n.most > n.desired() || n.minHealthy < n.desired() {
				t.Fatalf("stuck though bounds are %d and %d", n.minHealthy, n.most)
			}
			return
		}
		if m.stopOldFirst > 0 && n.most > desired {
			t.Fatalf("stops before it starts: %+v of %+v", m, n)
		}
		n.current.healthy -= m.revisions[0].stopHealthy
		n.old.healthy -= m.stopOld + m.stopOldFirst
		n.current.pending += m.revisions[0].create
		if n.healthy() < n.minHealthy {
			t.Fatalf("%d healthy, lower bound is %d: %+v", n.healthy(), n.minHealthy, m)
		}
		if n.present() > n.most {
			t.Fatalf("%d present, upper bound is %d: %+v", n.present(), n.most, m)
		}
		if n.current.healthy == desired && n.old.present() == 0 {
			return
		}
		// One task turns healthy a pass.
		if n.current.pending > 0 {
			n.current.pending--
			n.current.healthy++
		}
		n.revisions[0].current = n.current
	}
}

// rollingOver is a service whose desired tasks are all of a revision that another
// one is to replace.
func rollingOver(v fleet.Service) inputs {
	goal := v.DefaultGoals()
	return inputs{
		revisions: []revisionInputs{{goal: goal.Revisions[0]}}, most: goal.Max, minHealthy: v.MinHealthy(),
		old: taskCounts{healthy: v.Desired},
	}
}
