package fleet

import "slices"

// The only functions that put rows into tables. Each stamps ModifyIndex, keeps the
// indices and notes what was touched. A row handed to them must be new: rows in
// tables are shared with snapshots.

func (s *State) putFleet(x *applyContext, f Fleet) {
	f.ModifyIndex = x.index
	s.fleet = &f
	x.touch(FleetSubject())
}

func (s *State) putHost(x *applyContext, h Host) {
	old := s.Host(h.ID)
	h.ModifyIndex = x.index
	services := s.recount(old, &h)
	s.hosts.Set(h.ID, &h)
	s.indexHost(old, &h)
	s.touchTargetsOn(x, old, &h)
	s.touchRelaysTo(x, old, &h)
	x.touch(HostSubject(h.ID))
	for _, name := range services {
		x.touch(ServiceSubject(name))
	}
	if capacityMoved(old, &h) {
		x.touch(CapacitySubject())
	}
}

// capacityMoved reports whether a host's row changed in what placement asks of it, so
// that work which waits may have room now.
func capacityMoved(old, h *Host) bool {
	return old == nil || old.State != h.State || old.Capacity != h.Capacity || old.Zone != h.Zone ||
		(old.Cordon == nil) != (h.Cordon == nil) || old.Draining() != h.Draining()
}

// touch notes that the entry changed something about a subject.
func (x *applyContext) touch(subject Subject) { x.out.ChangeSet.Add(subject) }

// touchCondition notes that a planner says something else of a service or a task. A
// condition of the fleet is no change of its settings, nor one of a host of its row.
func (x *applyContext) touchCondition(subject Subject) {
	if subject.Kind == SubjectService || subject.Kind == SubjectTask {
		x.touch(subject)
	}
}

// touchWanted notes that a host's list changed. It leaves the row's ModifyIndex alone,
// as does noteReport: neither is a change of the host.
func (s *State) touchWanted(x *applyContext, id HostID) {
	x.touch(Subject{SubjectWanted, string(id)})
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
	s.touchRelaysTo(x, old, nil)
	x.touch(HostSubject(old.ID))
	x.touch(CapacitySubject())
}

func (s *State) putVoter(x *applyContext, v Voter) {
	orders := s.LogsOut(v.Host)
	v.ModifyIndex = x.index
	s.voters.Set(v.ID, &v)
	x.touch(Subject{Kind: SubjectVoters})
	s.touchOrders(x, v.Host, orders)
}

func (s *State) removeVoter(x *applyContext, old *Voter) {
	orders := s.LogsOut(old.Host)
	s.voters.Delete(old.ID)
	x.touch(Subject{Kind: SubjectVoters})
	s.touchOrders(x, old.Host, orders)
}

// touchOrders notes that a host has another order than it had.
func (s *State) touchOrders(x *applyContext, id HostID, before int) {
	if s.LogsOut(id) != before {
		x.touch(Subject{SubjectWanted, string(id)})
	}
}

func (s *State) putService(x *applyContext, v Service) {
	old := s.Service(v.Name)
	v.ModifyIndex = x.index
	s.dueService(old, &v)
	s.indexUses(old, &v)
	s.services.Set(v.Name, &v)
	s.goals.Delete(v.Name) // they were made for what the service was
	s.touchRouted(x, old, &v)
	x.touch(ServiceSubject(v.Name))
}

func (s *State) putGoals(x *applyContext, g Goals) {
	g.ModifyIndex = x.index
	s.goals.Set(g.Service, &g)
	x.touch(ServiceSubject(g.Service))
}

// noteStarts puts a service of which only the back-off changed. That is no
// change of its settings, so ModifyIndex, which guards them, stays.
func (s *State) noteStarts(x *applyContext, v Service) {
	s.dueService(s.Service(v.Name), &v)
	s.services.Set(v.Name, &v)
	x.touch(ServiceSubject(v.Name))
}

// removeService drops a draining service whose last task has stopped, with its
// revisions and deployments; FormerService keeps their numbers from coming back at once.
func (s *State) removeService(x *applyContext, v *Service) {
	s.dueService(v, nil)
	s.indexUses(v, nil)
	s.services.Delete(v.Name)
	s.removeConditions(x, ServiceSubject(v.Name))
	for _, r := range s.revisionItems(v.Name) {
		s.revisions.Delete(r)
	}
	for _, d := range slices.Collect(s.Deployments(v.Name)) {
		s.removeDeployment(x, d)
	}
	s.former.Set(v.Name, &FormerService{Name: v.Name, ModifyIndex: x.index, LastRevision: v.LastRevision,
		RemovedAt: x.now, LastDeployment: v.LastDeployment})
	s.touchRouted(x, v, nil)
	x.touch(ServiceSubject(v.Name))
	s.removeOwned(x, v.Name)
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

// putTask replaces or adds a task: a run of one.
func (s *State) putTask(x *applyContext, t Task) {
	s.putRun(x, []*Task{s.Task(t.ID)}, []*Task{&t})
}

// removeDrained removes a service that drains, when its last task has stopped.
func (s *State) removeDrained(x *applyContext, name string) {
	if v := s.Service(name); v != nil && v.Status == ServiceDraining && s.Counts(name, "").Total == 0 {
		s.removeService(x, v)
	}
}

// wantedMoved reports whether a host must hear of a task's change.
func wantedMoved(old, t *Task) bool {
	if t.Host == "" {
		return false
	}
	return old == nil || old.Host != t.Host || old.Held() != t.Held() || old.Desired != t.Desired || t.rebound(old)
}

func (s *State) removeTask(x *applyContext, old *Task) {
	sums := sumChange{s: s}
	s.indexRun(&sums, []*Task{old}, []*Task{nil})
	sums.write()
	s.tasks.Delete(old.ID)
	x.touch(TaskSubject(old.ID))
}

func (s *State) putToken(x *applyContext, t Token) {
	t.ModifyIndex = x.index
	s.tokens.Set(t.ID, &t)
}

func (s *State) putCondition(x *applyContext, w Condition) {
	w.ModifyIndex = x.index
	s.dueCondition(s.Condition(w.Subject, w.By), &w)
	s.conditions.Set(itemOfCondition(&w))
	x.touchCondition(w.Subject)
}

func (s *State) removeCondition(x *applyContext, old *Condition) {
	s.dueCondition(old, nil)
	s.conditions.Delete(itemOfCondition(old))
	x.touchCondition(old.Subject)
}

// removeConditions drops what all planners say about a subject.
func (s *State) removeConditions(x *applyContext, subject Subject) {
	for _, old := range slices.Collect(s.ConditionsOf(subject)) {
		s.removeCondition(x, old)
	}
}

func (s *State) putEffect(x *applyContext, e Effect) {
	e.ModifyIndex = x.index
	old := s.Effect(e.ID)
	s.effects.Set(e.ID, &e)
	s.indexEffect(old, &e)
	x.touch(Subject{Kind: SubjectEffects})
	if !e.Open() {
		x.touchCondition(e.Subject) // whoever intended it looks at it again
	}
}

func (s *State) removeEffect(old *Effect) {
	s.effects.Delete(old.ID)
	s.indexEffect(old, nil)
}
