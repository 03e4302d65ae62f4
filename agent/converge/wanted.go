package converge

import (
	"errors"
	"fmt"
	"regexp"

	"skein/raftfsm/fleet"
)

// Refusals of frames. What was accepted before stays as it was.
var (
	ErrOlder        = errors.New("older than what this host accepted")
	ErrSession      = errors.New("not of this agent's session")
	ErrOtherFleet   = errors.New("of another fleet")
	ErrNeedSnapshot = errors.New("does not follow what this host accepted: a snapshot is needed")
	ErrMassStop     = errors.New("would stop more than half of the tasks though none was asked to stop")
	ErrBadFrame     = errors.New("not a valid frame")
)

// massStopFloor is how many tasks a host must have before a snapshot can be
// refused for stopping more than half of them (cmd/skein/DESIGN.md "Streams").
const massStopFloor = 4

// order is the place of an intent: by epoch, then by index.
type order struct{ epoch, index uint64 }

func (o order) before(p order) bool {
	return o.epoch < p.epoch || o.epoch == p.epoch && o.index < p.index
}

func (o order) String() string { return fmt.Sprintf("epoch %d index %d", o.epoch, o.index) }

// acceptance is what was accepted and how much of it is on disk.
type acceptance struct {
	at     order
	gen    uint64 // frames accepted in this life
	saved  uint64 // gen that is on disk
	behind bool   // loaded from an older copy: a newer one could not be read
	defs   map[fleet.TaskDefID]*fleet.TaskDef
}

// acceptedAt takes note that a place was accepted: nothing older is.
func (a *acceptance) acceptedAt(at order) {
	if a.at.before(at) {
		a.at = at
	}
}

