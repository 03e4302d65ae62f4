package api

import (
	"context"

	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func (c *call) registerTaskDef() (*order, error) {
	opts := c.options()
	anyRange := opts // which host ports the fleet gives out, only its State knows
	anyRange.DynamicFirst, anyRange.DynamicLast = 1<<16, 1<<16
	in, err := ecs.ReadTaskDef(c.body, anyRange)
	if err != nil {
		return nil, err
	}
	return &order{
		warnings: in.Warnings,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			// State owns what a command holds, and may be given this one twice.
			again, err := ecs.ReadTaskDef(c.body, c.ranges(st, opts))
			return fleet.RegisterTaskDef{Family: again.Family, Def: again.Def}, tooLarge(st, &again.Def), err
		},
		answer: func(v *view, ids []string, w types.Written) any {
			answer := &types.TaskDefWritten{Written: w}
			if d := v.st.TaskDef(fleet.TaskDefID(firstID(ids))); d != nil {
				row := v.taskDefRow(d)
				answer.TaskDef = &row
			}
			return answer
		},
	}, nil
}

// options are how bodies in ECS's words are read.
func (c *call) options() ecs.Options {
	return ecs.Options{Strict: isSet(c.URL.Query(), paramStrict.name), ReservedPorts: c.api.ReservedPorts}
}

// ranges puts the fleet's own range of dynamic ports into the options.
func (c *call) ranges(st *fleet.State, opts ecs.Options) ecs.Options {
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
