package converge

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// keptLogs are log folders of tasks that are gone, oldest first.
type keptLogs struct {
	list     []keptLog
	rotating bool
	next     time.Duration // rotation
}

type keptLog struct {
	task     fleet.TaskID
	since    time.Duration
	bytes    int64
	removing bool
}

func (k *keptLogs) keep(id fleet.TaskID, now time.Duration) {
	if k.find(id) < 0 {
		k.list = append(k.list, keptLog{task: id, since: now})
	}
}

func (k *keptLogs) find(id fleet.TaskID) int {
	return slices.IndexFunc(k.list, func(l keptLog) bool { return l.task == id })
}

// sawLogs takes up log folders of tasks that nobody knows, and their sizes.
func (m *Machine) sawLogs(found []LogFolder) {
	for _, f := range found {
		if m.tasks[f.Task] != nil {
			continue
		}
		m.logs.keep(f.Task, m.now.Mono)
		m.logs.list[m.logs.find(f.Task)].bytes = f.Bytes
	}
}

// tidyLogs removes logs that were kept long enough or are too many, and has
// those of living tasks rotated.
func (m *Machine) tidyLogs() {
	k := &m.logs
	var kept int64
	for i := len(k.list) - 1; i >= 0; i-- {
		l := &k.list[i]
		kept += l.bytes
		if !l.removing && (kept > keepLogsCap || m.now.Mono >= l.since+keepLogs) {
			l.removing = true
			m.emit(l.task, withinDelete, RemoveLogs{})
		}
	}
	if len(m.tasks) > 0 && !k.rotating && m.now.Mono >= k.next {
		k.rotating, k.next = true, m.now.Mono+rotateEvery
		m.emit("", withinDisk, RotateLogs{Files: m.writtenLogs()})
	}
}

// writtenLogs are the logs that may have grown since they were last looked at:
// those of containers that live, or whose end is new.
func (m *Machine) writtenLogs() []string {
	var files []string
	for _, id := range m.taskIDs() {
		for _, c := range m.tasks[id].containers {
			looked := c.logDone
			c.logDone = c.state == cExited
			if c.state == cNone || looked && c.logDone || c.def == nil && !nameForm.MatchString(c.name) {
				continue
			}
			files = append(files, logPath(m.cfg.LogDir, id, c.name))
		}
	}
	return files
}

// logsRemoved drops a folder from the list. One that could not be removed is
// found again by the next full list.
func (m *Machine) logsRemoved(id fleet.TaskID, _ error) {
	if at := m.logs.find(id); at >= 0 {
		m.logs.list = slices.Delete(m.logs.list, at, at+1)
	}
}

func (m *Machine) logsDue() time.Duration {
	due := noTime
	if len(m.logs.list) > 0 && !m.logs.list[0].removing {
		due = m.logs.list[0].since + keepLogs
	}
	if len(m.tasks) > 0 && !m.logs.rotating {
		due = min(due, m.logs.next)
	}
	return due
}
