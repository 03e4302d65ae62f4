package converge

import (
	"net/netip"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// phase is where a task stands on this host.
type phase uint8

const (
	phaseStarting phase = iota + 1 // to run: being started, or running
	phaseStopping                  // to end: being stopped
	phaseStopped                   // ended; kept until the fleet knows and forgot it
	phaseRemoving                  // what is left of it is being removed
)

// deferral is why nothing is decided about a task yet.
type deferral uint8

const (
	deferNone   deferral = iota
	deferRan             // it ran in another boot of this host
	deferNew             // assigned in another boot, or known from an old copy only; never started
	deferOrphan          // found by its label; no wanted state and no journal knows it
)

// journalState is how far the record of a start has come.
type journalState uint8

const (
	notJournaled journalState = iota
	journaling
	journaledDurably
)

// task is one task as this host knows it: what it is to be, how its start and its
// end stand, what was made for it, and what is said of it.
type task struct {
	id         fleet.TaskID
	phase      phase
	deferral   deferral
	spec       taskSpec
	start      startState
	stop       *stopState // nil: it is not to end
	containers []*container
	sandbox    sandbox
	wake       wakeState

	status statusView
	health healthView
	// targets are filled by targetsOf.
	targets []targetProbe
	report  reportView
}

// taskSpec is what the task is and what the fleet wants of it.
type taskSpec struct {
	wanted      *fleet.WantedTask // nil: not on the list, or not any more
	def         *fleet.TaskDef    // nil: nobody told
	listedGen   uint64            // acceptance that listed it first
	gone        bool              // a frame no longer listed it
	goneGen     uint64            // that acceptance
	notWanted   uint64            // acceptance since which it is not to run: asked to stop, or not listed; 0 = it is
	orphan      bool              // found here, and the fleet never named it: nothing is reported of it
	orphanSince time.Duration
}

// startState is how the task's start stands, and where the task came from.
type startState struct {
	attempt   int            // the last one begun; 0 = never
	oldBoot   bool           // that was in another boot
	records   map[string]int // what the journal had when the agent began: attempts by container
	at        fleet.Time     // of the first record of the attempt
	pending   bool           // taken up: PENDING
	found     bool           // running already when this agent listed first
	unknownAt time.Duration  // journaled by an agent that died, nothing found yet: since when; 0 = no
	rerun     bool           // a cold start: prefer images that are here
	moved     time.Duration  // a step of it began or ended
}

// stopState is a decision that a task ends, and how far it is on disk.
type stopState struct {
	code       fleet.StopCode // zero when the fleet asked
	reason     string
	at         fleet.Time
	drain      drain                 // before the first signal
	elapsed    time.Duration         // of the grace, by an agent before this one
	released   bool                  // no container is left: what they shared is being removed
	exits      []fleet.ContainerExit // from the journal, for containers not found any more
	record     uint64                // number of its record; 0: the journal had it already
	awaitsDisk bool                  // for its record, or a list without the task, to be durable
}

// sandbox is what a task's containers share: the parent cgroup and the network.
type sandbox struct {
	step       stepState
	cgroup     string
	cgroupGone bool
	network    networkState
	ready      bool          // the network was set up or checked in this life of the agent
	retryAt    time.Duration // no repair of the network before
	addr       netip.Addr
}

// networkState is what may be left of a task's network.
type networkState uint8

const (
	networkNone networkState = iota
	networkMade              // asked for, or found: must be torn down
)

// stepState is the step of a container or of the sandbox that is in flight, and
// the pause after steps that failed. Each container has its own, so a call that
// hangs keeps only its container waiting.
type stepState struct {
	effect  uint64        // in flight, 0 for none
	retryAt time.Duration // no step before
	tries   int           // of the present step
	err     error         // why the last try failed
}

// wakeState is when the machine is to look at the task again.
type wakeState struct {
	dirty       bool
	due         time.Duration // of its newest timer of work
	maintenance time.Duration // of its newest timer of maintenance
}

// statusView is what is told of where the task stands.
type statusView struct {
	last      fleet.TaskStatus
	since     fleet.Time // of last
	startedAt fleet.Time // of RUNNING
	stoppedAt fleet.Time
	why       string // why it does not move, for people
}

// define gives the task its definition; containers known already keep what is
// known of them and stand in the order of the definition.
func (t *task) define(def *fleet.TaskDef) {
	if t.spec.def != nil || def == nil {
		return
	}
	t.spec.def = def
	known := t.containers
	t.containers = nil
	for i := range def.Containers {
		c := &def.Containers[i]
		at := slices.IndexFunc(known, func(k *container) bool { return k.name == c.Name })
		if at < 0 {
			t.containers = append(t.containers, t.newContainer(c.Name, c))
			continue
		}
		known[at].def = c
		t.containers = append(t.containers, known[at])
		known = slices.Delete(known, at, at+1)
	}
	t.containers = append(t.containers, known...) // found by label, not of the definition
}

func (t *task) container(name string) *container {
	for _, c := range t.containers {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (t *task) byID(id string) *container {
	for _, c := range t.containers {
		if c.id == id {
			return c
		}
	}
	return nil
}

// any reports whether a container of this boot satisfies f.
func (t *task) any(f func(*container) bool) bool {
	return slices.ContainsFunc(t.containers, func(c *container) bool { return !c.leftover && f(c) })
}

// idle reports whether no step of any container is in flight.
func (t *task) idle() bool {
	return !slices.ContainsFunc(t.containers, func(c *container) bool { return c.step.effect != 0 })
}

// joinPID is a living process whose network namespace is the task's.
func (t *task) joinPID() int {
	for _, c := range t.containers {
		if c.living() && !c.leftover {
			return c.pid
		}
	}
	return 0
}

// traced reports whether anything of this boot shows that the task was begun.
func (t *task) traced() bool {
	return t.start.attempt > 0 || t.any(func(c *container) bool { return c.state != cNone })
}

// mode is the task's network mode; that of an unknown definition is not known
// and nothing is set up for it.
func (t *task) mode() fleet.NetworkMode {
	if t.spec.def == nil {
		return fleet.NetworkHost
	}
	return t.spec.def.NetworkMode
}

// asked reports whether the fleet says that the task is to end, or has ended.
func (t *task) asked() bool {
	return t.spec.wanted != nil && (t.spec.wanted.Desired == fleet.TaskStopped || t.spec.wanted.Last == fleet.TaskStopped)
}

// service reports whether the task belongs to a service.
func (t *task) service() bool { return t.spec.wanted != nil && t.spec.wanted.Service != "" }

// advance moves each container of a task by at most one step, or its sandbox, and keeps what is said of it true.
func (m *Machine) advance(t *task) {
	t.status.why = ""
	m.moveOn(t)
	if m.tasks[t.id] != t {
		return // collected
	}
	m.derive(t)
	m.relook(t)
	m.probe(t)
	m.probeTargets(t)
	m.publish(t)
	m.schedule(t)
}

func (m *Machine) moveOn(t *task) {
	if !m.relist.done {
		t.status.why = "the container runtime has not been looked at yet"
		return
	}
	if t.deferral != deferNone {
		m.held(t)
		return
	}
	if t.asked() {
		m.endAsked(t)
	}
	m.cutOff(t)
	switch {
	case t.sandbox.step.effect != 0:
		t.status.why = "a step of its cgroup or network is in flight"
	case m.now.Mono < t.sandbox.step.retryAt:
		t.status.why = "the last step failed and waits to be tried again: " + t.sandbox.step.err.Error()
	case t.phase == phaseStarting:
		m.stepStart(t)
	case t.phase == phaseStopping:
		m.stepStop(t)
	case t.phase == phaseStopped, t.phase == phaseRemoving:
		m.collect(t)
	}
}

// doSandbox begins a step of what a task's containers share; its result comes
// back through stepDone. No container has a step in flight meanwhile.
func (m *Machine) doSandbox(t *task, within time.Duration, action Action) {
	t.sandbox.step.effect, t.start.moved = m.emit(t.id, within, action), m.now.Mono
}

// do begins a step of a container; its result comes back through stepDone.
func (m *Machine) do(t *task, c *container, within time.Duration, action Action) {
	c.step.effect, t.start.moved = m.emit(t.id, within, action), m.now.Mono
}

// waits says why a container can take no step now, if so.
func (m *Machine) waits(c *container) string {
	switch {
	case c.step.effect != 0:
		return "a step of container " + c.name + " is in flight"
	case m.now.Mono < c.step.retryAt:
		return "the last step of container " + c.name + " failed and waits to be tried again: " + c.step.err.Error()
	}
	return ""
}

// whyRuntimeDown is why a task gets no further while its host's runtime is down.
const whyRuntimeDown = "container runtime does not answer"

// heldUp reports whether a container of a task that ends can take no step now, and
// keeps why.
func (m *Machine) heldUp(t *task, c *container) bool {
	why := m.waits(c)
	if why == "" && !m.runtime.up {
		why = whyRuntimeDown
	}
	if why == "" {
		return false
	}
	t.status.why = why
	return true
}

// again puts the next step off, longer with each try, and says why.
func (m *Machine) again(t *task, s *stepState, err error) {
	s.tries++
	s.err = err
	s.retryAt = m.now.Mono + backOff(retryBackOffBase, retryBackOffCap, s.tries)
	m.recordNote(t.id, NoteRetry, err.Error())
}

// succeeded ends a row of failures.
func (s *stepState) succeeded() { s.tries, s.retryAt, s.err = 0, 0, nil }

// backOff is base doubled with each try after the first, up to a cap.
func backOff(base, most time.Duration, tries int) time.Duration {
	for ; tries > 1 && base < most; tries-- {
		base *= 2
	}
	return min(base, most)
}
