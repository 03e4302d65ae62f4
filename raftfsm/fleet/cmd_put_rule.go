package fleet

// PutRule creates or updates a rule of a listener that is there. Zero
// ExpectedModifyIndex creates and is refused when the id exists; otherwise the row's
// ModifyIndex must equal it. The default rule, which comes with its listener, keeps
// priority 0 and no conditions. Refused when another rule of the listener has the
// priority, when one of the two would never take a request, when a target group is not
// there or of another protocol, when a service names the rule and it would not forward
// any more, and while a deployment holds it and it would forward otherwise.
type PutRule struct {
	ID                  RuleID          `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64          `cbor:"2,keyasint,omitempty"`
	Priority            int             `cbor:"3,keyasint,omitempty"`
	Conditions          []RuleCondition `cbor:"4,keyasint,omitempty"`
	Action              Action          `cbor:"5,keyasint"`
	TimeoutS            int             `cbor:"6,keyasint,omitempty"`
	Owner               string          `cbor:"7,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (PutRule) Kind() Kind { return KindPutRule }

func (c PutRule) apply(s *State, x *applyContext) ([]string, error) {
	if err := checkRuleID("id", c.ID); err != nil {
		return nil, err
	}
	old := s.Rule(c.ID)
	if err := checkExpected("rule", string(c.ID), c.ExpectedModifyIndex, modifyIndexOf(old)); err != nil {
		return nil, err
	}
	name, _ := c.ID.Split()
	l := s.Listener(name)
	if l == nil {
		return nil, refuse(ErrNotFound, "rule %s: listener %s", c.ID, name)
	}
	r := Rule{ID: c.ID, Listener: l.Name, Priority: c.Priority, Conditions: c.Conditions, Action: c.Action,
		TimeoutS: c.TimeoutS, Owner: c.Owner}
	if err := s.checkRuleFields(l, &r); err != nil {
		return nil, err
	}
	if err := s.refuseHidden(old, &r); err != nil {
		return nil, err
	}
	if user, used := s.ruleUsers.Get(c.ID); used && r.Action.Forward == nil {
		return nil, field("action", "service %s names the rule, so it must forward to target groups", user)
	}
	if err := c.checkHeld(s, old, &r); err != nil {
		return nil, err
	}
	if n := s.ruleCount(l.Name); old == nil && n > MaxListenerRules {
		return nil, refuse(ErrLimit, "create rule %s: its listener has %d rules", c.ID, n)
	}
	s.putRule(x, r)
	s.recordEvent(x, putEvent(Subject{SubjectRule, string(r.ID)}, "rule", old == nil, string(r.ID)))
	return []string{string(r.ID)}, nil
}

// checkHeld refuses another action of a rule that a deployment holds, or would hold.
func (c PutRule) checkHeld(s *State, old, r *Rule) error {
	switch {
	case old == nil:
		return s.refuseHeld("create", r)
	case old.Action.forwardsAs(&r.Action):
		return nil
	}
	return first(s.refuseHeld("update", old), s.refuseHeld("update", r))
}

// ruleCount is the number of a listener's rules, its default included.
func (s *State) ruleCount(listener ListenerName) (n int) {
	for range s.RulesOf(listener) {
		n++
	}
	return n
}
