package fleet

import "slices"

// routesMark is the fleet's; zero without a fleet.
func (s *State) routesMark() RoutesMark {
	if s.fleet == nil {
		return RoutesMark{}
	}
	return s.fleet.Routes
}

// checkListener: its port is its own, and it has a default rule.
func (s *State) checkListener(b *violations, l *Listener) {
	b.must(l.ModifyIndex <= s.routesMark().Rules, "listener %s: mod %d is above that of rules, %d", l.Name, l.ModifyIndex,
		s.routesMark().Rules)
	err := checkListenerFields(l)
	b.must(err == nil, "listener %s: %v", l.Name, err)
	if l.Alias == nil {
		for other := range s.Listeners() { // the index of ports cannot say that a port is of two
			b.must(other == l || other.Alias != nil || other.Port != l.Port, "listener %s: port %d is another's too", l.Name,
				l.Port)
		}
	} else {
		err := s.checkAliasTaken(l)
		b.must(err == nil, "%v", err)
		b.must(s.aliasOf(l.Alias.Name).Number == l.Alias.Number, "listener %s: alias %s has two numbers",
			l.Name, l.Alias.Name)
	}
	b.must(s.Rule(MakeRuleID(l.Name, DefaultRule)) != nil, "listener %s has no default rule", l.Name)
}

// checkRule: it is of a listener, and what it takes goes to groups that are there, all
// of it (I7).
func (s *State) checkRule(b *violations, r *Rule) {
	b.must(r.ModifyIndex <= s.routesMark().Rules, "rule %s: mod %d is above that of rules, %d", r.ID, r.ModifyIndex,
		s.routesMark().Rules)
	listener, _ := r.ID.Split()
	l := s.Listener(r.Listener)
	b.must(l != nil && listener == r.Listener, "rule %s: its listener %s is not there", r.ID, r.Listener)
	if l != nil {
		err := s.checkRuleFields(l, r)
		b.must(err == nil, "rule %s: %v", r.ID, err)
	}
}

func (s *State) checkTargetGroup(b *violations, g *TargetGroup) {
	b.must(g.changedAt() <= s.routesMark().Any, "target group %s: changed at %d, routes at %d", g.Name, g.changedAt(),
		s.routesMark().Any)
	err := checkGroupFields(g)
	b.must(err == nil, "target group %s: %v", g.Name, err)
}

// checkUses: what a service names is there.
func (s *State) checkUses(b *violations, v *Service) {
	v.eachUse(func(g TargetGroupName) {
		b.must(s.TargetGroup(g) != nil, "service %s: target group %s is not there", v.Name, g)
	}, func(r RuleID) {
		rule := s.Rule(r)
		b.must(rule != nil && rule.Action.Forward != nil, "service %s: rule %s is not there, or does not forward", v.Name, r)
	})
}

// checkUsers: no two services name one target group or one rule.
func (s *State) checkUsers(b *violations) {
	groups, rules := 0, 0
	for v := range s.Services() {
		v.eachUse(func(TargetGroupName) { groups++ }, func(RuleID) { rules++ })
	}
	b.must(groups == s.groupUsers.Len(), "services name %d target groups, %d are different", groups, s.groupUsers.Len())
	b.must(rules == s.ruleUsers.Len(), "services name %d rules, %d are different", rules, s.ruleUsers.Len())
}

// checkTargets: a task is in the groups of its revision, which are there.
func (s *State) checkTargets(b *violations, t *Task) {
	if t.Stopped() || t.Service == "" {
		return
	}
	r := s.Revision(t.Revision)
	if r == nil {
		return
	}
	same := slices.EqualFunc(t.Targets, r.Groups, func(v TaskTarget, g GroupBinding) bool { return v.Group == g.Group })
	b.must(same, "task %s: in groups %+v, its revision in %+v", t.ID, t.Targets, r.Groups)
	for _, v := range t.Targets {
		b.must(s.TargetGroup(v.Group) != nil, "task %s: target group %s is not there", t.ID, v.Group)
		b.must(v.State >= TargetInitial && v.State <= TargetUnhealthy, "task %s: target is %s", t.ID, v.State)
	}
}

// checkRoutesChanged checks what an entry touched of traffic.
func (s *State) checkRoutesChanged(b *violations, t ChangeSet) {
	for subject := range t.Subjects(SubjectListener, SubjectRule, SubjectTargetGroup) {
		switch subject.Kind {
		case SubjectListener:
			if l := s.Listener(ListenerName(subject.Name)); l != nil {
				s.checkListener(b, l)
			}
		case SubjectRule:
			if r := s.Rule(RuleID(subject.Name)); r != nil {
				s.checkRule(b, r)
			}
		default:
			if g := s.TargetGroup(TargetGroupName(subject.Name)); g != nil {
				s.checkTargetGroup(b, g)
				_, indexed := s.groupsByChange.Get(g)
				b.must(indexed, "target group %s is not in the index by change", g.Name)
			}
		}
	}
	b.must(s.groups.Len() == s.groupsByChange.Len(), "%d target groups, %d by change", s.groups.Len(),
		s.groupsByChange.Len())
}
