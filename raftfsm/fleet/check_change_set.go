package fleet

// CheckChangeSet checks only what an entry touched: its rows, and for those every
// derived figure, counted anew from the tasks of the host or service.
func (s *State) CheckChangeSet(t ChangeSet) error {
	var b violations
	s.checkFleet(&b)
	for id := range t.Tasks() {
		if task := s.Task(id); task != nil {
			s.checkTaskRow(&b, task)
			if s.TaskDef(task.TaskDef) != nil { // else its deadline is not known
				s.checkTaskIndexed(&b, task)
			}
		}
	}
	for id := range t.Hosts() {
		if h := s.Host(id); h != nil {
			s.checkHost(&b, h)
			s.checkReserved(&b, h, s.heldBy(h.ID))
		}
	}
	for _, name := range t.Services() {
		if v := s.Service(name); v != nil {
			s.checkService(&b, v)
		}
		if g := s.Goals(name); g != nil {
			s.checkGoals(&b, g)
		}
		s.checkCounts(&b, name)
	}
	s.checkRoutesChanged(&b, t)
	s.checkDeploymentsChanged(&b, t)
	s.checkEntriesChanged(&b, t)
	if t.Any(SubjectVoters) {
		for v := range s.Voters() {
			s.checkVoter(&b, v)
		}
	}
	if t.Any(SubjectEffects) {
		for e := range s.Effects() {
			s.checkEffect(&b, e)
			_, inTime := s.effectsByTime.Get(e)
			_, ofSubject := s.effectsBySubject.Get(e)
			b.must(inTime && ofSubject, "effect %s: in the index by time %v, by subject %v", e.ID, inTime, ofSubject)
		}
		b.must(s.effects.Len() == s.effectsByTime.Len(), "%d effects, %d by time", s.effects.Len(), s.effectsByTime.Len())
	}
	return b.err()
}

func (s *State) checkTaskIndexed(b *violations, t *Task) {
	_, inService := s.byService.Get(t)
	b.must(inService == (t.Service != ""), "task %s: in the index of services: %v", t.ID, inService)
	_, onHost := s.byHost.Get(t)
	b.must(onHost == (t.Host != ""), "task %s: in the index of hosts: %v", t.ID, onHost)
	_, unassigned := s.unassigned.Get(t)
	b.must(unassigned == t.unassigned(), "task %s: in the index of unassigned: %v", t.ID, unassigned)
	_, stopped := s.stopped.Get(t)
	b.must(stopped == t.Stopped(), "task %s: in the index of stopped: %v", t.ID, stopped)
	for _, v := range t.Targets {
		i, inGroup := s.targets.Get(groupTask{v.Group, t})
		b.must(inGroup == !t.Stopped() && (t.Stopped() || i.task == t), "task %s: in the index of group %s: %v", t.ID,
			v.Group, inGroup)
	}
	if t.Held() {
		for _, p := range t.Ports {
			use, _ := s.ports.Get(PortUse{Host: t.Host, Protocol: p.Protocol, Port: p.HostPort})
			b.must(use.Task == t.ID, "task %s: port %d/%s is held by %q", t.ID, p.HostPort, p.Protocol, use.Task)
		}
	}
	if d := s.taskDeadline(t); d.at > s.now.Add(-dueKept) {
		_, ok := s.due.Get(d)
		b.must(ok, "task %s: deadline %s is missing", t.ID, d.at)
	}
}

// checkCounts counts a service's tasks one by one.
func (s *State) checkCounts(b *violations, service string) {
	var want Counts
	zones := map[string]int{}
	for t := range s.TasksOfService(service) {
		want.count(s, t)
		if h := s.Host(t.Host); h != nil && t.Desired == TaskRunning && s.Reachable(t) {
			zones[h.Zone]++
		}
	}
	b.must(s.Counts(service, "") == want, "service %s: counts %+v, tasks say %+v", service, s.Counts(service, ""), want)
	got := s.TasksByZone(service)
	for zone, n := range zones {
		b.must(got[zone] == n, "service %s: %d tasks in zone %s, tasks say %d", service, got[zone], zone, n)
	}
	b.must(len(got) == len(zones), "service %s: in zones %v, tasks say %v", service, got, zones)
}

// count adds one task by the definition of Counts, without any index.
func (n *Counts) count(s *State, t *Task) {
	if t.Stopped() {
		return
	}
	n.Total++
	switch {
	case t.Desired == TaskStopped:
		n.Stopping++
	case !s.Reachable(t):
		n.Unreachable++
	case t.Last < TaskRunning:
		n.Pending++
	default:
		n.Running++
		if t.Health == HealthHealthy {
			n.Healthy++
		}
		if s.Healthy(t, s.now) {
			n.Serving++
		} else if t.Failing(s.TaskDef(t.TaskDef).Checked()) &&
			s.now >= t.graceEnds(s.Service(t.Service)) {
			n.Failing++
		}
	}
	if t.Replace != nil && t.Desired == TaskRunning && s.Reachable(t) {
		n.ToReplace++
	}
}
