package converge

import (
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// reporter sends what became of tasks. Reports are levels: the newest status of
// each task whose status the fleet may not know. One is outstanding at a time.
type reporter struct {
	seq      uint64
	dirty    []fleet.TaskID
	out      *fleet.Report // outstanding; sent again unchanged until acknowledged
	sentAt   time.Duration
	tries    int
	checks   []fleet.Check
	capacity *fleet.Resources
	hostNew  bool // checks or room not acknowledged in this session
}

// reportView is what was said of one task.
type reportView struct {
	current   fleet.TaskReport
	known     fleet.TaskReport // acknowledged, when acked
	acked     bool
	queued    bool
	notBefore time.Duration
}

// checked takes what a report says of the host itself.
func (r *reporter) checked(e HostChecked) {
	if e.Checks != nil {
		r.checks = e.Checks
	}
	if e.Capacity != nil {
		r.capacity = e.Capacity
	}
	r.hostNew = true
}

// openSession begins a session: everything is told again.
func (m *Machine) openSession(session uint64) {
	m.heard(0) // a leader has committed it
	if session <= m.voters.session {
		return
	}
	m.voters.session, m.voters.synced = session, false
	r := &m.reports
	r.seq, r.out, r.tries = 0, nil, 0
	r.hostNew = r.checks != nil || r.capacity != nil
	for _, id := range m.taskIDs() {
		t := m.tasks[id]
		t.report.acked = false
		if t.report.current.Task != "" {
			m.queueReport(t)
		}
	}
}

// heard takes note of a byte from a voter that heard its leader so long ago, or
// knows of none.
func (m *Machine) heard(leaderAge time.Duration) {
	v := &m.voters
	if leaderAge >= 0 {
		v.led = max(v.led, m.now.Mono-leaderAge)
	}
	v.connected, v.ever, v.heard, v.heardWall = true, true, m.now.Mono, m.now.Wall
	if v.alone {
		v.alone = false
		m.clear(NoteAlone)
	}
}

// holdReport keeps back what is said of a checked task found again until its
// first check has answered: the health last reported stands until then.
func (m *Machine) holdReport(t *task) {
	if slices.ContainsFunc(t.containers, (*container).checked) {
		t.report.notBefore = m.now.Mono + fastFor
	}
}

// publish has the fleet told when what there is to say has changed.
func (m *Machine) publish(t *task) {
	if t.spec.orphan || t.deferral != deferNone || t.status.last == 0 || !m.relist.done {
		return
	}
	if t.status.last == fleet.TaskRunning && m.now.Mono < t.report.notBefore {
		return
	}
	now := m.taskReport(t)
	if sameReport(&now, &t.report.current) {
		return
	}
	t.report.current = now
	m.queueReport(t)
}

func (m *Machine) queueReport(t *task) {
	if !t.report.queued {
		t.report.queued = true
		m.reports.dirty = append(m.reports.dirty, t.id)
	}
}

// taskReport is the full status of a task.
func (m *Machine) taskReport(t *task) fleet.TaskReport {
	r := fleet.TaskReport{
		Task:      t.id,
		Status:    t.status.last,
		Health:    t.reportedHealth(),
		Exits:     t.exitList(),
		Attempt:   t.start.attempt,
		StartedAt: t.status.startedAt,
		StoppedAt: t.status.stoppedAt,

		Containers: t.containerStates(),
		Targets:    t.targetReports(),
	}
	if t.stop != nil {
		r.StopCode, r.Reason = t.stop.code, t.stop.reason
		if stuck := m.stuck(t); stuck != "" {
			r.Reason = clip(stuck + "; " + t.stop.reason)
		}
	}
	return r
}

// containerStates is how the containers stand, in the order of the definition.
func (t *task) containerStates() []fleet.ContainerState {
	var list []fleet.ContainerState
	for _, c := range t.containers {
		e := t.exitOf(c)
		told := fleet.ContainerState{
			Name: c.name, Status: t.runs(c), ExitCode: e.Code, Reason: e.Reason,
			Attempt: c.start.attempt, StartedAt: c.start.at, StoppedAt: c.stop.at,
		}
		if told.Status == fleet.TaskRunning {
			told.Health = c.probe.shown
		}
		list = append(list, told)
	}
	return list[:min(len(list), fleet.MaxContainers)] // more were found than a definition has
}

// report sends the next report, or the outstanding one again.
func (m *Machine) report() {
	r := &m.reports
	switch {
	case m.voters.session == 0:
	case r.out != nil:
		if m.now.Mono >= r.sentAt+backOff(resendFirst, resendCap, r.tries) {
			m.send()
		}
	case len(r.dirty) > 0 || r.hostNew:
		m.nextReport()
		m.send()
	}
}

func (m *Machine) nextReport() {
	r := &m.reports
	r.seq++
	r.tries = 0
	r.out = &fleet.Report{Host: m.cfg.Host, Session: m.voters.session, Seq: r.seq}
	slices.Sort(r.dirty)
	n := min(len(r.dirty), MaxReportTasks)
	for _, id := range r.dirty[:n] {
		if t := m.tasks[id]; t != nil {
			t.report.queued = false
			r.out.Tasks = append(r.out.Tasks, t.report.current)
		}
	}
	r.dirty = slices.Clone(r.dirty[n:])
	if r.hostNew {
		r.hostNew = false
		r.out.SelfCheck, r.out.Capacity = r.checks, r.capacity
	}
}

func (m *Machine) send() {
	r := &m.reports
	r.tries++
	r.sentAt = m.now.Mono
	m.post("", SendReports{Report: *r.out})
}

// acked takes note that a report is committed.
func (m *Machine) acked(e ReportAcked) {
	r := &m.reports
	if r.out == nil || e.Session != m.voters.session || e.Seq != r.out.Seq {
		return
	}
	for i := range r.out.Tasks {
		said := &r.out.Tasks[i]
		t := m.tasks[said.Task]
		if t == nil {
			continue
		}
		t.report.known, t.report.acked = *said, true
		if t.phase == phaseStopped {
			m.touch(t)
		}
	}
	r.out = nil
}

// refused gives an outstanding report up: one that is refused for ever must not
// hold up all others.
func (m *Machine) refused(e ReportRefused) {
	r := &m.reports
	if r.out == nil || e.Session != m.voters.session || e.Seq != r.out.Seq {
		return
	}
	r.out = nil
	m.recordNote("", NoteReportRefused, fmt.Sprintf("report %d: %v", e.Seq, e.Err))
}

// resendDue is when the outstanding report is to be sent again.
func (m *Machine) resendDue() time.Duration {
	if m.reports.out == nil || m.voters.session == 0 {
		return noTime
	}
	return m.reports.sentAt + backOff(resendFirst, resendCap, m.reports.tries)
}

func sameReport(a, b *fleet.TaskReport) bool {
	return a.Task == b.Task && a.Status == b.Status && a.Health == b.Health && a.StopCode == b.StopCode &&
		a.Reason == b.Reason && a.Attempt == b.Attempt && a.StartedAt == b.StartedAt && a.StoppedAt == b.StoppedAt &&
		slices.EqualFunc(a.Exits, b.Exits, sameExit) && fleet.SameContainers(a.Containers, b.Containers) &&
		slices.Equal(a.Targets, b.Targets)
}

func sameExit(a, b fleet.ContainerExit) bool {
	if a.Container != b.Container || a.Reason != b.Reason || (a.Code == nil) != (b.Code == nil) {
		return false
	}
	return a.Code == nil || *a.Code == *b.Code
}
