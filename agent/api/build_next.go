//go:build nextformat

package api

import (
	"context"
	"net/http"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// nextFormat marks a task definition as one that only agents of the next format may
// run: the write that tests of fleets of two builds make.
func (a *API) nextFormat() []route {
	return []route{{
		method: http.MethodPost, pattern: "/v1/taskdefs/{id}/mark", kind: kindWrite, summary: "Mark a task definition",
		body: types.PlainBody{}, answer: types.Written{}, write: (*call).markTaskDef,
	}}
}

func (c *call) markTaskDef() (*order, error) {
	o, p, err := c.bodyOf(plainFields)
	if err != nil {
		return nil, err
	}
	id, token := fleet.TaskDefID(c.PathValue("id")), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return &order{
		token: token,
		command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.MarkTaskDef{ID: id, Next: "x"}, nil, nil
		},
		answer: func(_ *view, _ []string, w types.Written) any { return &w },
	}, nil
}
