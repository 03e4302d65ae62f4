package api

import (
	"context"
	"slices"

	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func (c *call) runTasks() (*order, error) {
	opts := c.options()
	in, err := ecs.ReadRun(c.body, opts)
	if err != nil {
		return nil, err
	}
	ids := make([]fleet.TaskID, in.Count)
	for i := range ids {
		ids[i] = fleet.TaskID(c.api.random(16))
	}
	return &order{
		token:    in.Token,
		warnings: in.Warnings,
		command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			def, err := definition(st, in.TaskDef)
			if err != nil {
				return nil, nil, err
			}
			pins, warnings := c.api.pin(ctx, def)
			run := fleet.RunTasks{TaskDef: def.ID, Tasks: slices.Clone(ids), StartedBy: in.StartedBy, Group: in.Group,
				Images: pins}
			return run, append(warnings, tooLarge(st, def)...), nil
		},
		answer: tasksWritten,
	}, nil
}

func (c *call) stopTask() (*order, error) {
	ref := c.PathValue("id")
	in := ecs.Stop{Reason: c.URL.Query().Get("reason")}
	if len(c.body) > 0 {
		fromBody, err := ecs.ReadStop(c.body, ecs.Options{})
		if err != nil {
			return nil, err
		}
		if fromBody.Task != "" && fromBody.Task != ref {
			return nil, &fleet.FieldError{Field: "task", Why: "differs from the address; keep one"}
		}
		if fromBody.Reason == "" {
			fromBody.Reason = in.Reason
		}
		in = fromBody
	}
	reason := clean(in.Reason)
	if reason == "" {
		reason = "Task stopped by operator"
	}
	var stopped string
	return &order{
		token:    in.Token,
		warnings: in.Warnings,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			t, err := findTask(st, ref)
			if err != nil {
				return nil, nil, err
			}
			stopped = string(t.ID)
			var warnings []strictjson.Warning
			if t.Desired == fleet.TaskStopped {
				warnings = append(warnings, strictjson.Warning{Field: "task", Message: "it was asked to stop before"})
			} else if t.Service != "" {
				warnings = append(warnings,
					strictjson.Warning{Field: "task", Message: "service " + t.Service +
						" will start another in its place; scale the service to have fewer"})
			}
			return fleet.StopTasks{Tasks: []fleet.TaskID{t.ID}, Cause: fleet.CauseOperator, Reason: reason}, warnings, nil
		},
		answer: func(v *view, ids []string, w types.Written) any {
			if stopped != "" {
				ids = []string{stopped}
			}
			return tasksWritten(v, ids, w)
		},
	}, nil
}

func tasksWritten(v *view, ids []string, w types.Written) any {
	answer := &types.TasksWritten{Written: w, Tasks: []types.Task{}}
	for _, id := range ids {
		if t := v.st.Task(fleet.TaskID(id)); t != nil {
			answer.Tasks = append(answer.Tasks, v.taskRow(t))
		}
	}
	return answer
}
