package converge

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// MachineConfig is what a machine knows of its host.
type MachineConfig struct {
	Fleet      fleet.FleetID // empty: that of the saved wanted state, or of the first frame
	Host       fleet.HostID
	HostName   string
	Zone       string
	Boot       string // kernel boot id: containers of another one are gone
	LogDir     string
	ResolvConf string // given to tasks of bridge and host mode
	HostsFile  string
	Limits     Limits
}

// Machine decides what this host does. It is a function of its configuration,
// what was saved, and the events since: it reads no clock and does no work.
type Machine struct {
	cfg   MachineConfig
	began time.Duration
	now   Now
	out   []Effect

	nextID uint64            // of effects
	seq    uint64            // of events: orders what was learned
	flight map[uint64]flight // effects not answered yet

	tasks       map[fleet.TaskID]*task
	dirty       []fleet.TaskID
	timers      timers // of work
	maintenance timers
	armed       ArmTimer

	voters   contact
	wants    acceptance
	runtime  runtimeView
	relist   relisting
	images   images
	starts   slots
	probes   probeQueue
	disk     disk
	routing  routing
	reports  reporter
	logs     keptLogs
	standing map[NoteCode]string // degraded conditions that hold now
}

// flight is an effect that was not answered yet.
type flight struct {
	task fleet.TaskID
	do   Action
	at   time.Duration
	seq  uint64
}

// contact is what is known of the voters.
type contact struct {
	session   uint64
	connected bool
	ever      bool          // in this life of the agent
	heard     time.Duration // last byte; the agent's start when there was none
	heardWall fleet.Time
	led       time.Duration // last word of a leader, however it came; else as heard
	word      bool          // a complete snapshot was accepted in this life
	synced    bool          // ... and in this session
	alone     bool          // the log was told
	decided   bool          // what to do with tasks of another boot
}

// NewMachine makes the machine of a host whose agent starts now with what is
// on its disk. Nothing happens to any task before the first list of containers.
func NewMachine(cfg MachineConfig, saved Saved, now Now) *Machine {
	cfg.Limits = cfg.Limits.orDefault()
	m := &Machine{
		cfg:      cfg,
		began:    now.Mono,
		now:      now,
		flight:   make(map[uint64]flight),
		tasks:    make(map[fleet.TaskID]*task),
		armed:    ArmTimer{At: noTime, Work: noTime},
		standing: make(map[NoteCode]string),
	}
	m.runtime.since = now.Mono
	m.voters.heard, m.voters.heardWall, m.voters.led = now.Mono, now.Wall, now.Mono
	m.wants.defs = make(map[fleet.TaskDefID]*fleet.TaskDef)
	m.relist.init(now.Mono)
	m.images.init()
	m.starts.held = make(map[fleet.TaskID]bool)
	m.remember(saved)
	return m
}

// Step takes events in order and returns what is to be done, in order. Equal
// machines given equal steps return equal effects.
func (m *Machine) Step(now Now, events []Event) []Effect {
	now.Mono = max(now.Mono, m.now.Mono)
	m.now, m.out = now, nil
	m.tellRoutes() // those of before the agent started
	for _, e := range events {
		m.seq++
		m.take(e)
	}
	m.wake()
	m.settle()
	m.fillProbes()
	m.settle()
	m.relistIfDue()
	m.write()
	m.saveRoutes()
	m.report()
	m.arm()
	return m.out
}

func (m *Machine) take(e Event) {
	switch e := e.(type) {
	case SessionOpened:
		m.openSession(e.Session)
	case Frame:
		m.heard(e.LeaderAge)
		m.receive(e)
	case VoterHeard:
		m.heard(e.LeaderAge)
	case Cloned:
		m.heard(0)
		m.voters.decided = true // its tasks run where the original is
	case VoterLost:
		m.voters.connected = false
	case ReportAcked:
		m.heard(0) // a leader has committed it
		m.acked(e)
	case ReportRefused:
		m.heard(-1)
		m.refused(e)
	case HostChecked:
		m.reports.checked(e)
	case RuntimeUp:
		m.runtimeUp(e.Version)
	case RuntimeDown:
		m.runtimeDown(e.Err)
	case ContainerChanged:
		m.relist.want = true
	case Done:
		m.done(e)
	case Closing:
		m.starts.closing = true
	case Tick:
		m.armed = ArmTimer{} // it has fired: ask again, also for the same time
	}
}

