package converge

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// disk is what waits to be written. One write of each file is in flight at a
// time and carries all that waited, so that many starts share one fsync.
//
// Records are numbered as they are queued. The journal file keeps a record that could
// not be written: the next write that succeeds makes it durable too.
type disk struct {
	queue     []Record
	queued    uint64         // number of the last record queued
	flying    uint64         // ... in flight
	durable   uint64         // ... known to be on disk
	ends      []fleet.TaskID // tasks whose end waits to be on disk
	owing     int            // failures in a row of the journal
	owingTry  time.Duration  // no write without new records before
	journal   bool           // in flight
	wanted    bool           // in flight
	savingGen uint64
	tries     int
	retry     time.Duration
	failing   time.Duration // since when the wanted file fails; 0 = it does not
	err       error
}

// journal queues a record and returns its number.
func (m *Machine) journal(r Record) uint64 {
	m.disk.queue = append(m.disk.queue, r)
	m.disk.queued++
	return m.disk.queued
}

// write sends what waits to the disk.
func (m *Machine) write() {
	d := &m.disk
	if !d.journal && (len(d.queue) > 0 || d.owing > 0 && m.now.Mono >= d.owingTry) {
		d.journal, d.flying = true, d.queued
		m.emit("", withinDisk, Journal{Records: d.queue})
		d.queue = nil
	}
	if m.wants.saved != m.wants.gen && !d.wanted && m.now.Mono >= d.retry {
		d.wanted, d.savingGen = true, m.wants.gen
		m.emit("", withinDisk, SaveWanted{Wanted: m.wantedToSave()})
	}
}

// wantedToSave is the whole accepted list as a value.
func (m *Machine) wantedToSave() SavedWanted {
	w := fleet.Wanted{Fleet: m.cfg.Fleet, Epoch: m.wants.at.epoch, Index: m.wants.at.index, Session: m.voters.session}
	defs := make(map[fleet.TaskDefID]bool)
	for _, id := range m.taskIDs() {
		t := m.tasks[id]
		if t.spec.wanted == nil {
			continue
		}
		w.Tasks = append(w.Tasks, *t.spec.wanted)
		if t.spec.def != nil && !defs[t.spec.def.ID] {
			defs[t.spec.def.ID] = true
			w.TaskDefs = append(w.TaskDefs, *t.spec.def)
		}
	}
	return SavedWanted{Boot: m.cfg.Boot, Host: m.cfg.Host, Wanted: w}
}

func (m *Machine) wantedSaved(err error) {
	d := &m.disk
	d.wanted = false
	if err != nil {
		d.tries++
		d.retry = m.now.Mono + backOff(wantedRetry, retryBackOffCap, d.tries)
		if d.failing == 0 {
			d.failing = m.stamp()
			m.touchAll()
		}
		m.diskFailed(fmt.Errorf("save wanted state: %w", err))
		return
	}
	d.tries, d.retry, d.failing = 0, 0, 0
	m.wants.saved = d.savingGen
	m.diskWell()
	m.touchAll()
}

func (m *Machine) journaled(j Journal, err error) {
	d := &m.disk
	d.journal = false
	if err != nil {
		d.owing++
		d.owingTry = m.now.Mono + backOff(retryBackOffBase, retryBackOffCap, d.owing)
		err = fmt.Errorf("append to the journal: %w", err)
		m.diskFailed(err)
	} else {
		d.owing, d.owingTry, d.durable = 0, 0, d.flying
		m.diskWell()
		m.touchEnds()
	}
	for _, r := range j.Records {
		if t := m.tasks[r.Task]; t != nil && r.Kind == RecordStart {
			m.startJournaled(t, r.Container, err)
			m.touch(t)
		}
	}
}

// touchEnds marks the tasks whose end may be on disk now, so that they are looked at.
func (m *Machine) touchEnds() {
	ends := m.disk.ends
	m.disk.ends = nil
	for _, id := range ends {
		if t := m.tasks[id]; t != nil {
			t.stop.awaitsDisk = false
			m.touch(t)
		}
	}
}

// endOnDisk reports whether no restart of this host can run the task again: the journal
// has its stop, or the list on disk does not want it. Until then the task is not
// reported STOPPED, since a restart could start a task that the fleet takes for ended.
// Orphans are not reported.
func (m *Machine) endOnDisk(t *task) bool {
	switch {
	case t.spec.orphan, t.stop.record <= m.disk.durable, t.spec.notWanted != 0 && m.wants.saved >= t.spec.notWanted:
		return true
	}
	t.status.why = m.waitingForDisk("it has ended: waiting for that to be on disk")
	if !t.stop.awaitsDisk {
		t.stop.awaitsDisk = true
		m.disk.ends = append(m.disk.ends, t.id)
	}
	return false
}

// startJournaled takes note that the record of a container's start is durable, or
// may not be.
func (m *Machine) startJournaled(t *task, name string, err error) {
	c := t.container(name)
	if c == nil || c.start.journal != journaling {
		return
	}
	if err == nil {
		c.start.journal = journaledDurably
		c.step.succeeded()
		return
	}
	c.start.journal = notJournaled
	m.again(t, &c.step, err)
	if c.step.tries >= journalTries && t.phase == phaseStarting {
		m.end(t, fleet.StopTaskFailedToStart, "ResourceInitializationError: "+err.Error())
	}
}

func (m *Machine) diskFailed(err error) {
	m.disk.err = err
	m.stand(NoteDiskFailing, err.Error())
}

// waitingForDisk is why a task waits, with what the disk said last where it fails.
func (m *Machine) waitingForDisk(why string) string {
	if m.disk.err != nil {
		why += ": " + m.disk.err.Error()
	}
	return why
}

func (m *Machine) diskWell() {
	if m.disk.err != nil && m.disk.failing == 0 && m.disk.owing == 0 {
		m.disk.err = nil
		m.clear(NoteDiskFailing)
	}
}
