package converge

import (
	"net/netip"
	"slices"

	"skein/raftfsm/fleet"
)

// Status is this host as its loop sees it, for people. It is the caller's.
type Status struct {
	Tasks    []TaskStatus // by id
	Running  int          // RUNNING and wanted so
	Pending  int          // wanted running, not there yet
	Stopping int          // on the way to STOPPED
	Stopped  int          // STOPPED, kept until the fleet has heard
	Unknown  int          // remains of tasks that nobody knows

	Listed         bool   // containers have been listed once: before that nothing is known
	RuntimeUp      bool   //
	RuntimeVersion string // as it last told
	RuntimeError   string // why it does not answer

	Epoch, Index uint64     // of the wanted state accepted last
	Session      uint64     // 0: none yet
	VoterHeard   bool       // in this life of the agent
	VoterUp      bool       // a stream to one is up
	AloneSince   fleet.Time // last word of a voter, when it is longer ago than beats come; zero: not alone

	Conditions []Condition // degraded, sorted by code
}

// Condition is something degraded that holds now.
type Condition struct {
	Code   NoteCode
	Reason string
}

// TaskStatus is one task on this host.
type TaskStatus struct {
	Task       fleet.TaskID
	Service    string
	Revision   fleet.RevisionID
	TaskDef    fleet.TaskDefID
	Desired    fleet.TaskStatus // zero: no wanted state names it
	Status     fleet.TaskStatus // zero: not known yet
	Since      fleet.Time       // of Status
	StartedAt  fleet.Time       // RUNNING since; zero before
	Health     fleet.Health     //
	Attempt    int              //
	Address    netip.Addr       // in bridge mode; not valid before the network is up
	Ports      []fleet.PortBinding
	Containers []ContainerView
	Why        string         // why it does not move on; empty when it does, or need not
	StopCode   fleet.StopCode // once it ends for a reason of this host's
	Reason     string         // why it ends
	Exits      []fleet.ContainerExit
}

// ContainerView is one container of a task.
type ContainerView struct {
	Name  string
	ID    string
	Image string
	State string               // "none", "unknown", "created", "running", "exited"
	PID   int                  // while it lives
	Told  fleet.ContainerState // what is reported of it
}

var cstateNames = [...]string{"none", "unknown", "created", "running", "exited"}

// Status returns the machine's view of now.
func (m *Machine) Status() Status {
	s := Status{
		Listed:         m.relist.done,
		RuntimeUp:      m.runtime.up,
		RuntimeVersion: m.runtime.version,
		Epoch:          m.wants.at.epoch,
		Index:          m.wants.at.index,
		Session:        m.voters.session,
		VoterHeard:     m.voters.ever,
		VoterUp:        m.voters.connected,
	}
	if m.runtime.err != nil {
		s.RuntimeError = m.runtime.err.Error()
	}
	if m.voters.alone {
		s.AloneSince = m.voters.heardWall
	}
	for _, id := range m.taskIDs() {
		t := m.tasks[id]
		s.count(t)
		s.Tasks = append(s.Tasks, m.taskStatus(t))
	}
	for code, reason := range m.standing {
		s.Conditions = append(s.Conditions, Condition{code, reason})
	}
	slices.SortFunc(s.Conditions, func(a, b Condition) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return s
}

func (s *Status) count(t *task) {
	switch {
	case t.spec.orphan:
		s.Unknown++
	case t.status.last == fleet.TaskStopped:
		s.Stopped++
	case t.phase == phaseStopping:
		s.Stopping++
	case t.status.last == fleet.TaskRunning:
		s.Running++
	default:
		s.Pending++
	}
}

func (m *Machine) taskStatus(t *task) TaskStatus {
	r := m.taskReport(t)
	v := TaskStatus{
		Task:      t.id,
		Status:    t.status.last,
		Since:     t.status.since,
		StartedAt: t.status.startedAt,
		Health:    r.Health,
		Attempt:   t.start.attempt,
		Address:   t.sandbox.addr,
		Ports:     slices.Clone(t.ports()),
		Why:       t.status.why,
		StopCode:  r.StopCode,
		Reason:    r.Reason,
		Exits:     r.Exits,
	}
	if t.spec.wanted != nil {
		v.Service, v.Revision, v.TaskDef, v.Desired = t.spec.wanted.Service, t.spec.wanted.Revision, t.spec.wanted.TaskDef,
			t.spec.wanted.Desired
	}
	if t.spec.def != nil {
		v.TaskDef = t.spec.def.ID
	}
	for i, c := range t.containers {
		view := ContainerView{Name: c.name, ID: c.id, State: cstateNames[c.state]}
		if c.def != nil {
			view.Image = c.def.Image
		}
		if c.living() {
			view.PID = c.pid
		}
		if i < len(r.Containers) {
			view.Told = r.Containers[i]
		}
		v.Containers = append(v.Containers, view)
	}
	return v
}

// Reserved is what the tasks on this host hold, counted as State counts it: to
// the last step of the stop.
func (m *Machine) Reserved() fleet.Resources {
	var sum fleet.Resources
	for _, t := range m.tasks {
		if t.spec.def != nil && t.status.last != fleet.TaskStopped && t.deferral != deferRan {
			sum = sum.Add(t.spec.def.Reservation())
		}
	}
	return sum
}
