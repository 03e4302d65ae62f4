package route

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// Table is fleet.Routes, ready to be asked.
type Table struct {
	Index     uint64
	Listeners map[fleet.ListenerName]*Listener
	Groups    map[fleet.TargetGroupName]*Group
	rules     map[fleet.RuleID]bool
}

// Listener is a listener with its rules.
type Listener struct {
	Noun  fleet.Listener
	rules *ruleSet
}

// Rules are in the order in which they are asked.
func (l *Listener) Rules() []*Rule { return l.rules.rules }

// Find returns the rule that takes the request; nil: none does.
func (l *Listener) Find(r *Request) *Rule { return l.rules.find(r) }

// Compile makes a table. Requests may read it before Retire is called with it. A rule that
// this agent cannot ask takes nothing, and is named by the error; the table is whole
// otherwise.
func (m *Memory) Compile(routes fleet.Routes, index uint64, now time.Time, mono time.Duration) (*Table, error) {
	t := &Table{
		Index:     index,
		Listeners: make(map[fleet.ListenerName]*Listener, len(routes.Listeners)),
		Groups:    make(map[fleet.TargetGroupName]*Group, len(routes.Groups)),
		rules:     make(map[fleet.RuleID]bool, len(routes.Rules)),
	}
	for _, noun := range routes.Groups {
		name := noun.TargetGroup.Name
		if was := m.last[name]; was != nil && was.is(noun) {
			t.Groups[name] = was // most groups stay as they are when another's weights change
		} else {
			t.Groups[name] = m.compileGroup(noun, now, mono)
		}
	}
	m.last = t.Groups
	rules := map[fleet.ListenerName][]*Rule{}
	var broken []error
	for _, noun := range routes.Rules {
		rule := m.compileRule(noun, t.Groups)
		if rule.broken != nil {
			broken = append(broken, fmt.Errorf("rule %s takes nothing: %w", noun.ID, rule.broken))
		}
		rules[noun.Listener] = append(rules[noun.Listener], rule)
		t.rules[noun.ID] = true
	}
	for _, noun := range routes.Listeners {
		t.Listeners[noun.Name] = &Listener{Noun: noun, rules: newRuleSet(rules[noun.Name])}
	}
	return t, errors.Join(broken...)
}

// is reports whether the group is of this noun.
func (g *Group) is(noun fleet.GroupTargets) bool {
	return g.Noun == noun.TargetGroup && slices.Equal(g.nouns, noun.Targets)
}

func (t *Table) hasRule(id fleet.RuleID) bool { return t.rules[id] }

func (m *Memory) compileRule(noun fleet.Rule, groups map[fleet.TargetGroupName]*Group) *Rule {
	memory := m.rule(noun.ID)
	r := &Rule{Noun: noun, Requests: &memory.requests}
	for _, condition := range noun.Conditions {
		c, err := compileCondition(condition)
		if err != nil {
			r.broken = err
			return r
		}
		r.conditions = append(r.conditions, c)
	}
	switch action := noun.Action; {
	case action.Forward != nil:
		r.forward = newForward(noun, groups, memory.turn)
	case action.Fixed == nil && action.Redirect == nil:
		r.broken = errors.New("its action is not known to this agent")
	}
	return r
}

func (m *Memory) compileGroup(noun fleet.GroupTargets, now time.Time, mono time.Duration) *Group {
	g := &Group{
		Noun: noun.TargetGroup, zone: m.zone, sticky: noun.TargetGroup.StickyS > 0,
		cookie: cookieName("target", string(noun.TargetGroup.Name)), nouns: slices.Clone(noun.Targets),
		colour:   colourOf(noun.Targets),
		Unserved: m.unserved(noun.TargetGroup.Name),
	}
	warming := time.Duration(noun.TargetGroup.SlowStartS) * time.Second
	for _, target := range noun.Targets {
		member := Member{Target: m.target(noun.TargetGroup.Name, target), State: target.State}
		if warming > 0 && target.State == fleet.TargetHealthy {
			member.warming = warming
			member.warm = mono + warming - max(now.Sub(target.Since.Std()), 0)
		}
		g.Members = append(g.Members, member)
	}
	slices.SortFunc(g.Members, func(a, b Member) int { return cmp.Compare(a.Noun.Task, b.Noun.Task) })
	g.Refresh()
	return g
}
