package fleet

import (
	"fmt"
	"iter"
)

// ExposeService creates a service with what clients reach it by: its target groups, and
// rules or a listener with its default rule, all of which it owns. All is made, or
// nothing. IDs[0] is the RevisionID.
type ExposeService struct {
	Service PutService `cbor:"1,keyasint"`
	// Groups are made before all else.
	Groups []PutTargetGroup `cbor:"2,keyasint"`
	// Listener is a new one; nil where the rule is of one that is there.
	Listener *PutListener `cbor:"3,keyasint,omitempty"`
	// Rules are new ones; none where the listener's default rule is enough.
	Rules []PutRule `cbor:"4,keyasint,omitempty"`
	// Aliases are new listeners for tasks alone, made as Listener is.
	Aliases []PutListener `cbor:"5,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (ExposeService) Kind() Kind { return KindExposeService }

func (c ExposeService) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	trial := s.Clone()
	if _, err := c.make(trial, &applyContext{index: x.index, now: x.now, item: x.item, out: &Outcome{}}); err != nil {
		return nil, err
	}
	return c.make(s, x)
}

// check refuses what is no creation.
func (c ExposeService) check() error {
	if c.Service.ExpectedModifyIndex != 0 {
		return field("service", "expects a modify index: only a new service is made with its listener")
	}
	if err := checkRange("groups", len(c.Groups), 1, 2*MaxLoadBalancers); err != nil {
		return err
	}
	for i := range c.Groups {
		if c.Groups[i].ExpectedModifyIndex != 0 {
			return field(fmt.Sprintf("groups[%d]", i), "expects a modify index: only new groups are owned")
		}
	}
	if c.Listener == nil && len(c.Rules)+len(c.Aliases) == 0 {
		return field("rules", "are missing, and so is a listener: nobody would reach the service")
	}
	if c.Listener != nil && c.Listener.ExpectedModifyIndex != 0 {
		return field("listener", "expects a modify index: only a new listener is owned")
	}
	if err := checkRange("aliases", len(c.Aliases), 0, MaxLoadBalancers); err != nil {
		return err
	}
	for i := range c.Aliases {
		if at := fmt.Sprintf("aliases[%d]", i); c.Aliases[i].ExpectedModifyIndex != 0 {
			return field(at, "expects a modify index: only a new listener is owned")
		} else if c.Aliases[i].Alias == "" {
			return field(at+".alias", "is missing: it is the name by which tasks reach the service")
		}
	}
	if err := checkRange("rules", len(c.Rules), 0, 2*MaxLoadBalancers); err != nil {
		return err
	}
	for i := range c.Rules {
		if c.Rules[i].ExpectedModifyIndex != 0 {
			return field(fmt.Sprintf("rules[%d]", i), "expects a modify index: only new rules are owned")
		}
	}
	return nil
}

// make makes all in the order in which one names the other.
func (c ExposeService) make(s *State, x *applyContext) ([]string, error) {
	owner := c.Service.Name
	for _, g := range c.Groups {
		g.Owner = owner
		if _, err := g.apply(s, x); err != nil {
			return nil, err
		}
	}
	if c.Listener != nil {
		l := *c.Listener
		l.Owner = owner
		if _, err := l.apply(s, x); err != nil {
			return nil, err
		}
	}
	for _, l := range c.Aliases {
		l.Owner = owner
		if _, err := l.apply(s, x); err != nil {
			return nil, err
		}
	}
	for _, r := range c.Rules {
		r.Owner = owner
		if _, err := r.apply(s, x); err != nil {
			return nil, err
		}
	}
	return c.Service.apply(s, x)
}

// removeOwned takes away what a service made when it was created, and nothing else: what
// rules of others, or other services, still need stays, and is nobody's then.
func (s *State) removeOwned(x *applyContext, service string) {
	for _, r := range filter(s.Rules(), func(r *Rule) bool { return r.Owner == service && !r.ID.Default() }) {
		if _, used := s.ruleUsers.Get(r.ID); used {
			kept := *r
			kept.Owner = ""
			s.putRule(x, kept)
			continue
		}
		s.removeRule(x, r)
	}
	for _, l := range filter(s.Listeners(), func(l *Listener) bool { return l.Owner == service }) {
		s.removeOwnedListener(x, l)
	}
	s.removeVacant(x)
	for _, g := range filter(s.TargetGroups(), func(g *TargetGroup) bool { return g.Owner == service }) {
		if s.routedTo(g.Name) {
			kept := *g
			kept.Owner = ""
			s.putTargetGroup(x, kept)
			continue
		}
		s.removeTargetGroup(x, g)
	}
}

// filter collects the rows that are wanted, so that their table may change meanwhile.
func filter[R any](rows iter.Seq[*R], wanted func(*R) bool) (list []*R) {
	for r := range rows {
		if wanted(r) {
			list = append(list, r)
		}
	}
	return list
}

// removeOwnedListener removes a listener whose service is gone, or keeps it for rules
// of others, or for a service that names its default rule: else that says that nothing is there.
func (s *State) removeOwnedListener(x *applyContext, l *Listener) {
	fallback := s.Rule(MakeRuleID(l.Name, DefaultRule))
	_, used := s.ruleUsers.Get(fallback.ID)
	if s.ruleCount(l.Name) == 1 && !used {
		s.removeRule(x, fallback)
		s.removeListener(x, l)
		return
	}
	kept := *l
	kept.Owner = ""
	s.putListener(x, kept)
	r := *fallback
	r.Owner = ""
	if r.Action.Forward != nil && l.Protocol.PerRequest() && !used {
		r.Action = noService()
	}
	s.putRule(x, r)
}

// noService is what a listener answers that a service made and has left, for the sake of
// rules of others.
func noService() Action {
	return Action{Fixed: &FixedResponse{Status: 503, ContentType: "text/plain", Body: "no service is here\n"}}
}

// removeVacant removes the listeners that services made and left, and that no rule of others
// needs any more: each holds a port of all hosts.
func (s *State) removeVacant(x *applyContext) {
	for _, l := range filter(s.Listeners(), s.vacant) {
		s.removeRule(x, s.Rule(MakeRuleID(l.Name, DefaultRule)))
		s.removeListener(x, l)
	}
}

func (s *State) vacant(l *Listener) bool {
	fallback := s.Rule(MakeRuleID(l.Name, DefaultRule))
	_, used := s.ruleUsers.Get(fallback.ID)
	fixed := fallback.Action.Fixed
	return l.Owner == "" && !used && fixed != nil && *fixed == *noService().Fixed && s.ruleCount(l.Name) == 1
}

func (s *State) routedTo(group TargetGroupName) bool {
	for range s.RulesTo(group) {
		return true
	}
	return false
}
