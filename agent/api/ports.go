package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

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

// Members is what gossip knows.
type Members interface {
	// Reports are the newest of each host, in no order.
	Reports() []fleet.CapacityReport
	// Members are the hosts of the ring, this one included, in no order.
	Members() []Member
}

// Member is one host of the gossip ring.
type Member struct {
	Host    fleet.HostID
	Name    string
	Zone    string
	Role    string // "voter" or "worker"
	Version string
	Addr    netip.AddrPort
	Alive   bool // false: suspected or dead
}

// Local is what this host's own loop knows, with or without a fleet.
type Local interface {
	// Tasks are those this host holds, by id.
	Tasks() []LocalTask
	// AloneSince is when the last voter was heard, zero while one is.
	AloneSince() time.Time
	// Ready is nil when this agent does its work: runtime and disk answer.
	Ready() error
}

// LocalTask is a task as its own host knows it.
type LocalTask struct {
	ID       fleet.TaskID
	Service  string
	Revision fleet.RevisionID
	TaskDef  fleet.TaskDefID
	Desired  fleet.TaskStatus
	Last     fleet.TaskStatus
	Health   fleet.Health
	Ports    []fleet.PortBinding
	Reason   string
	// Containers in the order of the definition; none where the host cannot tell.
	Containers []fleet.ContainerState
}

// Images finds the digest behind an image reference.
type Images interface {
	// Resolve asks the registry. Errors: port.ErrImageNotFound, or any other when
	// the registry does not answer.
	Resolve(ctx context.Context, image string) (digest string, err error)
}

// Tokens makes and reads the text of tokens; their secrets are never stored.
type Tokens interface {
	// Mint makes a new token: its public id, the text to hand out, and the hash
	// that State keeps.
	Mint(kind fleet.TokenKind, f *fleet.Fleet) (id fleet.TokenID, text string, hash []byte, err error)
	// Read takes a text apart: whose it says it is, and the hash of its secret.
	Read(text string) (id fleet.TokenID, hash []byte, err error)
}
