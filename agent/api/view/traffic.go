package view

import (
	"cmp"
	"fmt"
	"slices"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func trafficEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/listeners", "Listeners with their rules, by name", types.Listeners{}, endpoint.Limit,
				endpoint.Next("listeners")),
			Read: (*View).listeners,
		},
		{Spec: endpoint.Get("/v1/listeners/{name}", "One listener", types.Listener{}), Read: (*View).listener},
		{
			Spec: endpoint.Get("/v1/target-groups", "Target groups by name", types.TargetGroups{}, endpoint.Limit,
				endpoint.Next("target-groups")),
			Read: (*View).targetGroups,
		},
		{
			Spec: endpoint.Get("/v1/target-groups/{name}", "One target group with its targets", types.TargetGroup{}),
			Read: (*View).targetGroup,
		},
	}
}

// FindListener takes a name.
func FindListener(st *fleet.State, name string) (*fleet.Listener, error) {
	if l := st.Listener(fleet.ListenerName(name)); l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("listener %q: %w", types.Clean(name), fleet.ErrNotFound)
}

// FindRule takes an id.
func FindRule(st *fleet.State, id fleet.RuleID) (*fleet.Rule, error) {
	if r := st.Rule(id); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("rule %q: %w", types.Clean(string(id)), fleet.ErrNotFound)
}

// FindTargetGroup takes a name.
func FindTargetGroup(st *fleet.State, name string) (*fleet.TargetGroup, error) {
	if g := st.TargetGroup(fleet.TargetGroupName(name)); g != nil {
		return g, nil
	}
	return nil, fmt.Errorf("target group %q: %w", types.Clean(name), fleet.ErrNotFound)
}

func (v *View) listeners() (any, error) {
	limit, next := v.limit(endpoint.MaxPage), v.after("listeners")
	answer := &types.Listeners{Meta: v.Meta, Listeners: []types.Listener{}}
	for l := range v.State.Listeners() {
		if string(l.Name) <= next {
			continue
		}
		if len(answer.Listeners) == limit {
			answer.Next = endpoint.NewCursor("listeners", answer.Listeners[limit-1].Name)
			break
		}
		answer.Listeners = append(answer.Listeners, v.ListenerRow(l))
	}
	return answer, nil
}

func (v *View) listener() (any, error) {
	l, err := FindListener(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	row := v.ListenerRow(l)
	return &row, nil
}

// ListenerRow is the row of a listener.
func (v *View) ListenerRow(l *fleet.Listener) types.Listener {
	row := types.Listener{
		Name: string(l.Name), ModifyIndex: l.ModifyIndex, Port: l.Port, Protocol: l.Protocol.String(),
		ProxyProtocol: l.ProxyProtocol, IdleTimeoutS: l.IdleTimeoutS, BodyLimit: l.BodyLimit, Owner: l.Owner,
		Rules: []types.Rule{},
	}
	for _, p := range l.TrustedProxies {
		row.TrustedProxies = append(row.TrustedProxies, p.String())
	}
	if l.Alias != nil {
		row.Alias = l.Alias.Name
	}
	if f := v.failingOf(l.Name); f != nil {
		row.FailingCount, row.Failing = f.count, f.hosts
	}
	for _, c := range l.Certificates {
		row.Certificates = append(row.Certificates, types.CertificateFile(c))
	}
	rules := slices.SortedStableFunc(v.State.RulesOf(l.Name),
		func(a, b *fleet.Rule) int { return cmp.Compare(a.Order(), b.Order()) })
	for _, r := range rules {
		row.Rules = append(row.Rules, v.RuleRow(r))
	}
	return row
}

// RuleRow is the row of a rule.
func (v *View) RuleRow(r *fleet.Rule) types.Rule {
	row := types.Rule{ID: string(r.ID), ModifyIndex: r.ModifyIndex, Listener: string(r.Listener), Priority: r.Priority,
		Action: action(&r.Action), TimeoutS: r.TimeoutS, Owner: r.Owner}
	for _, c := range r.Conditions {
		row.Conditions = append(row.Conditions, types.RuleCondition{Field: c.Field.String(), Name: c.Name, Values: c.Values})
	}
	row.Service, _ = v.State.ServiceOfRule(r.ID)
	return row
}

func action(a *fleet.Action) types.Action {
	var row types.Action
	if f := a.Forward; f != nil {
		row.Forward = &types.Forward{StickyS: f.StickyS, StickyHeader: f.StickyHeader,
			Groups: make([]types.GroupWeight, len(f.Groups))}
		for i, g := range f.Groups {
			row.Forward.Groups[i] = types.GroupWeight{Group: string(g.Group), Weight: g.Weight}
		}
	}
	if f := a.Fixed; f != nil {
		row.Fixed = &types.FixedResponse{Status: f.Status, ContentType: types.Clean(f.ContentType), Body: f.Body}
	}
	if r := a.Redirect; r != nil {
		row.Redirect = &types.Redirect{Status: r.Status, Protocol: r.Protocol, Host: types.Clean(r.Host), Port: r.Port,
			Path: types.Clean(r.Path), Query: types.Clean(r.Query)}
	}
	return row
}

func (v *View) targetGroups() (any, error) {
	limit, next := v.limit(defaultPage), v.after("target-groups")
	answer := &types.TargetGroups{Meta: v.Meta, TargetGroups: []types.TargetGroup{}}
	for g := range v.State.TargetGroups() {
		if string(g.Name) <= next {
			continue
		}
		if len(answer.TargetGroups) == limit {
			answer.Next = endpoint.NewCursor("target-groups", answer.TargetGroups[limit-1].Name)
			break
		}
		row := v.TargetGroupRow(g)
		row.Targets = nil
		answer.TargetGroups = append(answer.TargetGroups, row)
	}
	return answer, nil
}

func (v *View) targetGroup() (any, error) {
	g, err := FindTargetGroup(v.State, v.PathValue("name"))
	if err != nil {
		return nil, err
	}
	row := v.TargetGroupRow(g)
	return &row, nil
}

// TargetGroupRow is the row of a target group, with its targets. O(tasks in it + rules).
func (v *View) TargetGroupRow(g *fleet.TargetGroup) types.TargetGroup {
	row := types.TargetGroup{
		Name: string(g.Name), ModifyIndex: g.ModifyIndex, Protocol: g.Protocol.String(), Check: types.TargetCheck(g.Check),
		DeregistrationDelayS: g.DeregistrationDelayS, SlowStartS: g.SlowStartS, StickyS: g.StickyS, AnyZone: g.AnyZone,
		ProxyProtocol: g.ProxyProtocol, Owner: g.Owner, Rules: []string{},
	}
	row.Service, _ = v.State.ServiceOfGroup(g.Name)
	for r := range v.State.RulesTo(g.Name) {
		row.Rules = append(row.Rules, string(r.ID))
	}
	for _, t := range v.State.Targets(g.Name) {
		count(&row.Counts, t.State)
		row.Targets = append(row.Targets, types.Target{
			Task: string(t.Task), Addr: t.Addr.String(), Revision: string(t.Revision), Host: v.hostRef(t.Host),
			State: t.State.String(), Since: types.Stamp(t.Since), Reason: types.Clean(t.Reason),
		})
	}
	return row
}

func count(n *types.TargetCount, state fleet.TargetState) {
	switch state {
	case fleet.TargetHealthy:
		n.Healthy++
	case fleet.TargetUnhealthy:
		n.Unhealthy++
	case fleet.TargetDraining:
		n.Draining++
	default:
		n.Initial++
	}
}
