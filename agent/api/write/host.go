package write

import (
	"net/http"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

var cordonFields = own("cordon", "why", "clientToken")

func hostEndpoints() []Endpoint {
	return []Endpoint{
		change(http.MethodPost, "/v1/hosts/{id}/cordon", "Keep new tasks off a host", types.CordonBody{},
			types.HostWritten{}, (*Call).cordon),
		change(http.MethodPost, "/v1/hosts/{id}/uncordon", "Let a host take new tasks again", types.PlainBody{},
			types.HostWritten{}, (*Call).uncordon),
		change(http.MethodPost, "/v1/hosts/{id}/forget", "End a host's identity for ever", types.ForceBody{},
			types.HostWritten{}, (*Call).forget, endpoint.Force),
	}
}

func (c *Call) cordon() (*Order, error) {
	o, p, err := c.bodyOf(cordonFields)
	if err != nil {
		return nil, err
	}
	why, token := freeText(o, "why", fleet.MaxReason), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c.hostOrder(token, func(id fleet.HostID) fleet.Command { return fleet.CordonHost{Host: id, Why: why} }), nil
}

func (c *Call) uncordon() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	return c.hostOrder(token, func(id fleet.HostID) fleet.Command { return fleet.UncordonHost{Host: id} }), nil
}

func (c *Call) forget() (*Order, error) {
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return c.hostOrder(token, func(id fleet.HostID) fleet.Command { return fleet.ForgetHost{Host: id, Force: force} }), nil
}

// hostOrder is a write about one host, named by id or name.
func (c *Call) hostOrder(token string, command func(fleet.HostID) fleet.Command) *Order {
	ref := c.PathValue("id")
	id := fleet.HostID(ref)
	return rowOrder(token, func(st *fleet.State) (fleet.Command, error) {
		h, err := view.FindHost(st, ref)
		if err != nil {
			return nil, err
		}
		id = h.ID
		return command(id), nil
	}, func(v *view.View, w types.Written) any {
		answer := &types.HostWritten{Written: w}
		h, err := view.FindHost(v.State, string(id))
		if err == nil {
			row := v.HostRow(h)
			answer.Host = &row
		}
		return answer
	})
}
