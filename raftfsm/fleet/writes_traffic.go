package fleet

import "slices"

// The functions of writes.go for the tables of traffic. Each notes that what all hosts
// are sent of it has changed.

func (s *State) putListener(x *applyContext, l Listener) {
	l.ModifyIndex = x.index
	s.indexListener(s.Listener(l.Name), &l)
	s.listeners.Set(l.Name, &l)
	s.touchRules(x)
	x.touch(CapacitySubject()) // the port that it had is free on all hosts
	x.touch(Subject{SubjectListener, string(l.Name)})
}

func (s *State) removeListener(x *applyContext, old *Listener) {
	s.indexListener(old, nil)
	s.listeners.Delete(old.Name)
	s.touchRules(x)
	x.touch(CapacitySubject())
	x.touch(Subject{SubjectListener, string(old.Name)})
}

func (s *State) putRule(x *applyContext, r Rule) {
	r.ModifyIndex = x.index
	s.rules.Set(r.ID, &r)
	s.touchRules(x)
	x.touch(Subject{SubjectRule, string(r.ID)})
}

func (s *State) removeRule(x *applyContext, old *Rule) {
	s.rules.Delete(old.ID)
	s.touchRules(x)
	x.touch(Subject{SubjectRule, string(old.ID)})
}

func (s *State) putTargetGroup(x *applyContext, g TargetGroup) {
	g.ModifyIndex = x.index
	s.setTargetGroup(x, g)
	x.touch(Subject{SubjectTargetGroup, string(g.Name)})
}

func (s *State) removeTargetGroup(x *applyContext, old *TargetGroup) {
	s.groups.Delete(old.Name)
	s.groupsByChange.Delete(old)
	mark := s.fleet.Routes
	mark.Removed = x.index
	s.touchRoutes(x, mark)
	x.touch(Subject{SubjectTargetGroup, string(old.Name)})
}

// touchTargets notes that the targets of a group changed. It leaves the row's
// ModifyIndex alone: that guards what people set.
func (s *State) touchTargets(x *applyContext, name TargetGroupName) {
	old := s.TargetGroup(name)
	if old == nil || old.TargetsModifyIndex == x.index {
		return
	}
	g := *old
	g.TargetsModifyIndex = x.index
	s.setTargetGroup(x, g)
}

// setTargetGroup puts the row of a group of which something changed.
func (s *State) setTargetGroup(x *applyContext, g TargetGroup) {
	if old := s.TargetGroup(g.Name); old != nil {
		s.groupsByChange.Delete(old)
	}
	s.groups.Set(g.Name, &g)
	s.groupsByChange.Set(&g)
	s.touchRoutes(x, s.fleet.Routes)
}

func (s *State) touchRules(x *applyContext) {
	mark := s.fleet.Routes
	mark.Rules = x.index
	s.touchRoutes(x, mark)
}

// touchRoutes moves the mark of what all hosts are sent of traffic.
func (s *State) touchRoutes(x *applyContext, mark RoutesMark) {
	mark.Any = x.index
	x.touch(Subject{Kind: SubjectRoutes})
	if mark == s.fleet.Routes {
		return
	}
	f := *s.fleet
	f.Routes = mark
	s.fleet = &f
}

// touchTargetsOn notes that the tasks of a host changed as targets with its row.
func (s *State) touchTargetsOn(x *applyContext, old, h *Host) {
	if old == nil || s.targets.Len() == 0 || old.State == h.State && old.Zone == h.Zone &&
		old.BootSession == h.BootSession && old.Addr.Addr() == h.Addr.Addr() {
		return
	}
	for t := range s.HeldBy(h.ID) {
		if t.isTarget() {
			for _, v := range t.Targets {
				s.touchTargets(x, v.Group)
			}
		}
	}
}

// touchTargetsOf notes that a task changed as a target of its groups; old is nil for a
// new one.
func (s *State) touchTargetsOf(x *applyContext, old, t *Task) {
	if len(t.Targets) == 0 || old == nil || !s.targetMoved(old, t) {
		return
	}
	for i, v := range t.Targets {
		s.touchTargets(x, v.Group)
		if was := old.Targets[i].Group; was != v.Group {
			s.touchTargets(x, was)
		}
	}
}

// targetMoved reports whether a task is another target than it was, or begins or ends
// to be one. Its reason counts as far as the target's is that.
func (s *State) targetMoved(old, t *Task) bool {
	if !old.isTarget() && !t.isTarget() {
		return false
	}
	if old.isTarget() != t.isTarget() || old.Desired != t.Desired || !slices.Equal(old.Targets, t.Targets) ||
		t.Desired == TaskStopped && old.Reason != t.Reason {
		return true
	}
	return old.Session != t.Session && old.targetOn(s.Host(t.Host)) != t.targetOn(s.Host(t.Host))
}

// rebound reports whether a task is in other groups than it was: see State.rebind.
func (t *Task) rebound(old *Task) bool {
	return !slices.EqualFunc(old.Targets, t.Targets, func(a, b TaskTarget) bool { return a.Group == b.Group })
}

// indexTargets moves a task from its old row to its new one in the index of its groups;
// either may be nil.
func (s *State) indexTargets(old, t *Task) {
	was, is := old != nil && !old.Stopped(), t != nil && !t.Stopped()
	if was && is && t.rebound(old) {
		s.indexTargets(old, nil)
	}
	switch {
	case is:
		for _, v := range t.Targets {
			s.targets.Set(groupTask{v.Group, t})
		}
	case was:
		for _, v := range old.Targets {
			s.targets.Delete(groupTask{v.Group, old})
		}
	}
}

// indexUses moves a service from its old row to its new one in the indices of who names
// groups and rules; either may be nil.
func (s *State) indexUses(old, v *Service) {
	if old != nil {
		old.eachUse(func(g TargetGroupName) { s.groupUsers.Delete(g) }, func(r RuleID) { s.ruleUsers.Delete(r) })
	}
	if v != nil {
		v.eachUse(func(g TargetGroupName) { s.groupUsers.Set(g, v.Name) }, func(r RuleID) { s.ruleUsers.Set(r, v.Name) })
	}
}

// eachUse calls with the groups and rules that a service names.
func (v *Service) eachUse(group func(TargetGroupName), rule func(RuleID)) {
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		for _, g := range []TargetGroupName{lb.Group, lb.AlternateGroup} {
			if g != "" {
				group(g)
			}
		}
		for _, r := range []RuleID{lb.ProductionRule, lb.TestRule} {
			if r != "" {
				rule(r)
			}
		}
	}
}