// settle advances every task that something happened to, and those that this
// gives room to.
func (m *Machine) settle() {
	for i := 0; i < len(m.dirty); i++ {
		t := m.tasks[m.dirty[i]]
		if t == nil {
			continue
		}
		t.wake.dirty = false
		m.advance(t)
	}
	m.dirty = m.dirty[:0]
}

// touch has a task looked at before the step ends.
func (m *Machine) touch(t *task) {
	if !t.wake.dirty {
		t.wake.dirty = true
		m.dirty = append(m.dirty, t.id)
	}
}

func (m *Machine) touchAll() {
	for _, id := range m.taskIDs() {
		m.touch(m.tasks[id])
	}
}

// taskIDs returns all tasks in order, so that map order decides nothing.
func (m *Machine) taskIDs() []fleet.TaskID {
	ids := make([]fleet.TaskID, 0, len(m.tasks))
	for id := range m.tasks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// emit adds an effect that will be answered.
func (m *Machine) emit(id fleet.TaskID, within time.Duration, do Action) uint64 {
	m.nextID++
	m.flight[m.nextID] = flight{task: id, do: do, at: m.now.Mono, seq: m.seq}
	m.out = append(m.out, Effect{ID: m.nextID, Task: id, Within: within, Do: do})
	return m.nextID
}

// post adds an effect that nobody answers.
func (m *Machine) post(id fleet.TaskID, do Action) {
	m.out = append(m.out, Effect{Task: id, Do: do})
}

// stamp is the present as a stamp whose zero value means "never".
func (m *Machine) stamp() time.Duration { return max(m.now.Mono, 1) }

func (m *Machine) recordNote(id fleet.TaskID, code NoteCode, reason string) {
	m.post(id, Note{Code: code, Reason: reason})
}

// stand records a degraded condition for the status, and notes it when it is new.
func (m *Machine) stand(code NoteCode, reason string) {
	if m.standing[code] == reason {
		return
	}
	m.standing[code] = reason
	m.recordNote("", code, reason)
}

// clear ends a degraded condition.
func (m *Machine) clear(code NoteCode) { delete(m.standing, code) }

// done hands a result to whoever asked for it. Results of a step of a task that
// is gone are of no use.
func (m *Machine) done(d Done) {
	f, ok := m.flight[d.ID]
	if !ok {
		return
	}
	delete(m.flight, d.ID)
	switch f.do.(type) {
	case ExecCheck, HTTPCheck, CheckTarget:
		m.probes.flying-- // also where its task is gone
	}
	switch do := f.do.(type) {
	case FindImage:
		m.imageFound(do.Ref, d)
	case Pull:
		m.imagePulled(do.Ref, d)
	case Journal:
		m.journaled(do, d.Err)
	case SaveWanted:
		m.wantedSaved(d.Err)
	case SaveRoutes:
		m.routesSaved(d.Err)
	case List:
		m.listed(f, d)
	case RotateLogs:
		m.logs.rotating = false
	case RemoveLogs:
		m.logsRemoved(f.task, d.Err)
	default:
		if t := m.tasks[f.task]; t != nil {
			m.stepDone(t, f, d)
			m.touch(t)
		}
	}
}

// stepDone hands the result of a step or a probe to its task.
func (m *Machine) stepDone(t *task, f flight, d Done) {
	switch do := f.do.(type) {
	case ExecCheck:
		m.probed(t, do.Container, f, d)
		return
	case HTTPCheck:
		m.probed(t, do.Container, f, d)
		return
	case CheckTarget:
		m.targetProbed(t, do, f, d)
		return
	case CountConnections:
		m.connectionsCounted(t, f, d)
		return
	}
	t.start.moved = m.now.Mono
	if t.sandbox.step.effect == d.ID {
		t.sandbox.step.effect = 0
	}
	for _, c := range t.containers {
		if c.step.effect == d.ID {
			c.step.effect = 0
		}
	}
	switch do := f.do.(type) {
	case PrepareCgroup:
		m.cgroupPrepared(t, d)
	case Create:
		m.created(t, do, d)
	case SetupNetwork:
		m.networked(t, d)
	case Start:
		m.startedOne(t, do.Container, d)
	case Signal:
		m.signalled(t, do, d)
	case Delete:
		m.deleted(t, do.Container, d)
	case TeardownNetwork:
		m.networkGone(t, d)
	case RemoveCgroup:
		m.cgroupGone(t, d)
	}
}
