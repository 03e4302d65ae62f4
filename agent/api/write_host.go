package api

import (
	"context"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func (c *call) cordon() (*order, error) {
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

func (c *call) uncordon() (*order, error) {
	o, p, err := c.bodyOf(plainFields)
	if err != nil {
		return nil, err
	}
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return c.hostOrder(token, func(id fleet.HostID) fleet.Command { return fleet.UncordonHost{Host: id} }), nil
}

func (c *call) forget() (*order, error) {
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return c.hostOrder(token, func(id fleet.HostID) fleet.Command { return fleet.ForgetHost{Host: id, Force: force} }), nil
}

// hostOrder is a write about one host, named by id or name.
func (c *call) hostOrder(token string, command func(fleet.HostID) fleet.Command) *order {
	ref := c.PathValue("id")
	id := fleet.HostID(ref)
	return &order{
		token: token,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			h, err := findHost(st, ref)
			if err != nil {
				return nil, nil, err
			}
			id = h.ID
			return command(id), nil, nil
		},
		answer: func(v *view, _ []string, w types.Written) any {
			answer := &types.HostWritten{Written: w}
			h, err := findHost(v.st, string(id))
			if err == nil {
				row := v.hostRow(h)
				answer.Host = &row
			}
			return answer
		},
	}
}
