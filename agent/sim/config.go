package sim

import (
	"io"
	"time"

	"skein/agent/effects"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// Config is what a world is made of. Worlds of equal configurations that are
// given the same operations are equal.
type Config struct {
	Seed  uint64
	Hosts []Machine
	// Network is how messages fare to begin with.
	Network virtual.NetworkConditions
	// Tuning are sizes and times that production fixes and a run may turn.
	Tuning Tuning
	// Large has voters share one State and hosts that are well do no maintenance: both
	// change only what a run costs.
	Large bool
	// Mixed takes some of this build's commands for what a newer build has brought.
	Mixed bool
	// Await has each new leader ask how far hosts have come with what they are sent.
	Await bool
	// Mutation breaks one rule; empty for none. See Mutations.
	Mutation Mutation
	// Trace gets every line of the trace; nil keeps the last ones only.
	Trace io.Writer
	// FailCall has the n-th call of a host to its runtime, network, disk or
	// registry fail; 0 for none.
	FailCall int
	// MostEvents ends a world that has had so many events as a livelock; 0 = never.
	MostEvents uint64
	// Done ends the world at the next event once it is closed; nil for never. What an
	// interrupted world has come to proves nothing.
	Done <-chan struct{}
	// RunEffect says what a run of an effect comes to, and after how long; nil: what
	// the effect's input says.
	RunEffect func(host fleet.HostID, r effects.Request) (after time.Duration, a effects.Answer)
	// CrashLeader has the machine of the leader lose power when the log has come
	// to this index; 0 for never.
	CrashLeader uint64
}

// Machine is a host to be.
type Machine struct {
	Name     string
	Zone     string
	Capacity fleet.Resources
}

// Tuning are buggified constants: the zero value is production's.
type Tuning struct {
	Start      time.Duration // a container start takes about this long; 0 = 80 ms
	Pull       time.Duration // an image pull; 0 = 2 s
	Sync       time.Duration // an fsync; 0 = 2 ms
	AnswerLost float64       // share of the answers of local calls that are lost though the call had its effect
	CallFails  float64       // share of local calls that fail
	StreamCut  float64       // share of frames after which a stream breaks
	TickTwice  float64       // share of timers that fire twice
	StaleFrame float64       // share of frames that are delivered again later
	LateReport float64       // share of reports that are delivered again later
	Snapshot   int           // entries between two snapshots of a log; 0 = 4096
	Starts     int           // starts in flight on a host; 0 = production's
}

func (k Tuning) orDefault() Tuning {
	if k.Start == 0 {
		k.Start = 80 * time.Millisecond
	}
	if k.Pull == 0 {
		k.Pull = 2 * time.Second
	}
	if k.Sync == 0 {
		k.Sync = 2 * time.Millisecond
	}
	return k
}

// Uniform is a fleet of n equal machines h1, h2, ... in three zones in turn.
func Uniform(n int, capacity fleet.Resources) []Machine {
	hosts := make([]Machine, n)
	for i := range hosts {
		hosts[i] = Machine{Name: hostName(i + 1), Zone: string("abc"[i%3]), Capacity: capacity}
	}
	return hosts
}
