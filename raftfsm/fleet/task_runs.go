package fleet

import "github.com/tidwall/btree"

// A run is tasks of one definition on one host, or on none, that change together. What
// is the same for all, the sums they count in and the row of their host, is written once
// and not once a task. One task is a run of one.

// putRun replaces or adds the tasks of a run; olds are the rows before, nil for new
// tasks. A draining service whose last task stops goes too.
func (s *State) putRun(x *applyContext, olds, rows []*Task) {
	sums := sumChange{s: s}
	s.putRunInto(x, &sums, olds, rows)
	sums.write()
	for _, t := range rows {
		if t.Stopped() {
			s.removeDrained(x, t.Service)
		}
	}
}

// putRunInto is putRun of tasks that do not stop, and leaves it to the caller to write
// the sums, so that those of several runs are written once.
func (s *State) putRunInto(x *applyContext, sums *sumChange, olds, rows []*Task) {
	moved := false // what the host must hear of
	for i, t := range rows {
		t.ModifyIndex = x.index
		s.tasks.Set(t.ID, t)
		x.touch(TaskSubject(t.ID))
		if t.Service != "" {
			x.touch(ServiceSubject(t.Service))
		}
		if t.Stopped() && t.Host != "" {
			x.touch(CapacitySubject())
		}
		moved = moved || wantedMoved(olds[i], t)
		s.touchTargetsOf(x, olds[i], t)
	}
	s.indexRun(sums, olds, rows)
	if moved {
		s.touchWanted(x, rows[0].Host)
	}
	s.endTaskConditions(x, olds, rows)
}

// addRun adds a run of new tasks, each like a row but for its id.
func (s *State) addRun(x *applyContext, ids []TaskID, like Task) {
	rows := make([]*Task, len(ids))
	for i, id := range ids {
		t := like
		t.ID = id
		rows[i] = &t
	}
	s.putRun(x, make([]*Task, len(ids)), rows)
}

// endTaskConditions drops what planners say about tasks that waited for a host and wait
// no more.
func (s *State) endTaskConditions(x *applyContext, olds, rows []*Task) {
	if !s.anyConditionOfTask() {
		return
	}
	for i, old := range olds {
		if old != nil && old.unassigned() && !rows[i].unassigned() {
			s.removeConditions(x, TaskSubject(old.ID))
		}
	}
}

// anyConditionOfTask reports whether any condition is about a task: most are about
// services.
func (s *State) anyConditionOfTask() (found bool) {
	s.conditions.Ascend(conditionItem{subject: TaskSubject("")}, func(c conditionItem) bool {
		found = c.subject.Kind == SubjectTask
		return false
	})
	return found
}

// indexRun moves tasks from their old rows to their new ones in every index; olds are
// nil for new tasks, rows for tasks that go.
func (s *State) indexRun(sums *sumChange, olds, rows []*Task) {
	reorder(s.byHost, olds, rows, func(t *Task) bool { return t.Host != "" })
	reorder(s.byService, olds, rows, func(t *Task) bool { return t.Service != "" })
	reorder(s.unassigned, olds, rows, (*Task).unassigned)
	reorder(s.stopped, olds, rows, (*Task).Stopped)
	s.holdRun(olds, rows)
	sums.addRun(olds, rows)
	for i := range rows {
		s.dueTask(olds[i], rows[i])
		s.indexTargets(olds[i], rows[i])
	}
}

// reorder replaces old rows by new ones in a tree that holds those for which in is true.
func reorder(tree *btree.BTreeG[*Task], olds, rows []*Task, in func(*Task) bool) {
	var hint btree.PathHint
	for i, t := range rows {
		old := olds[i]
		stays := t != nil && in(t)
		if old != nil && in(old) && (!stays || tree.Less(old, t) || tree.Less(t, old)) {
			tree.DeleteHint(old, &hint)
		}
		if stays {
			tree.SetHint(t, &hint)
		}
	}
}

// holdRun takes or gives back what tasks hold on their host.
func (s *State) holdRun(olds, rows []*Task) {
	held := 0 // more than before
	var like *Task
	var hint btree.PathHint
	for i, t := range rows {
		old := olds[i]
		had, has := old != nil && old.Held(), t != nil && t.Held()
		switch {
		case has && !had:
			held, like = held+1, t
			for _, p := range t.Ports {
				s.ports.SetHint(PortUse{t.Host, p.Protocol, p.HostPort, t.ID}, &hint)
			}
		case had && !has:
			held, like = held-1, old
			for _, p := range old.Ports {
				s.ports.Delete(PortUse{Host: old.Host, Protocol: p.Protocol, Port: p.HostPort})
			}
		}
	}
	if held != 0 {
		s.reserve(like.Host, s.TaskDef(like.TaskDef).Reservation().Times(held))
	}
}

// sumChange gathers what tasks count more in the sums of a revision and of zones, so that
// a sum is written once and not once a task. Whoever made one calls write at the end;
// until then State's sums are those of before.
type sumChange struct {
	s        *State
	revision RevisionID
	counts   revisionCounts
	zones    []zoneCounts // n is what was gathered
	host     *Host        // that of the last task, found once for all tasks there
}

// mostZonesGathered bounds what a sumChange looks through for each task.
const mostZonesGathered = 8

// addRun counts tasks by their new rows instead of their old ones; olds are nil for new
// tasks, rows for tasks that go.
func (c *sumChange) addRun(olds, rows []*Task) {
	now := c.s.now
	for i, t := range rows {
		if old := olds[i]; old != nil && old.Service != "" {
			c.add(c.hostOf(old), old, c.s.taskCountsAt(old, now).minus())
		}
		if t != nil && t.Service != "" {
			c.add(c.hostOf(t), t, c.s.taskCountsAt(t, now))
		}
	}
}

func (c *sumChange) hostOf(t *Task) *Host {
	if t.Host == "" {
		return nil
	}
	if c.host == nil || c.host.ID != t.Host {
		c.host = c.s.Host(t.Host)
	}
	return c.host
}

// add adds counts of tasks like t under a row of their host; nil for none.
func (c *sumChange) add(host *Host, t *Task, n taskCounts) {
	switch {
	case n == (taskCounts{}):
	case host == nil:
		c.addRevision(t.Revision, hereLike(t, n))
	case t.reachableOn(host):
		c.addRevision(t.Revision, hereLike(t, n))
		c.addZone(t.Service, host.Zone, n.toRun())
	default:
		c.addRevision(t.Revision, revisionCounts{away: n})
	}
}

func (c *sumChange) addRevision(id RevisionID, n revisionCounts) {
	if id != c.revision {
		c.writeRevision()
		c.revision = id
	}
	c.counts = c.counts.add(n)
}

func (c *sumChange) addZone(service, zone string, n int) {
	for i := range c.zones {
		if z := &c.zones[i]; z.zone == zone && z.service == service {
			z.n += n
			return
		}
	}
	if len(c.zones) == mostZonesGathered {
		c.writeZones()
	}
	c.zones = append(c.zones, zoneCounts{service, zone, n})
}

func (c *sumChange) write() {
	c.writeRevision()
	c.writeZones()
}

func (c *sumChange) writeRevision() {
	if c.counts != (revisionCounts{}) {
		c.s.addRevision(c.revision, c.counts)
		c.counts = revisionCounts{}
	}
}

func (c *sumChange) writeZones() {
	for _, z := range c.zones {
		c.s.addZone(z.service, z.zone, z.n)
	}
	c.zones = c.zones[:0]
}
