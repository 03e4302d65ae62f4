package write

import (
	"context"
	"net/http"
	"slices"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func taskEndpoints() []Endpoint {
	reason := endpoint.Param{Name: "reason", Doc: "why, for people", Check: func(string) string { return "" },
		MayBeEmpty: true}
	return []Endpoint{
		creation("/v1/tasks", "Start standalone tasks: ECS RunTask's input", endpoint.RunBody, types.TasksWritten{},
			(*Call).runTasks, endpoint.Strict),
		change(http.MethodDelete, "/v1/tasks/{id}", "Stop a task", endpoint.StopBody, types.TasksWritten{},
			(*Call).stopTask, reason),
	}
}

func (c *Call) runTasks() (*Order, error) {
	opts := c.options()
	in, err := ecs.ReadRun(c.Body, opts)
	if err != nil {
		return nil, err
	}
	ids := make([]fleet.TaskID, in.Count)
	for i := range ids {
		ids[i] = fleet.TaskID(c.NewID())
	}
	return &Order{
		Token:    in.Token,
		Warnings: in.Warnings,
		Command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			def, err := definition(st, in.TaskDef)
			if err != nil {
				return nil, nil, err
			}
			pins, warnings := pin(ctx, c.Images, def)
			run := fleet.RunTasks{TaskDef: def.ID, Tasks: slices.Clone(ids), StartedBy: in.StartedBy, Group: in.Group,
				Images: pins}
			return run, append(warnings, tooLarge(st, def)...), nil
		},
		Answer: tasksWritten,
	}, nil
}

func (c *Call) stopTask() (*Order, error) {
	ref := c.PathValue("id")
	in := ecs.Stop{Reason: c.URL.Query().Get("reason")}
	if len(c.Body) > 0 {
		fromBody, err := ecs.ReadStop(c.Body, ecs.Options{})
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
	reason := types.Clean(in.Reason)
	if reason == "" {
		reason = "Task stopped by operator"
	}
	var stopped string
	return &Order{
		Token:    in.Token,
		Warnings: in.Warnings,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			t, err := view.FindTask(st, ref)
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
		Answer: func(v *view.View, ids []string, w types.Written) any {
			if stopped != "" {
				ids = []string{stopped}
			}
			return tasksWritten(v, ids, w)
		},
	}, nil
}

func tasksWritten(v *view.View, ids []string, w types.Written) any {
	answer := &types.TasksWritten{Written: w, Tasks: []types.Task{}}
	for _, id := range ids {
		if t := v.State.Task(fleet.TaskID(id)); t != nil {
			answer.Tasks = append(answer.Tasks, v.TaskRow(t))
		}
	}
	return answer
}
