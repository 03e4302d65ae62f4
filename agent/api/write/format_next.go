//go:build nextformat

package write

import (
	"context"
	"net/http"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// nextFormatEndpoints mark a task definition as one that only agents of the next
// format may run: the change that tests of fleets of two builds make.
func nextFormatEndpoints() []Endpoint {
	return []Endpoint{change(http.MethodPost, "/v1/taskdefs/{id}/mark", "Mark a task definition", types.PlainBody{},
		types.Written{}, (*Call).markTaskDef)}
}

func (c *Call) markTaskDef() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	id := fleet.TaskDefID(c.PathValue("id"))
	return &Order{
		Token: token,
		Command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.MarkTaskDef{ID: id, Next: "x"}, nil, nil
		},
		Answer: func(_ *view.View, _ []string, w types.Written) any { return &w },
	}, nil
}
