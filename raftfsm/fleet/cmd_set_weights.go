package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// SetWeights shifts traffic: it gives a rule that forwards the shares of its target
// groups, and leaves the rest of the rule as it is. Weights sum to TotalWeight. Groups
// may be named that the rule did not have, and those that are not named have no share
// any more. ExpectedModifyIndex must be the row's. Refused while a deployment holds the
// rule. The same shares again change nothing.
type SetWeights struct {
	Rule                RuleID        `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64        `cbor:"2,keyasint"`
	Weights             []GroupWeight `cbor:"3,keyasint"`
}

// Kind is the command's number in the log.
func (SetWeights) Kind() Kind { return KindSetWeights }

func (c SetWeights) apply(s *State, x *applyContext) ([]string, error) {
	old := s.Rule(c.Rule)
	if old == nil {
		return nil, refuse(ErrNotFound, "set weights of rule %s", quoted(string(c.Rule)))
	}
	if old.ModifyIndex != c.ExpectedModifyIndex {
		return nil, refuse(ErrMoved, "set weights of rule %s: it is at %d, not %d; read it again", c.Rule, old.ModifyIndex,
			c.ExpectedModifyIndex)
	}
	if old.Action.Forward == nil {
		return nil, refuse(ErrConflict, "set weights of rule %s: it does not forward to target groups", c.Rule)
	}
	if err := s.checkWeights("targetGroups", s.Listener(old.Listener).Protocol, c.Weights); err != nil {
		return nil, err
	}
	if err := s.refuseHeld("set weights of", old); err != nil {
		return nil, err
	}
	if slices.Equal(old.Action.Forward.Groups, c.Weights) {
		return nil, nil
	}
	r := *old
	r.Action.Forward = old.Action.Forward.with(c.Weights)
	s.putRule(x, r)
	s.recordEvent(x, Event{Code: "weights-set", Subject: Subject{SubjectRule, string(r.ID)},
		Message: fmt.Sprintf("%s: %s", r.ID, shares(c.Weights))})
	return nil, nil
}

// with is the forward with other shares of its groups.
func (f Forward) with(groups []GroupWeight) *Forward {
	f.Groups = groups
	return &f
}

// shares are weights as people read them: "web-blue 95 %, web-green 5 %".
func shares(weights []GroupWeight) string {
	parts := make([]string, len(weights))
	for i, w := range weights {
		percent := strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", w.Weight/100, w.Weight%100), "0"), ".")
		parts[i] = fmt.Sprintf("%s %s %%", w.Group, percent)
	}
	return strings.Join(parts, ", ")
}
