package converge

import (
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// cstate is what is known of a container, in the order of its life.
type cstate uint8

const (
	cNone    cstate = iota // not made
	cUnknown               // an answer is missing: only a later list tells
	cCreated               // its process waits
	cRunning
	cExited
)

// container is one container of a task.
type container struct {
	name       string
	id         string
	def        *fleet.Container // nil: definition unknown
	state      cstate
	pid        int
	code       *int
	reason     string
	learned    uint64 // event at which state was learned
	seen       bool   // it has existed: a list had it, or its create was answered
	asked      time.Duration
	unsure     int           // creates or starts whose outcome was unknown
	leftover   bool          // of another boot or attempt: in the way until deleted
	missing    time.Duration // first list without it; 0 = it was there
	listed     uint64        // last list that had it
	repulled   bool
	stopSignal int  // the image's; 0 = not told
	logDone    bool // its log was looked at after it ended: nobody writes to it any more

	started  time.Duration // seen running by this agent
	termed   time.Duration // SIGTERM delivered; 0 = no
	killed   time.Duration // SIGKILL delivered; 0 = no
	rekilled time.Duration
	probe    probeView
}

func (c *container) essential() bool { return c.def == nil || !c.def.NotEssential }
func (c *container) living() bool    { return c.state == cCreated || c.state == cRunning }

// grace is how long the container may take after SIGTERM.
func (c *container) grace() time.Duration {
	if c.def == nil {
		return defaultStopTimeout
	}
	return time.Duration(c.def.StopTimeoutS) * time.Second
}

// containerID is how the runtime calls a container.
func containerID(task fleet.TaskID, name string) string { return string(task) + "." + name }

func newContainer(id fleet.TaskID, name string, def *fleet.Container) *container {
	return &container{name: name, id: containerID(id, name), def: def}
}

// stateOf narrows what a runtime tells to what counts.
func stateOf(s port.ContainerState) cstate {
	switch s {
	case port.ContainerCreated:
		return cCreated
	case port.ContainerRunning:
		return cRunning
	case port.ContainerExited:
		return cExited
	default:
		return cUnknown
	}
}
