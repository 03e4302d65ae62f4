package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"skein/agent/api/view"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Outcomes of Voter.Propose that are not a command's own refusal. An adapter
// wraps its errors with them.
var (
	ErrNotLeader = errors.New("not the leader")
	ErrUnknown   = errors.New("outcome unknown") // may still commit: repeat with the same receipt
	ErrBusy      = errors.New("leader is busy")
)

// Voter is the State and log of a host that holds them.
type Voter interface {
	// State is the newest snapshot applied here, never nil.
	State() *fleet.State
	// Age is how long ago the State was known to be the newest: 0 on the leader,
	// elsewhere the time since the leader was last heard.
	Age() time.Duration
	IsLeader() bool
	// Leader is the host that leads, false when nobody is known to.
	Leader() (fleet.HostID, bool)
	// Traffic is what hosts count of these target groups, as the leader heard it: soon after
	// the first call, and for as long as it is called. Elsewhere it is empty.
	Traffic(groups []fleet.TargetGroupName) plan.Traffic
	// Verify returns nil once this host has proven that it leads and its State
	// holds all that was committed before the call.
	Verify(ctx context.Context) error
	// Propose returns once the items are committed and applied here. Errors:
	// ErrNotLeader, ErrUnknown, ErrBusy; refusals are in the results.
	Propose(ctx context.Context, items []fleet.Item) ([]fleet.Result, uint64, error)
	// Subscribe calls f after each entry applied, until cancel; f returns at once.
	Subscribe(f func(index uint64, t fleet.ChangeSet)) (cancel func())
}

// Forwarder hands a request to another host and its answer back. An error means
// that nothing was written to w; the request may have been carried out.
type Forwarder interface {
	// Forward proxies to the leader, or to any voter when toLeader is false.
	Forward(w http.ResponseWriter, r *http.Request, toLeader bool) error
}

// Local is what this host's own loop knows, with or without a fleet.
type Local interface {
	// Tasks are those this host holds, by id.
	Tasks() []view.LocalTask
	// AloneSince is when the last voter was heard, zero while one is.
	AloneSince() time.Time
	// Ready is nil when this agent does its work: runtime and disk answer.
	Ready() error
	// ServesTraffic is nil while the ingress of this host takes new requests.
	ServesTraffic() error
}
