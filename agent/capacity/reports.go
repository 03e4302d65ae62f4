package capacity

import (
	"time"

	"skein/raftfsm/fleet"
)

const (
	// Every is how often a host looks at itself.
	Every = time.Second
	// atLeast is how often it reports though little has changed: gossip does not scale
	// with more.
	atLeast = 15 * time.Second
	// changedBy is what counts as much: MiB of memory, 1/1024 cores.
	changedBy = 64
)

// Reports are those of one agent. Not safe for concurrent use.
type Reports struct {
	last fleet.CapacityReport // as published
	at   time.Duration        // monotonic, of last
}

// Newest is the report published last, false before the first.
func (r *Reports) Newest() (fleet.CapacityReport, bool) { return r.last, r.last.Seq > 0 }

// Next numbers a report that is to be published: the first, one that a planner or a
// person would care for, and one each atLeast. False for any other.
func (r *Reports) Next(now time.Duration, report fleet.CapacityReport) (fleet.CapacityReport, bool) {
	if r.last.Seq > 0 && now-r.at < atLeast && !differs(&r.last, &report) {
		return fleet.CapacityReport{}, false
	}
	report.Seq = r.last.Seq + 1
	r.last, r.at = report, now
	return report, true
}

func differs(a, b *fleet.CapacityReport) bool {
	far := func(x, y int64) bool { return x-y >= changedBy || y-x >= changedBy }
	return a.Nonce != b.Nonce || a.Reserved != b.Reserved ||
		a.TasksRunning != b.TasksRunning || a.TasksPending != b.TasksPending || a.PortsUsed != b.PortsUsed ||
		a.Starved != b.Starved || a.Protected != b.Protected || a.Voter != b.Voter ||
		a.Runtime != b.Runtime || far(a.Used.CPU, b.Used.CPU) || far(a.Used.Memory, b.Used.Memory)
}
