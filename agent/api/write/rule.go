package write

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var (
	ruleFields = own("rule", append(actionFields("action"), "name", "priority", "conditions[]", "conditions[].field",
		"conditions[].name", "conditions[].values", "timeoutSeconds", "clientToken")...)
	weightFields = own("weights", "targetGroups[]", "targetGroups[].targetGroup", "targetGroups[].weight", "clientToken")
)

// actionFields are the fields of an action under a name.
func actionFields(at string) []string {
	fields := []string{at}
	for _, path := range []string{
		"forward", "forward.targetGroups[]", "forward.targetGroups[].targetGroup", "forward.targetGroups[].weight",
		"forward.stickySeconds", "forward.stickyHeader", "fixedResponse", "fixedResponse.statusCode",
		"fixedResponse.contentType", "fixedResponse.messageBody", "redirect", "redirect.statusCode", "redirect.protocol",
		"redirect.host", "redirect.port", "redirect.path", "redirect.query",
	} {
		fields = append(fields, at+"."+path)
	}
	return fields
}

func ruleEndpoints() []Endpoint {
	const of = "/v1/listeners/{listener}/rules"
	return []Endpoint{
		creation(of, "Create a rule of a listener", types.RuleBody{}, types.RuleWritten{}, (*Call).createRule),
		change(http.MethodPatch, of+"/{name}", "Change a rule; what is not given is kept", types.RuleBody{},
			types.RuleWritten{}, (*Call).updateRule, endpoint.Expect),
		change(http.MethodPost, of+"/{name}/weights", "Shift traffic between target groups of a rule",
			types.WeightsBody{}, types.RuleWritten{}, (*Call).setWeights, endpoint.Expect),
		change(http.MethodDelete, of+"/{name}", "Delete a rule", types.PlainBody{}, types.RuleWritten{}, (*Call).deleteRule,
			endpoint.Expect),
	}
}

// ruleID is the rule that the address names.
func (c *Call) ruleID(name string) fleet.RuleID {
	return fleet.MakeRuleID(fleet.ListenerName(c.PathValue("listener")), name)
}

func (c *Call) createRule() (*Order, error) {
	o, p, err := c.bodyOf(ruleFields)
	if err != nil {
		return nil, err
	}
	need(o, "priority", fmt.Sprintf("1 to %d; the lowest that fits takes a request", fleet.MaxPriority))
	need(o, "conditions", "what it asks of a request")
	need(o, "action", "what it does: forward, fixedResponse or redirect")
	put := fleet.PutRule{ID: c.ruleID(newName(o))}
	readRule(o, &put)
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return ruleOrder(token, put.ID, func(st *fleet.State) (fleet.Command, error) {
		_, err := view.FindListener(st, c.PathValue("listener"))
		return put, err
	}), nil
}

func (c *Call) updateRule() (*Order, error) {
	o, p, err := c.bodyOf(ruleFields)
	if err != nil {
		return nil, err
	}
	c.named(o)
	token := clientToken(o)
	readRule(o, &fleet.PutRule{})
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c.ruleChange(token, func(r *fleet.Rule) fleet.Command {
		put := fleet.PutRule{ID: r.ID, ExpectedModifyIndex: r.ModifyIndex, Priority: r.Priority, Conditions: r.Conditions,
			Action: r.Action, TimeoutS: r.TimeoutS, Owner: r.Owner}
		readRule(o, &put)
		return put
	}), nil
}

func (c *Call) setWeights() (*Order, error) {
	o, p, err := c.bodyOf(weightFields)
	if err != nil {
		return nil, err
	}
	need(o, "targetGroups", "the groups with their weights")
	weights, token := readWeights(o), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c.ruleChange(token, func(r *fleet.Rule) fleet.Command {
		return fleet.SetWeights{Rule: r.ID, ExpectedModifyIndex: r.ModifyIndex, Weights: weights}
	}), nil
}

func (c *Call) deleteRule() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	id := c.ruleID(c.PathValue("name"))
	return ruleOrder(token, id, func(*fleet.State) (fleet.Command, error) {
		return fleet.DeleteRule{ID: id, ExpectedModifyIndex: c.expect()}, nil
	}), nil
}

// ruleChange is a write that is made of the rule as it is.
func (c *Call) ruleChange(token string, command func(*fleet.Rule) fleet.Command) *Order {
	id := c.ruleID(c.PathValue("name"))
	order := ruleOrder(token, id, nil)
	order.Command = func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
		r, err := view.FindRule(st, id)
		if err != nil {
			return nil, nil, err
		}
		if err := c.moved("rule", string(id), r.ModifyIndex); err != nil {
			return nil, nil, err
		}
		made := command(r)
		return made, unserved(st, r, made), nil
	}
	return order
}

