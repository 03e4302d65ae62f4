package simlog_test

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// An entry through three voters, and what of it is encoding, decoding and
// applying.
func BenchmarkEntry(b *testing.B) {
	for _, shared := range []bool{true, false} {
		b.Run(fmt.Sprintf("shared=%v", shared), func(b *testing.B) {
			r := newRig(b, 1, 3, 3, virtual.NetworkConditions{Delay: time.Millisecond}, simlog.Config{Shared: shared})
			r.quiet = true
			leader := r.leader()
			item := fleet.Item{Command: fleet.UncordonHost{Host: r.hosts[0].id}}
			b.ReportAllocs()
			ran := r.time.Ran()
			for b.Loop() {
				done := false
				leader.propose(func(error) { done = true }, item)
				for !done {
					r.time.Step(1 << 62)
				}
			}
			b.ReportMetric(float64(r.time.Ran()-ran)/float64(b.N), "events/op")
		})
	}
	b.Run("codec and apply alone", func(b *testing.B) {
		r := newRig(b, 1, 1, 1, virtual.NetworkConditions{}, simlog.Config{Shared: true})
		state, index := r.hosts[0].node.State(), r.hosts[0].node.State().Index()
		for b.Loop() {
			index++
			data, _ := wire.EncodeEntry(fleet.Entry{At: began,
				Items: []fleet.Item{{Command: fleet.UncordonHost{Host: r.hosts[0].id}}}})
			e, _ := wire.DecodeEntry(data)
			state = state.Clone()
			state.Apply(index, e)
		}
	})
}
