package write

import (
	"context"
	"fmt"
	"slices"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func taskDefEndpoints() []Endpoint {
	return []Endpoint{creation("/v1/taskdefs", "Register a task definition: ECS RegisterTaskDefinition's input",
		endpoint.TaskDefBody, types.TaskDefWritten{}, (*Call).registerTaskDef, endpoint.Strict)}
}

func (c *Call) registerTaskDef() (*Order, error) {
	opts := c.options()
	anyRange := opts // which host ports the fleet gives out, only its State knows
	anyRange.DynamicFirst, anyRange.DynamicLast = 1<<16, 1<<16
	in, err := ecs.ReadTaskDef(c.Body, anyRange)
	if err != nil {
		return nil, err
	}
	return &Order{
		Warnings: in.Warnings,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			// State owns what a command holds, and may be given this one twice.
			again, err := ecs.ReadTaskDef(c.Body, c.ranges(st, opts))
			return fleet.RegisterTaskDef{Family: again.Family, Def: again.Def}, tooLarge(st, &again.Def), err
		},
		Answer: taskDefWritten,
	}, nil
}

// options are how bodies in ECS's words are read.
func (c *Call) options() ecs.Options {
	return ecs.Options{Strict: endpoint.IsSet(c.URL.Query(), endpoint.Strict.Name), ReservedPorts: c.ReservedPorts}
}

// ranges puts the fleet's own range of dynamic ports into the options.
func (c *Call) ranges(st *fleet.State, opts ecs.Options) ecs.Options {
	if f := st.Fleet(); f != nil {
		opts.DynamicFirst, opts.DynamicLast = f.Settings.DynamicPortFirst, f.Settings.DynamicPortLast
	}
	return opts
}

func firstID(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

func taskDefWritten(v *view.View, ids []string, w types.Written) any {
	answer := &types.TaskDefWritten{Written: w}
	if d := v.State.TaskDef(fleet.TaskDefID(firstID(ids))); d != nil {
		row := v.TaskDefRow(d)
		answer.TaskDef = &row
	}
	return answer
}

// withImage is a definition of the same family with another image for one container: the
// one named, or the only one.
func withImage(old *fleet.TaskDef, container, image string) (fleet.TaskDef, error) {
	def := *old
	family, _ := old.ID.Split()
	def.ID = fleet.TaskDefID(family)
	def.Containers = slices.Clone(old.Containers)
	if container == "" && len(def.Containers) > 1 {
		return def, &fleet.FieldError{Field: "containerName", Why: fmt.Sprintf("missing: %s has %d containers", old.ID,
			len(def.Containers))}
	}
	for i := range def.Containers {
		if c := &def.Containers[i]; container == "" || c.Name == container {
			c.Image = image
			return def, nil
		}
	}
	return def, &fleet.FieldError{Field: "containerName", Why: fmt.Sprintf("%q is no container of %s",
		types.Clean(container), old.ID)}
}
