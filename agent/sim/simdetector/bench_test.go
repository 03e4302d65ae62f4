package simdetector_test

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/virtual"
)

// BenchmarkOneHost is a host that loses power, is found silent and comes back,
// with all that the membership does for it; "told" adds the views that a leader
// takes of it, a map of all hosts each.
func BenchmarkOneHost(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		for _, told := range []bool{false, true} {
			b.Run(fmt.Sprintf("hosts=%d/told=%v", n, told), func(b *testing.B) {
				r := newRig(b, n, 3, 1, simdetector.Mutants{})
				r.run(5 * time.Second)
				views := 0
				r.detector.OnChange(func() {
					if told {
						r.detector.Liveness()
						views++
					}
				})
				events := r.time.Ran()
				i := 4
				for b.Loop() {
					r.net.Set(name(i), virtual.Off)
					r.run(2 * time.Second)
					r.net.PowerOn(name(i))
					r.net.Begin(name(i))
					r.membership.Opened(name(i), r.home(i), 1)
					r.run(2 * time.Second)
					i = 4 + (i-3)%(n-3)
				}
				if got := r.livenessOf(5).Liveness; got != plan.LivenessAlive {
					b.Fatalf("%s is %s", name(5), got)
				}
				b.ReportMetric(float64(r.time.Ran()-events)/float64(b.N), "events/op")
				b.ReportMetric(float64(views)/float64(b.N), "views/op")
			})
		}
	}
}

// BenchmarkIdleDay is a day in which nothing happens.
func BenchmarkIdleDay(b *testing.B) {
	r := newRig(b, 10_000, 3, 1, simdetector.Mutants{})
	r.run(time.Minute)
	for b.Loop() {
		r.run(24 * time.Hour)
	}
}

// BenchmarkZoneLost is a third of 10,000 hosts losing power at once and coming
// back, with the views that a leader takes.
func BenchmarkZoneLost(b *testing.B) {
	const n = 10_000
	r := newRig(b, n, 3, 1, simdetector.Mutants{})
	r.run(5 * time.Second)
	r.detector.OnChange(func() { r.detector.Liveness() })
	for b.Loop() {
		for i := 6; i <= n; i += 3 {
			r.net.Set(name(i), virtual.Off)
		}
		r.run(5 * time.Second)
		for i := 6; i <= n; i += 3 {
			r.net.PowerOn(name(i))
			r.net.Begin(name(i))
			r.membership.Opened(name(i), r.home(i), 1)
		}
		r.run(5 * time.Second)
	}
}

// BenchmarkElection is a new leader of 10,000 hosts, until it has seen them all.
func BenchmarkElection(b *testing.B) {
	r := newRig(b, 10_000, 3, 1, simdetector.Mutants{})
	leader := 1
	for b.Loop() {
		leader = 3 - leader
		r.lead(leader)
		r.run(5 * time.Second)
	}
}
