package fleet

import "slices"

// The only functions that put rows into tables. Each stamps ModifyIndex, keeps the
// indices and notes what was touched. A row handed to them must be new: rows in
// tables are shared with snapshots.

func (s *State) putFleet(x *applyContext, f Fleet) {
	f.ModifyIndex = x.index
	s.fleet = &f
	x.out.ChangeSet.Fleet = true
}

func (s *State) putHost(x *applyContext, h Host) {
	old := s.Host(h.ID)
	h.ModifyIndex = x.index
	services := s.recount(old, &h)
	s.hosts.Set(h.ID, &h)
	s.indexHost(old, &h)
	x.out.ChangeSet.Hosts = append(x.out.ChangeSet.Hosts, h.ID)
	x.out.ChangeSet.Services = append(x.out.ChangeSet.Services, services...)
}

// touchWanted notes that a host's list changed. It leaves the row's ModifyIndex alone,
// as does noteReport: neither is a change of the host.
func (s *State) touchWanted(x *applyContext, id HostID) {
	x.out.ChangeSet.Wanted = append(x.out.ChangeSet.Wanted, id)
	if old := s.Host(id); old != nil && old.WantedModifyIndex != x.index {
		h := *old
		h.WantedModifyIndex = x.index
		s.hosts.Set(id, &h)
	}
}

func (s *State) noteReport(id HostID, seq uint64) {
	h := *s.Host(id)
	h.ReportSeq = seq
	s.hosts.Set(id, &h)
}

func (s *State) removeHost(x *applyContext, old *Host) {
	s.indexHost(old, nil)
	s.hosts.Delete(old.ID)
	x.out.ChangeSet.Hosts = append(x.out.ChangeSet.Hosts, old.ID)
}

func (s *State) putVoter(x *applyContext, v Voter) {
	v.ModifyIndex = x.index
	s.voters.Set(v.ID, &v)
	x.out.ChangeSet.Voters = true
}

func (s *State) putService(x *applyContext, v Service) {
	old := s.Service(v.Name)
	v.ModifyIndex = x.index
	s.dueService(old, &v)
	s.services.Set(v.Name, &v)
	s.goals.Delete(v.Name) // they were made for what the service was
	s.touchService(x, v.Name)
}

func (s *State) putGoals(x *applyContext, g Goals) {
	g.ModifyIndex = x.index
	s.goals.Set(g.Service, &g)
	s.touchService(x, g.Service)
}

// noteStarts puts a service of which only the back-off changed. That is no
// change of its settings, so ModifyIndex, which guards them, stays.
func (s *State) noteStarts(x *applyContext, v Service) {
	s.dueService(s.Service(v.Name), &v)
	s.services.Set(v.Name, &v)
	s.touchService(x, v.Name)
}

func (s *State) touchService(x *applyContext, name string) {
	x.out.ChangeSet.Services = append(x.out.ChangeSet.Services, name)
}

// removeService drops a draining service whose last task has stopped, with its
// revisions; FormerService keeps their numbers from coming back at once.
func (s *State) removeService(x *applyContext, v *Service) {
	s.dueService(v, nil)
	s.services.Delete(v.Name)
	s.removeConditions(x, ServiceSubject(v.Name))
	for _, r := range s.revisionItems(v.Name) {
		s.revisions.Delete(r)
	}
	s.former.Set(v.Name, &FormerService{Name: v.Name, ModifyIndex: x.index, LastRevision: v.LastRevision, RemovedAt: x.now})
	s.touchService(x, v.Name)
}

func (s *State) revisionItems(service string) []revisionItem {
	var all []revisionItem
	s.revisions.Ascend(revisionItem{service: service}, func(r revisionItem) bool {
		if r.service == service {
			all = append(all, r)
		}
		return r.service == service
	})
	return all
}

// putTask replaces or adds a task. When it was the last of a draining service,
// the service goes too.
func (s *State) putTask(x *applyContext, t Task) { s.replaceTask(x, s.Task(t.ID), &t) }

// replaceTask is putTask for who has the old row at hand; nil for a new task.
func (s *State) replaceTask(x *applyContext, old, t *Task) {
	t.ModifyIndex = x.index
	s.tasks.Set(t.ID, t)
	s.indexTask(old, t)
	x.out.ChangeSet.Tasks = append(x.out.ChangeSet.Tasks, t.ID)
	if wantedMoved(old, t) {
		s.touchWanted(x, t.Host)
	}
	if old != nil && old.unassigned() && !t.unassigned() {
		s.removeConditions(x, TaskSubject(t.ID))
	}
	if t.Service == "" {
		return
	}
	s.touchService(x, t.Service)
	if v := s.Service(t.Service); t.Stopped() && v != nil && v.Status == ServiceDraining {
		s.removeDrained(x, v)
	}
}

func (s *State) removeDrained(x *applyContext, v *Service) {
	if s.Counts(v.Name, "").Total == 0 {
		s.removeService(x, v)
	}
}

// wantedMoved reports whether a host must hear of a task's change.
func wantedMoved(old, t *Task) bool {
	if t.Host == "" {
		return false
	}
	return old == nil || old.Host != t.Host || old.Held() != t.Held() || old.Desired != t.Desired
}

func (s *State) removeTask(x *applyContext, old *Task) {
	s.indexTask(old, nil)
	s.tasks.Delete(old.ID)
	x.out.ChangeSet.Tasks = append(x.out.ChangeSet.Tasks, old.ID)
}

func (s *State) putToken(x *applyContext, t Token) {
	t.ModifyIndex = x.index
	s.tokens.Set(t.ID, &t)
}

func (s *State) putCondition(x *applyContext, w Condition) {
	w.ModifyIndex = x.index
	s.dueCondition(s.Condition(w.Subject, w.By), &w)
	s.conditions.Set(itemOfCondition(&w))
	s.touchSubject(x, w.Subject)
}

func (s *State) removeCondition(x *applyContext, old *Condition) {
	s.dueCondition(old, nil)
	s.conditions.Delete(itemOfCondition(old))
	s.touchSubject(x, old.Subject)
}

// removeConditions drops what all planners say about a subject.
func (s *State) removeConditions(x *applyContext, subject string) {
	for _, old := range slices.Collect(s.ConditionsOf(subject)) {
		s.removeCondition(x, old)
	}
}

func (s *State) putEffect(x *applyContext, e Effect) {
	e.ModifyIndex = x.index
	old := s.Effect(e.ID)
	s.effects.Set(e.ID, &e)
	s.indexEffect(old, &e)
	x.out.ChangeSet.Effects = true
	if !e.Open() {
		s.touchSubject(x, e.Subject) // whoever intended it looks at it again
	}
}

func (s *State) removeEffect(old *Effect) {
	s.effects.Delete(old.ID)
	s.indexEffect(old, nil)
}
