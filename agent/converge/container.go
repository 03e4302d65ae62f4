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

// container is one container of a task: a state machine with steps, attempts and
// an end of its own. The task's status follows from those of its containers.
type container struct {
	name  string
	id    string
	def   *fleet.Container // nil: definition unknown
	start containerStart
	step  stepState
	seen  sighting
	stop  containerStop
	probe probeView

	state    cstate
	pid      int
	leftover bool // of another boot or attempt: in the way until deleted
	repulled bool // its image was pulled again, since it was gone when the container was to be made
	logDone  bool // its log was looked at after it ended: nobody writes to it any more
}

// containerStart is how the start of a container stands.
type containerStart struct {
	attempt   int // starts begun, over all boots; 0 = none. Each has its own journal record
	journal   journalState
	unsure    int           // creates or starts whose outcome was unknown
	asked     bool          // Start was asked for
	began     time.Duration // seen running by this agent
	at        fleet.Time    // RUNNING; zero before
	unknownAt time.Duration // journaled by an agent that died, not found though others are: since when; 0 = no
}

// sighting is what lists and answers of the runtime have told, and when.
type sighting struct {
	ever    bool          // it has existed: a list had it, or its create was answered
	learned uint64        // event at which the state was learned
	asked   time.Duration // of the call whose answer is missing
	missing time.Duration // first list without it; 0 = it was there
	listed  uint64        // last list that had it
}

// containerStop is how the end of a container stands.
type containerStop struct {
	signal   int           // the image's stop signal; 0 = not told
	asked    bool          // a signal was asked for
	termed   time.Duration // SIGTERM delivered; 0 = no
	killed   time.Duration // SIGKILL delivered; 0 = no
	rekilled time.Duration
	code     *int
	reason   string
	at       fleet.Time // it ended, or will never run; zero before
}

// runs is the state of the container as people and the fleet know it: PENDING,
// RUNNING or STOPPED, in that order within an attempt.
func (t *task) runs(c *container) fleet.TaskStatus {
	switch {
	case c.stop.at != 0, t.status.last == fleet.TaskStopped:
		return fleet.TaskStopped
	case c.start.at != 0 && !c.leftover:
		return fleet.TaskRunning
	}
	return fleet.TaskPending
}

// beginAgain resets the container to be started once more, with the attempt number of
// the task. Nothing of the earlier start counts.
func (c *container) beginAgain(attempt int) {
	c.start = containerStart{attempt: max(c.start.attempt+1, attempt)}
	c.stop, c.repulled = containerStop{}, false
}

// left reports whether the container, or a step of it, is in the way of the
// task's end.
func (c *container) left() bool {
	return c.step.effect != 0 || !c.leftover && (c.state == cUnknown || c.living())
}

// running takes note that the container's process was let run.
func (c *container) running(now Now) {
	c.state, c.start.began = cRunning, max(now.Mono, 1)
	if c.start.at == 0 {
		c.start.at = now.Wall
	}
}

// ended takes note that the container has ended, or will never run.
func (c *container) ended(at fleet.Time) {
	if c.stop.at == 0 {
		c.stop.at = at
	}
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

// newContainer makes a container of the task. What the journal tells of its start
// is part of it.
func (t *task) newContainer(name string, def *fleet.Container) *container {
	c := &container{name: name, id: fleet.ContainerID(t.id, name), def: def}
	attempt, named := t.start.records[name]
	if !named {
		attempt = t.start.records[anyContainer]
	}
	c.start.attempt = attempt
	if attempt > 0 && !t.start.oldBoot {
		c.start.journal = journaledDurably
	}
	return c
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
