package converge

import (
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Now is the time of a step: Wall for people and reports, Mono (since any fixed
// instant, never going back) for every delay.
type Now struct {
	Wall fleet.Time
	Mono time.Duration
}

// Event is something that happened. The set is closed: the types below.
type Event interface{ event() }

// SessionOpened says that the fleet has committed a new session of this agent:
// reports count from 1 again and frames of other sessions are refused.
type SessionOpened struct{ Session uint64 }

// Frame is wanted state from a voter. A complete frame is a snapshot: it is
// everything wanted of this host, and absence from it is evidence. A frame that
// is not complete changes what the frames before it on the stream have brought;
// one without tasks is a beat and moves only (Epoch, Index), and Routes where it has
// them. Answered by an [Answer] effect with the frame's Ref, which comes after the
// [ServeRoutes] of its routes; after a refusal the stream must begin again with a
// snapshot.
type Frame struct {
	Ref      uint64 // chosen by the sender, to match the Answer
	Complete bool
	fleet.Wanted
	// LeaderAge is that of the voter, as in VoterHeard.
	LeaderAge time.Duration
}

// VoterHeard says that a byte came from any voter. It must be given for every
// beat: onDisconnect counts from the last word of a leader.
type VoterHeard struct {
	// LeaderAge is how long ago that voter heard its leader; 0: just now, or it
	// leads. Negative: it knows of none.
	LeaderAge time.Duration
}

// Cloned says that a voter opened no session since another machine with this host's
// identity is alive. That machine runs the tasks: this one runs none again by itself, for
// as long as no voter has sent it what to run.
type Cloned struct{}

// VoterLost says that no stream to any voter is up.
type VoterLost struct{}

// ReportAcked says that a report was committed.
type ReportAcked struct {
	Session uint64
	Seq     uint64
}

// ReportRefused says that a report can never be committed as it is: a limit or
// a field. It is not sent again; what changes later is told as ever.
type ReportRefused struct {
	Session uint64
	Seq     uint64
	Err     error
}

// HostChecked carries what else a report says about the host: its self-check
// and capacity. They travel with the next report and again in a new session.
type HostChecked struct {
	Checks   []fleet.Check
	Capacity *fleet.Resources
}

// RuntimeUp says that the container runtime answers. Repeating it is harmless.
type RuntimeUp struct{ Version string }

// RuntimeDown says that the container runtime does not answer, and why.
type RuntimeDown struct{ Err error }

// ContainerChanged is a hint that a container may have changed; the machine
// lists before it believes anything.
type ContainerChanged struct{ ID string }

// Closing says that the agent is about to end: starts that were begun are
// finished, no other is begun.
type Closing struct{}

// Tick says that time has passed, for an [ArmTimer].
type Tick struct{}

// Done is the result of the effect of that ID. Err nil is success; the other
// fields are what the effect's doc says.
type Done struct {
	ID     uint64
	Err    error
	Digest string     // FindImage (empty: not here), Pull
	Path   string     // PrepareCgroup
	PID    int        // Create
	Addr   netip.Addr // SetupNetwork
	Code   int        // ExecCheck, HTTPCheck: 0 is healthy
	Open   int        // CountConnections
	Found  *Found     // List
}

// Found is what a [List] found on this host.
type Found struct {
	Containers []port.ContainerStatus
	// The rest only for a full list: tasks that have a network, a cgroup, a log.
	Networks []fleet.TaskID
	Cgroups  []fleet.TaskID
	Logs     []LogFolder
}

// LogFolder is the log folder of one task.
type LogFolder struct {
	Task  fleet.TaskID
	Bytes int64
}

func (SessionOpened) event()    {}
func (Frame) event()            {}
func (VoterHeard) event()       {}
func (Cloned) event()           {}
func (VoterLost) event()        {}
func (ReportAcked) event()      {}
func (ReportRefused) event()    {}
func (HostChecked) event()      {}
func (RuntimeUp) event()        {}
func (RuntimeDown) event()      {}
func (ContainerChanged) event() {}
func (Closing) event()          {}
func (Tick) event()             {}
func (Done) event()             {}
