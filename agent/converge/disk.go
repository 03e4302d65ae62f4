package converge

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// disk is what waits to be written. One write of each file is in flight at a
// time and carries all that waited, so that many starts share one fsync.
type disk struct {
	queue     []Record
	journal   bool // in flight
	wanted    bool // in flight
	savingGen uint64
	tries     int
	retry     time.Duration
	failing   time.Duration // since when the wanted file fails; 0 = it does not
	err       error
}

// journal queues a record.
func (m *Machine) journal(r Record) { m.disk.queue = append(m.disk.queue, r) }

// write sends what waits to the disk.
func (m *Machine) write() {
	d := &m.disk
	if len(d.queue) > 0 && !d.journal {
		d.journal = true
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
		if t.wanted == nil {
			continue
		}
		w.Tasks = append(w.Tasks, *t.wanted)
		if t.def != nil && !defs[t.def.ID] {
			defs[t.def.ID] = true
			w.TaskDefs = append(w.TaskDefs, *t.def)
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
			d.failing = m.mark()
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
	m.disk.journal = false
	if err != nil {
		err = fmt.Errorf("append to the journal: %w", err)
		m.diskFailed(err)
	} else {
		m.diskWell()
	}
	for _, r := range j.Records {
		if t := m.tasks[r.Task]; t != nil && r.Kind == RecordStart {
			m.startJournaled(t, err)
			m.touch(t)
		}
	}
}

// startJournaled takes note that the record of a start is durable, or may not be.
func (m *Machine) startJournaled(t *task, err error) {
	if t.journal != journaling {
		return
	}
	if err == nil {
		t.journal = journaledDurably
		t.fresh()
		return
	}
	t.journal = notJournaled
	m.again(t, err)
	if t.tries >= journalTries && t.phase == rising {
		m.end(t, fleet.StopTaskFailedToStart, "ResourceInitializationError: "+err.Error())
	}
}

func (m *Machine) diskFailed(err error) {
	m.disk.err = err
	m.stand(NoteDiskFailing, err.Error())
}

func (m *Machine) diskWell() {
	if m.disk.err != nil && m.disk.failing == 0 {
		m.disk.err = nil
		m.clear(NoteDiskFailing)
	}
}
