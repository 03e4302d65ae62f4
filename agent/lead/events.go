package lead

import (
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Instant is a moment by both clocks: Wall for stamps and deadlines in State, as
// the log stamps its entries (Log.FleetTime), Mono (any zero) for everything this
// process measures.
type Instant struct {
	Wall fleet.Time
	Mono time.Duration
}

// Event is something that happened. Closed set.
type Event interface{ event() }

type (
	// BecameLeader: elected, and a barrier has passed, so that State holds
	// everything earlier leaders (or we) may have proposed.
	BecameLeader struct{ State *fleet.State }
	// LostLeadership: nothing is planned until BecameLeader.
	LostLeadership struct{}
	// Applied: State is newer; ChangeSet is what changed since the last Applied.
	Applied struct {
		State     *fleet.State
		ChangeSet fleet.ChangeSet
	}
	// LivenessChanged is a new view of the fleet.
	LivenessChanged struct {
		Liveness plan.FleetLiveness
		Traffic  plan.Traffic // that was taken with it
	}
	// ProposalDone: our proposal N committed, its last entry at Index (0: none).
	// NotProposed is why some entries were not proposed and never will be.
	ProposalDone struct {
		N           uint64
		Index       uint64
		Results     []fleet.Result // of all entries that committed
		NotProposed error
	}
	// ProposalUnknown: our proposal N may or may not commit.
	ProposalUnknown struct {
		N   uint64
		Err error
	}
)

func (BecameLeader) event()    {}
func (LostLeadership) event()  {}
func (Applied) event()         {}
func (LivenessChanged) event() {}
func (ProposalDone) event()    {}
func (ProposalUnknown) event() {}

// Effect is something to be done. Closed set.
type Effect interface{ effect() }

type (
	// Propose commits the entries, each when the one before it has, and answers
	// with ProposalDone or ProposalUnknown of the same N. At most one is under way.
	Propose struct {
		N       uint64
		Entries [][]fleet.Item
	}
	// Probe asks witnesses for hosts; what they say comes with LivenessChanged.
	Probe struct{ Hosts []fleet.HostID }
	// Watch has hosts tell of these target groups and no others; it holds until the next one.
	Watch struct{ Groups []fleet.TargetGroupName }
	// StepDown gives leadership away; the loop has stopped planning.
	StepDown struct{ Why string }
	// HandOver gives leadership away while all is well; the loop plans on until
	// it is lost.
	HandOver struct{ Why string }
	// Wake asks for a step at this time of the monotonic clock, if nothing causes one
	// before.
	Wake struct{ At time.Duration }
)

func (Propose) effect()  {}
func (Probe) effect()    {}
func (Watch) effect()    {}
func (StepDown) effect() {}
func (HandOver) effect() {}
func (Wake) effect()     {}
