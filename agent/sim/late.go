package sim

import (
	"skein/agent/sim/invariant"
	"skein/raftfsm/fleet"
)

// resend brings a report to a voter once more, long after it was sent, from an
// agent that may be gone: a packet that was held up on its way.
func (w *World) resend(from, to *host, r fleet.Report) {
	w.net.Send(from.id, to.id, func() {
		if v := to.agent; v != nil {
			v.serves.report(r, func(error) {}) // nobody waits for the answer
		}
	})
}

// countLoop looks at what a leader loop has counted: a command that the fold
// refuses is a bug of a planner.
func (w *World) countLoop(l *leading) {
	s := l.driver.Stats()
	w.stats.Passes += s.Passes - l.passes
	l.passes = s.Passes
	for by, n := range s.FoldRefused {
		if n > 0 && !w.cfg.Mutation.breaksFold() {
			w.watch.fail("fold", "a command of planner "+by+" was refused by the State that it was planned on")
			return
		}
	}
}

// final asks, once the fleet is at rest, whether the log that a majority has now
// has every write that was acknowledged.
func (x *watch) final() {
	x.checker.FinalLog(func(a invariant.Ack) bool {
		receipt := x.w.truth.Receipt(a.Token)
		return receipt != nil && receipt.Index <= a.Index
	})
}