// taskIDForm and nameForm bound what becomes part of a path or an id.
var (
	taskIDForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
	nameForm   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// receive takes a frame, or refuses it whole.
func (m *Machine) receive(f Frame) {
	err := m.accept(f)
	m.post("", Answer{Ref: f.Ref, Err: err})
	switch {
	case errors.Is(err, ErrMassStop):
		m.stand(NoteMassStop, err.Error())
	case err != nil && !errors.Is(err, ErrNeedSnapshot):
		m.recordNote("", NoteFrameRefused, err.Error())
	case err == nil && f.Complete:
		m.clear(NoteMassStop)
	}
}

func (m *Machine) accept(f Frame) error {
	if err := m.admissible(f); err != nil {
		return fmt.Errorf("wanted state at %s: %w", order{f.Epoch, f.Index}, err)
	}
	defs := defsOf(f.TaskDefs)
	if err := m.validate(f, defs); err != nil {
		return fmt.Errorf("wanted state at %s: %w", order{f.Epoch, f.Index}, err)
	}
	absent := m.absent(f)
	if err := m.massStop(f, absent); err != nil {
		return fmt.Errorf("wanted state at %s: %w", order{f.Epoch, f.Index}, err)
	}
	at := order{f.Epoch, f.Index}
	if beat := !f.Complete && len(f.Tasks)+len(f.Removed) == 0; m.wants.at != at && !beat {
		m.wants.gen++ // a beat is not worth a write: what it says of tasks is on disk
	}
	m.wants.at = at
	if m.cfg.Fleet == "" {
		m.cfg.Fleet = f.Fleet
	}
	if f.Complete {
		m.voters.synced, m.voters.word = true, true
		m.wants.behind = false
	}
	for id, def := range defs {
		m.wants.defs[id] = def
	}
	for i := range f.Tasks {
		m.want(f.Tasks[i])
	}
	for _, id := range absent {
		m.unwant(m.tasks[id])
	}
	m.forgetDefs()
	m.acceptRoutes(f)
	if f.Complete {
		m.touchAll() // a voter's word settles what was held
	}
	return nil
}

// forgetDefs drops definitions that no task uses, now and then.
func (m *Machine) forgetDefs() {
	if len(m.wants.defs) <= 2*len(m.tasks)+64 {
		return
	}
	used := make(map[fleet.TaskDefID]*fleet.TaskDef)
	for _, t := range m.tasks {
		if t.spec.def != nil {
			used[t.spec.def.ID] = t.spec.def
		}
	}
	m.wants.defs = used
}

// admissible checks where a frame comes from and what it follows.
func (m *Machine) admissible(f Frame) error {
	at := order{f.Epoch, f.Index}
	switch {
	case m.cfg.Fleet != "" && f.Fleet != m.cfg.Fleet:
		return fmt.Errorf("fleet %q, this host is of %q: %w", f.Fleet, m.cfg.Fleet, ErrOtherFleet)
	case m.voters.session == 0:
		return fmt.Errorf("no session is open: %w", ErrSession)
	case f.Session != m.voters.session:
		return fmt.Errorf("session %d, open is %d: %w", f.Session, m.voters.session, ErrSession)
	case at.before(m.wants.at):
		return fmt.Errorf("accepted was %s: %w", m.wants.at, ErrOlder)
	case f.Complete:
		return nil
	case !m.voters.synced:
		return fmt.Errorf("a change, and no snapshot in this session yet: %w", ErrNeedSnapshot)
	case f.Epoch != m.wants.at.epoch:
		return fmt.Errorf("a change in epoch %d, accepted was %s: %w", f.Epoch, m.wants.at, ErrNeedSnapshot)
	}
	return nil
}

// validate checks everything a frame says before any of it is believed.
func (m *Machine) validate(f Frame, defs map[fleet.TaskDefID]*fleet.TaskDef) error {
	if len(f.Tasks) > MaxTasks {
		return fmt.Errorf("%d tasks, allowed are %d: %w", len(f.Tasks), MaxTasks, ErrBadFrame)
	}
	for i := range f.TaskDefs {
		if err := validDef(&f.TaskDefs[i]); err != nil {
			return fmt.Errorf("task definition %q: %w", f.TaskDefs[i].ID, err)
		}
	}
	named := make(map[fleet.TaskID]bool, len(f.Tasks))
	for i := range f.Tasks {
		wt := &f.Tasks[i]
		switch {
		case !taskIDForm.MatchString(string(wt.ID)):
			return fmt.Errorf("tasks[%d].id %q is not 32 hex digits: %w", i, wt.ID, ErrBadFrame)
		case named[wt.ID]:
			return fmt.Errorf("tasks[%d].id %s is named twice: %w", i, wt.ID, ErrBadFrame)
		case wt.Desired != fleet.TaskRunning && wt.Desired != fleet.TaskStopped:
			return fmt.Errorf("tasks[%d].desired %s, allowed are RUNNING and STOPPED: %w", i, wt.Desired, ErrBadFrame)
		case defs[wt.TaskDef] == nil && m.wants.defs[wt.TaskDef] == nil:
			return fmt.Errorf("tasks[%d] needs task definition %q, which is not in the frame: %w", i, wt.TaskDef, ErrBadFrame)
		}
		named[wt.ID] = true
	}
	for _, id := range f.Removed {
		t := m.tasks[id]
		if !f.Complete && t != nil && t.spec.wanted != nil && t.phase < phaseStopped {
			return fmt.Errorf("removes task %s, which has not stopped here: only a snapshot is evidence: %w", id,
				ErrNeedSnapshot)
		}
	}
	return nil
}

func validDef(def *fleet.TaskDef) error {
	if n := len(def.Containers); n == 0 || n > fleet.MaxContainers {
		return fmt.Errorf("%d containers, allowed are 1 to %d: %w", n, fleet.MaxContainers, ErrBadFrame)
	}
	names := make(map[string]bool, len(def.Containers))
	for i := range def.Containers {
		name := def.Containers[i].Name
		if !nameForm.MatchString(name) || names[name] {
			return fmt.Errorf("container name %q is not valid or not unique: %w", name, ErrBadFrame)
		}
		names[name] = true
	}
	return nil
}

// absent lists the tasks that a frame says are not wanted any more.
func (m *Machine) absent(f Frame) []fleet.TaskID {
	var ids []fleet.TaskID
	if !f.Complete {
		for _, id := range f.Removed {
			if t := m.tasks[id]; t != nil && t.spec.wanted != nil {
				ids = append(ids, id)
			}
		}
		return ids
	}
	listed := make(map[fleet.TaskID]bool, len(f.Tasks))
	for i := range f.Tasks {
		listed[f.Tasks[i].ID] = true
	}
	for _, id := range m.taskIDs() {
		if t := m.tasks[id]; !listed[id] && t.deferral != deferOrphan && !t.spec.gone {
			ids = append(ids, id)
		}
	}
	return ids
}

// massStop refuses a snapshot that is more likely wrong than right.
func (m *Machine) massStop(f Frame, absent []fleet.TaskID) error {
	if !f.Complete {
		return nil
	}
	living, stops := 0, 0
	for _, t := range m.tasks {
		if t.lives() {
			living++
		}
	}
	for _, id := range absent {
		if m.tasks[id].lives() {
			stops++
		}
	}
	if living < massStopFloor || stops*2 <= living {
		return nil
	}
	return fmt.Errorf("%d of %d tasks are absent: %w", stops, living, ErrMassStop)
}

// lives reports whether the task runs or is to run here and nobody asked it to
// stop. A task of another boot does not live, whatever is decided about it.
func (t *task) lives() bool {
	return t.phase == phaseStarting && t.deferral == deferNone && !t.asked()
}

// want takes up one wanted task.
func (m *Machine) want(wt fleet.WantedTask) {
	t := m.tasks[wt.ID]
	if t == nil {
		t = &task{id: wt.ID, phase: phaseStarting}
		m.tasks[wt.ID] = t
	}
	if t.spec.wanted == nil {
		t.spec.listedGen = m.wants.gen
	}
	if t.deferral == deferOrphan {
		m.recognise(t)
	}
	t.spec.wanted, t.spec.gone = &wt, false
	switch {
	case !t.asked():
		t.spec.notWanted = 0
	case t.spec.notWanted == 0:
		t.spec.notWanted = m.wants.gen
	}
	t.define(m.wants.defs[wt.TaskDef])
	m.touch(t)
}

// unwant takes note that a task is not wanted any more.
func (m *Machine) unwant(t *task) {
	t.spec.wanted, t.spec.gone, t.spec.goneGen = nil, true, m.wants.gen
	if t.spec.notWanted == 0 {
		t.spec.notWanted = m.wants.gen
	}
	if t.phase == phaseStarting && t.deferral != deferRan {
		m.release(t)
		m.endUnlisted(t)
	}
	m.touch(t)
}
