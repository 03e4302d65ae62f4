package write

import (
	"net/http"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var targetGroupFields = own("target group", "name", "protocolVersion", "healthCheck", "healthCheck.path",
	"healthCheck.port", "healthCheck.matcher", "healthCheck.intervalSeconds", "healthCheck.timeoutSeconds",
	"healthCheck.healthyThresholdCount", "healthCheck.unhealthyThresholdCount", "deregistrationDelaySeconds",
	"slowStartSeconds", "stickySeconds", "anyZone", "proxyProtocol", "clientToken")

func targetGroupEndpoints() []Endpoint {
	return []Endpoint{
		creation("/v1/target-groups", "Create a target group", types.TargetGroupBody{}, types.TargetGroupWritten{},
			(*Call).createTargetGroup),
		change(http.MethodPatch, "/v1/target-groups/{name}", "Change a target group; what is not given is kept",
			types.TargetGroupBody{}, types.TargetGroupWritten{}, (*Call).updateTargetGroup, endpoint.Expect),
		change(http.MethodDelete, "/v1/target-groups/{name}", "Delete a target group that nothing names",
			types.PlainBody{}, types.TargetGroupWritten{}, (*Call).deleteTargetGroup, endpoint.Expect),
	}
}

func (c *Call) createTargetGroup() (*Order, error) {
	o, p, err := c.bodyOf(targetGroupFields)
	if err != nil {
		return nil, err
	}
	put := newTargetGroup(fleet.TargetGroupName(newName(o)), fleet.GroupHTTP1)
	readTargetGroup(o, &put)
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return targetGroupOrder(token, put.Name, func(*fleet.State) (fleet.Command, error) { return put, nil }), nil
}

func (c *Call) updateTargetGroup() (*Order, error) {
	o, p, err := c.bodyOf(targetGroupFields)
	if err != nil {
		return nil, err
	}
	c.named(o)
	token := clientToken(o)
	readTargetGroup(o, &fleet.PutTargetGroup{})
	if err := p.Err(); err != nil {
		return nil, err
	}
	name := fleet.TargetGroupName(c.PathValue("name"))
	return targetGroupOrder(token, name, func(st *fleet.State) (fleet.Command, error) {
		g, err := view.FindTargetGroup(st, string(name))
		if err != nil {
			return nil, err
		}
		if err := c.moved("target group", string(name), g.ModifyIndex); err != nil {
			return nil, err
		}
		put := fleet.PutTargetGroup{
			Name: g.Name, ExpectedModifyIndex: g.ModifyIndex, Protocol: g.Protocol, Check: g.Check,
			DeregistrationDelayS: g.DeregistrationDelayS, SlowStartS: g.SlowStartS, StickyS: g.StickyS, AnyZone: g.AnyZone,
			ProxyProtocol: g.ProxyProtocol, Owner: g.Owner,
		}
		readTargetGroup(o, &put)
		return put, nil
	}), nil
}

func (c *Call) deleteTargetGroup() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	name := fleet.TargetGroupName(c.PathValue("name"))
	return targetGroupOrder(token, name, func(*fleet.State) (fleet.Command, error) {
		return fleet.DeleteTargetGroup{Name: name, ExpectedModifyIndex: c.expect()}, nil
	}), nil
}

// newTargetGroup is a group with the defaults of what is not given: bad targets are
// found in ten seconds, and a connection is enough, since what a path answers is not
// known.
func newTargetGroup(name fleet.TargetGroupName, protocol fleet.GroupProtocol) fleet.PutTargetGroup {
	return fleet.PutTargetGroup{
		Name: name, Protocol: protocol, DeregistrationDelayS: 30,
		Check: fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2},
	}
}

// readGroupProtocol is the protocol given, or 0.
func readGroupProtocol(o *strictjson.Object) fleet.GroupProtocol {
	if !o.Has("protocolVersion") {
		return 0
	}
	protocol, err := fleet.ParseGroupProtocol(o.Choice("protocolVersion", "HTTP1", "HTTP2", "GRPC", "TCP"))
	if err != nil {
		return 0
	}
	return protocol
}

// readTargetGroup lays the fields given over a target group.
func readTargetGroup(o *strictjson.Object, put *fleet.PutTargetGroup) {
	if protocol := readGroupProtocol(o); protocol != 0 {
		put.Protocol = protocol
	}
	if c := o.Object("healthCheck"); c != nil {
		if c.Has("path") {
			put.Check.Path = c.Text("path", maxMessageBody)
		}
		if c.Has("matcher") {
			put.Check.Matcher = c.Text("matcher", fleet.MaxName)
		}
		readNumber(c, "port", &put.Check.Port, 0, 65_535)
		readNumber(c, "intervalSeconds", &put.Check.IntervalS, 0, anyNumber)
		readNumber(c, "timeoutSeconds", &put.Check.TimeoutS, 0, anyNumber)
		readNumber(c, "healthyThresholdCount", &put.Check.Healthy, 0, anyNumber)
		readNumber(c, "unhealthyThresholdCount", &put.Check.Unhealthy, 0, anyNumber)
	}
	readNumber(o, "deregistrationDelaySeconds", &put.DeregistrationDelayS, 0, anyNumber)
	readNumber(o, "slowStartSeconds", &put.SlowStartS, 0, anyNumber)
	readNumber(o, "stickySeconds", &put.StickyS, 0, anyNumber)
	put.AnyZone = o.Bool("anyZone", put.AnyZone)
	put.ProxyProtocol = o.Bool("proxyProtocol", put.ProxyProtocol)
}

// targetGroupOrder is a write about one target group.
func targetGroupOrder(
	token string, name fleet.TargetGroupName, command func(*fleet.State) (fleet.Command, error),
) *Order {
	return rowOrder(token, command, func(v *view.View, w types.Written) any {
		answer := &types.TargetGroupWritten{Written: w}
		if g := v.State.TargetGroup(name); g != nil {
			row := v.TargetGroupRow(g)
			answer.TargetGroup = &row
		}
		return answer
	})
}