// unserved warns of a change by which no group that has a share of the traffic has a healthy
// target, while a group that the rule has, or had, has some.
func unserved(st *fleet.State, old *fleet.Rule, made fleet.Command) []strictjson.Warning {
	var shares, had []fleet.GroupWeight
	switch c := made.(type) {
	case fleet.SetWeights:
		shares = c.Weights
	case fleet.PutRule:
		if c.Action.Forward != nil {
			shares = c.Action.Forward.Groups
		}
	}
	if old.Action.Forward != nil {
		had = old.Action.Forward.Groups
	}
	var without []string
	for _, w := range shares {
		switch {
		case w.Weight == 0:
		case healthyTargets(st, w.Group) > 0:
			return nil
		default:
			without = append(without, string(w.Group))
		}
	}
	for _, w := range slices.Concat(had, shares) {
		if healthy := healthyTargets(st, w.Group); healthy > 0 && len(without) > 0 {
			return []strictjson.Warning{{Field: "targetGroups", Message: fmt.Sprintf("all traffic goes to %s, without a healthy"+
				" target, while %s has %d: requests fail until one is healthy", strings.Join(without, ", "), w.Group, healthy)}}
		}
	}
	return nil
}

func healthyTargets(st *fleet.State, group fleet.TargetGroupName) (n int) {
	for _, t := range st.Targets(group) {
		if t.State == fleet.TargetHealthy {
			n++
		}
	}
	return n
}

// ruleOrder is a write about one rule.
func ruleOrder(token string, id fleet.RuleID, command func(*fleet.State) (fleet.Command, error)) *Order {
	return rowOrder(token, command, func(v *view.View, w types.Written) any {
		answer := &types.RuleWritten{Written: w}
		if r := v.State.Rule(id); r != nil {
			row := v.RuleRow(r)
			answer.Rule = &row
		}
		return answer
	})
}

// readRule lays the fields given over a rule.
func readRule(o *strictjson.Object, put *fleet.PutRule) {
	readNumber(o, "priority", &put.Priority, 0, anyNumber)
	readNumber(o, "timeoutSeconds", &put.TimeoutS, 0, anyNumber)
	if o.Has("conditions") {
		put.Conditions = nil
		for _, c := range o.Objects("conditions", fleet.MaxConditionsRule) {
			put.Conditions = append(put.Conditions, readCondition(c))
		}
	}
	if action := readAction(o, "action"); action != nil {
		put.Action = *action
	}
}

func readCondition(o *strictjson.Object) fleet.RuleCondition {
	need(o, "field", "host-header, path-pattern, http-header, http-request-method, query-string or source-ip")
	need(o, "values", "patterns, of which one must fit")
	of, err := fleet.ParseConditionField(o.Choice("field", "host-header", "path-pattern", "http-header",
		"http-request-method", "query-string", "source-ip"))
	if err != nil {
		o.Refuse("field", "%v", err)
	}
	return fleet.RuleCondition{Field: of, Name: o.Text("name", fleet.MaxName),
		Values: o.Texts("values", fleet.MaxConditionTexts, fleet.MaxName)}
}

// readAction reads an action; nil where none is given.
func readAction(o *strictjson.Object, at string) *fleet.Action {
	a := o.Object(at)
	if a == nil {
		return nil
	}
	action := &fleet.Action{}
	if f := a.Object("forward"); f != nil {
		action.Forward = &fleet.Forward{Groups: readWeights(f), StickyHeader: f.Text("stickyHeader", fleet.MaxName)}
		readNumber(f, "stickySeconds", &action.Forward.StickyS, 0, anyNumber)
	}
	if f := a.Object("fixedResponse"); f != nil {
		action.Fixed = &fleet.FixedResponse{ContentType: f.Text("contentType", fleet.MaxName),
			Body: f.Text("messageBody", maxMessageBody)}
		readNumber(f, "statusCode", &action.Fixed.Status, 0, anyNumber)
	}
	if r := a.Object("redirect"); r != nil {
		action.Redirect = &fleet.Redirect{Protocol: r.Text("protocol", fleet.MaxName), Host: r.Text("host", fleet.MaxName),
			Path: r.Text("path", maxMessageBody), Query: r.Text("query", maxMessageBody)}
		readNumber(r, "statusCode", &action.Redirect.Status, 0, anyNumber)
		readNumber(r, "port", &action.Redirect.Port, 0, 65_535)
	}
	return action
}

// maxMessageBody bounds texts of actions before State checks them.
const maxMessageBody = 8 << 10

func readWeights(o *strictjson.Object) []fleet.GroupWeight {
	var weights []fleet.GroupWeight
	for _, w := range o.Objects("targetGroups", fleet.MaxForwardGroups) {
		need(w, "targetGroup", "name of a target group")
		g := fleet.GroupWeight{Group: fleet.TargetGroupName(w.Text("targetGroup", fleet.MaxName))}
		readNumber(w, "weight", &g.Weight, 0, fleet.TotalWeight)
		weights = append(weights, g)
	}
	return weights
}
