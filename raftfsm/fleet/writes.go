package fleet

// The only functions that put rows into tables. Each stamps Mod, keeps the
// indices and notes what was touched. A row handed to them must be new: rows in
// tables are shared with snapshots.

func (s *State) putFleet(x *context, f Fleet) {
	f.Mod = x.index
	s.fleet = &f
	x.out.Touched.Fleet = true
}

func (s *State) putHost(x *context, h Host) {
	old := s.Host(h.ID)
	h.Mod = x.index
	services := s.recount(old, &h)
	s.hosts.Set(h.ID, &h)
	s.indexHost(old, &h)
	x.out.Touched.Hosts = append(x.out.Touched.Hosts, h.ID)
	x.out.Touched.Services = append(x.out.Touched.Services, services...)
}

// touchWanted notes that a host's list changed. It leaves the row's Mod alone,
// as does noteReport: neither is a change of the host.
func (s *State) touchWanted(x *context, id HostID) {
	x.out.Touched.Wanted = append(x.out.Touched.Wanted, id)
	if old := s.Host(id); old != nil && old.WantedMod != x.index {
		h := *old
		h.WantedMod = x.index
		s.hosts.Set(id, &h)
	}
}

func (s *State) noteReport(id HostID, seq uint64) {
	h := *s.Host(id)
	h.ReportSeq = seq
	s.hosts.Set(id, &h)
}

func (s *State) removeHost(x *context, old *Host) {
	s.indexHost(old, nil)
	s.hosts.Delete(old.ID)
	x.out.Touched.Hosts = append(x.out.Touched.Hosts, old.ID)
}

func (s *State) putVoter(x *context, v Voter) {
	v.Mod = x.index
	s.voters.Set(v.ID, &v)
	x.out.Touched.Voters = true
}

func (s *State) putService(x *context, v Service) {
	old := s.Service(v.Name)
	v.Mod = x.index
	s.dueService(old, &v)
	s.services.Set(v.Name, &v)
	s.touchService(x, v.Name)
}

// noteStarts puts a service of which only the back-off changed. That is no
// change of its settings, so Mod, which guards them, stays.
func (s *State) noteStarts(x *context, v Service) {
	s.dueService(s.Service(v.Name), &v)
	s.services.Set(v.Name, &v)
	s.touchService(x, v.Name)
}

func (s *State) touchService(x *context, name string) {
	x.out.Touched.Services = append(x.out.Touched.Services, name)
}

// removeService drops a draining service whose last task has stopped, with its
// revisions; FormerService keeps their numbers from coming back at once.
func (s *State) removeService(x *context, v *Service) {
	s.dueService(v, nil)
	s.services.Delete(v.Name)
	s.removeWait(x, AboutService(v.Name))
	for _, r := range s.revisionItems(v.Name) {
		s.revisions.Delete(r)
	}
	s.former.Set(v.Name, &FormerService{Name: v.Name, Mod: x.index, LastRevision: v.LastRevision, RemovedAt: x.now})
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
func (s *State) putTask(x *context, t Task) {
	old := s.Task(t.ID)
	t.Mod = x.index
	s.tasks.Set(t.ID, &t)
	s.indexTask(old, &t)
	x.out.Touched.Tasks = append(x.out.Touched.Tasks, t.ID)
	if wantedMoved(old, &t) {
		s.touchWanted(x, t.Host)
	}
	if old != nil && old.unassigned() && !t.unassigned() {
		s.removeWait(x, AboutTask(t.ID))
	}
	if t.Service == "" {
		return
	}
	s.touchService(x, t.Service)
	if v := s.Service(t.Service); t.Stopped() && v != nil && v.Status == ServiceDraining {
		s.removeDrained(x, v)
	}
}

func (s *State) removeDrained(x *context, v *Service) {
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

func (s *State) removeTask(x *context, old *Task) {
	s.indexTask(old, nil)
	s.tasks.Delete(old.ID)
	x.out.Touched.Tasks = append(x.out.Touched.Tasks, old.ID)
}

func (s *State) putToken(x *context, t Token) {
	t.Mod = x.index
	s.tokens.Set(t.ID, &t)
}

func (s *State) putWait(x *context, w Wait) {
	w.Mod = x.index
	s.dueWait(s.Wait(w.About), &w)
	s.waits.Set(w.About, &w)
	s.touchSubject(x, w.About)
}

func (s *State) removeWait(x *context, about string) {
	old := s.Wait(about)
	if old == nil {
		return
	}
	s.dueWait(old, nil)
	s.waits.Delete(about)
	s.touchSubject(x, about)
}
