package lead

import (
	"context"
	"log/slog"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Log is the replicated log as the leader needs it.
type Log interface {
	// State is the newest published State, never nil.
	State() *fleet.State
	// FleetTime is what an entry proposed now would be stamped with.
	FleetTime() fleet.Time
	// Subscribe calls after each publish, in order, from the goroutine that
	// applies; the call returns at once.
	Subscribe(func(index uint64, t fleet.ChangeSet)) (cancel func())
	// Propose commits items as one entry. An error means that they may or may not
	// commit, but for those that Config.NotProposed knows.
	Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error)
	// Leadership sends true when this agent becomes the Raft leader and false when
	// it is no longer.
	Leadership() <-chan bool
	IsLeader() bool
	// Barrier returns when everything before it in the log is applied here.
	Barrier(ctx context.Context) error
	// Transfer gives leadership to another voter.
	Transfer() error
}

// FailureDetector is the leader's view of the fleet.
type FailureDetector interface {
	// Liveness is the view now; the value is the caller's to keep.
	Liveness() plan.FleetLiveness
	// Traffic is what hosts counted of the groups that are watched; the value is the
	// caller's to keep.
	Traffic() plan.Traffic
	// Watch has hosts tell of the traffic of these target groups and no others, for as long
	// as this agent leads. While there is one, it is heard too how far hosts have come with
	// routes (plan.HostLiveness.Served), of each until it serves the newest.
	Watch(groups []fleet.TargetGroupName)
	// Probe asks witnesses for the hosts and returns at once. A host already
	// being asked for is not asked for twice.
	Probe(hosts []fleet.HostID)
	// Changed sends when a host is seen otherwise than before; it may be nil, and
	// then the view is read every PollEvery.
	Changed() <-chan struct{}
}

// Clock tells the time; runtime/seam/clock has one.
type Clock interface {
	Now() time.Time
	Mono() time.Duration
}

// Duty is work that only the leader does beside planning, like the voter
// keeper. It is run once a term of leadership, after the barrier; its context
// ends with the leadership and it must then return at once. An error is logged,
// and the duty rests until the next term.
type Duty struct {
	Name string
	Run  func(ctx context.Context) error
}

// Config is what a Leader needs.
type Config struct {
	Log             Log
	FailureDetector FailureDetector
	Clock           Clock
	NewID           func() fleet.TaskID
	// NotProposed reports whether an error of Log.Propose says that nothing was done
	// and nothing will be (the log is busy); nil for no such errors.
	NotProposed func(error) bool
	Duties      []Duty
	Logger      *slog.Logger
}
