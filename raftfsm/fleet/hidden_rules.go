package fleet

import (
	"slices"
	"strings"
)

// refuseHidden refuses a rule that would never take a request, or that would leave none to
// another, since the one that comes first asks for nothing that the other does not ask for.
// What is told by the texts of conditions alone is seen, not what patterns have in common.
func (s *State) refuseHidden(old, r *Rule) error {
	if r.ID.Default() || old != nil && old.Priority == r.Priority && slices.EqualFunc(old.Conditions, r.Conditions,
		RuleCondition.same) {
		return nil
	}
	for other := range s.RulesOf(r.Listener) {
		if other.ID == r.ID || other.ID.Default() {
			continue
		}
		before, after := other, r
		if r.Priority < other.Priority {
			before, after = r, other
		}
		if before.hides(after) {
			return refuse(ErrConflict, "rule %s: rule %s would never take a request: all that fits it fits rule %s, which"+
				" comes first (priority %d before %d); ask for another host or path, or put the narrower rule first", r.ID,
				after.ID, before.ID, before.Priority, after.Priority)
		}
	}
	return nil
}

// hides reports whether all that fits another rule fits this one.
func (r *Rule) hides(other *Rule) bool {
	for _, c := range r.Conditions {
		if !slices.ContainsFunc(other.Conditions, c.covers) {
			return false
		}
	}
	return true
}

// covers reports whether all that fits another condition fits this one.
func (c RuleCondition) covers(other RuleCondition) bool {
	if c.Field != other.Field || c.subject() != other.subject() {
		return false
	}
	for _, v := range other.Values {
		if !slices.ContainsFunc(c.Values, func(own string) bool { return c.text(own) == c.text(v) }) {
			return false
		}
	}
	return true
}

func (c RuleCondition) same(other RuleCondition) bool {
	return c.Field == other.Field && c.Name == other.Name && slices.Equal(c.Values, other.Values)
}

// subject is what a condition looks at, as names of headers are compared.
func (c RuleCondition) subject() string {
	if c.Field == FieldHeader {
		return strings.ToLower(c.Name)
	}
	return c.Name
}

// text is a pattern as it is compared: of hosts and headers in small letters.
func (c RuleCondition) text(v string) string {
	if c.Field == FieldHost || c.Field == FieldHeader {
		return strings.ToLower(v)
	}
	return v
}
