package converge

import (
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Effect is one thing the machine wants done. An effect with an ID is answered
// by exactly one [Done], whatever happens; one without is not answered.
// Effects of one task's steps never overlap, so an executor may run everything
// it is given at once.
type Effect struct {
	ID     uint64
	Task   fleet.TaskID  // empty: of the host
	Within time.Duration // deadline; the executor answers with context.DeadlineExceeded at the latest then
	Do     Action
}

// Action is what an effect does. The set is closed: the types below.
type Action interface{ action() }

type (
	// FindImage asks whether an image can start without a registry. Done.Digest is
	// empty when it cannot.
	FindImage struct{ Ref port.ImageRef }
	// Pull makes an image present. Done.Digest is what it became. At most one is
	// in flight for an image however many tasks want it.
	Pull struct{ Ref port.ImageRef }
	// Journal appends records and syncs them. Done says that they are durable, and
	// all records given before. Those of a Journal that failed are kept and written
	// with the next; one without records asks for just that, and does nothing when
	// nothing waits.
	Journal struct{ Records []Record }
	// SaveWanted writes what was accepted to disk.
	SaveWanted struct{ Wanted SavedWanted }
	// SaveRoutes writes the routes that were accepted to disk.
	SaveRoutes struct{ Routes SavedRoutes }
	// ServeRoutes has routes served; see [RoutesServer].
	ServeRoutes struct {
		Epoch, Index uint64
		Routes       fleet.Routes
	}
	// PrepareCgroup makes the task's parent cgroup. Done.Path is where.
	PrepareCgroup struct{ Bounds port.TaskBounds }
	// Create makes a container whose process waits. Done.PID is its process.
	Create struct{ Spec port.ContainerSpec }
	// SetupNetwork connects the task. Done.Addr is its address, if it has one.
	SetupNetwork struct{ Spec port.NetworkSpec }
	// Start lets a created process run.
	Start struct{ Container string }
	// Signal sends a signal to a container, to all its processes when All.
	Signal struct {
		Container string
		Number    int
		All       bool
	}
	// Delete removes a container that has ended.
	Delete struct{ Container string }
	// TeardownNetwork removes the task's network.
	TeardownNetwork struct{}
	// RemoveCgroup removes the task's parent cgroup.
	RemoveCgroup struct{}
	// RemoveLogs removes the task's log folder.
	RemoveLogs struct{}
	// RotateLogs truncates those of the named logs that have grown past their limit.
	RotateLogs struct{ Files []string }
	// ExecCheck runs a health command inside a container. Done.Code is its exit code.
	ExecCheck struct {
		Container string
		Argv      []string
	}
	// HTTPCheck makes a GET. Done.Code is 0 for a 2xx or 3xx answer.
	HTTPCheck struct {
		Container string
		Addr      netip.AddrPort
		Path      string
	}
	// CheckTarget asks a task, as a target of a group, whether it is well: by a
	// connection where there is no path. Done.Code is that of HTTP or of gRPC.
	CheckTarget struct {
		Group    fleet.TargetGroupName
		Addr     netip.AddrPort
		Protocol fleet.GroupProtocol
		Path     string
	}
	// CountConnections counts what is connected to ports of a process's network. Done.Open
	// is how many.
	CountConnections struct {
		PID   int
		Ports []int
	}
	// List looks at what is on the host. Done.Found is the answer. Full also looks
	// at networks, cgroups and logs.
	List struct{ Full bool }
	// SendReports hands a report to the session; ReportAcked answers. Its Host is set.
	SendReports struct{ Report fleet.Report }
	// Answer says what became of a frame: nil when it was accepted.
	Answer struct {
		Ref uint64
		Err error
	}
	// Note is something worth a line in the host's log.
	Note struct {
		Code   NoteCode
		Reason string
	}
	// ArmTimer asks for a Tick at a monotonic time; it replaces the one before.
	// Until Work there are only maintenance: another check of what was well at the last
	// one (lists, checks, logs, the voter's word). A driver that knows that all is
	// well may let a host sleep until then, as the simulator does; Host does not.
	ArmTimer struct{ At, Work time.Duration }
)

func (FindImage) action()        {}
func (Pull) action()             {}
func (Journal) action()          {}
func (SaveWanted) action()       {}
func (SaveRoutes) action()       {}
func (ServeRoutes) action()      {}
func (PrepareCgroup) action()    {}
func (Create) action()           {}
func (SetupNetwork) action()     {}
func (Start) action()            {}
func (Signal) action()           {}
func (Delete) action()           {}
func (TeardownNetwork) action()  {}
func (RemoveCgroup) action()     {}
func (RemoveLogs) action()       {}
func (RotateLogs) action()       {}
func (ExecCheck) action()        {}
func (HTTPCheck) action()        {}
func (CheckTarget) action()      {}
func (CountConnections) action() {}
func (List) action()             {}
func (SendReports) action()      {}
func (Answer) action()           {}
func (Note) action()             {}
func (ArmTimer) action()         {}

// NoteCode says which kind of thing a Note tells. The text is the message of
// the log line: constant and in the past tense.
type NoteCode string

// The notes. Those of warnings say that something degraded and heals itself;
// NoteMassStop asks for a person.
const (
	NoteTaskStarted   NoteCode = "task started"
	NoteTaskFound     NoteCode = "running task found again"
	NoteTaskRerun     NoteCode = "task run again after a reboot without the fleet"
	NoteTaskStopping  NoteCode = "task stopping"
	NoteTaskDrained   NoteCode = "task left its target groups"
	NoteTaskStopped   NoteCode = "task stopped"
	NoteTaskStuck     NoteCode = "task could not be killed"
	NoteHealth        NoteCode = "task health changed"
	NoteOrphan        NoteCode = "unknown task remains found"
	NoteOrphanGone    NoteCode = "unknown task remains removed"
	NoteRetry         NoteCode = "step failed and is tried again"
	NoteRuntimeDown   NoteCode = "container runtime lost"
	NoteRuntimeUp     NoteCode = "container runtime answered"
	NoteFrameRefused  NoteCode = "wanted state refused"
	NoteMassStop      NoteCode = "wanted state would stop most tasks, refused"
	NoteReportRefused NoteCode = "report refused by the fleet"
	NoteAlone         NoteCode = "no voter heard, running on alone"
	NoteDiskFailing   NoteCode = "host loop could not write its files"
	NoteRoutesUnsaved NoteCode = "host loop could not write the routes, which are served all the same"
)

// Warn reports whether the note is of something degraded.
func (c NoteCode) Warn() bool {
	switch c {
	case NoteTaskStuck, NoteOrphan, NoteRetry, NoteRuntimeDown, NoteFrameRefused, NoteMassStop, NoteReportRefused,
		NoteAlone, NoteDiskFailing, NoteRoutesUnsaved:
		return true
	default:
		return false
	}
}
