package write

import (
	"context"
	"net/http"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var (
	orderFields      = own("order", "order", "hookId", "action", "clientToken")
	alarmFields      = own("alarm", "url", "query", "comparison", "threshold", "intervalSeconds", "times", "clientToken")
	hookTargetFields = own("hook target", "target", "clientToken")
	imageFields      = own("image", "containerName", "image", "clientToken")
)

func deploymentEndpoints() []Endpoint {
	return []Endpoint{
		change(http.MethodPost, "/v1/deployments/{id}/orders",
			"Pause, continue, promote, roll back or stop a deployment; a service's name stands for its newest",
			types.OrderBody{}, types.DeploymentWritten{}, (*Call).orderDeployment),
		change(http.MethodPut, "/v1/alarms/{name}", "Create or change an alarm; what is not given is kept",
			types.AlarmBody{}, types.AlarmWritten{}, (*Call).putAlarm, endpoint.Expect),
		change(http.MethodDelete, "/v1/alarms/{name}", "Delete an alarm that no deployment names", types.PlainBody{},
			types.AlarmWritten{}, (*Call).deleteAlarm, endpoint.Expect),
		creation("/v1/hook-targets", "Allow hooks and alarms to name a target", types.HookTargetBody{}, types.Written{},
			(*Call).allowHookTarget),
		change(http.MethodDelete, "/v1/hook-targets", "Take a target from what hooks and alarms may name",
			types.HookTargetBody{}, types.Written{}, (*Call).deleteHookTarget),
		creation("/v1/taskdefs/{id}/revisions", "Register a definition once more, with another image", types.ImageBody{},
			types.TaskDefWritten{}, (*Call).reviseTaskDef),
	}
}

func (c *Call) orderDeployment() (*Order, error) {
	o, p, err := c.bodyOf(orderFields)
	if err != nil {
		return nil, err
	}
	need(o, "order", "pause, continue, promote, rollback or stop")
	order, err := fleet.ParseDeploymentOrder(o.Choice("order", "pause", "continue", "promote", "rollback", "stop"))
	if err != nil {
		return nil, err
	}
	run := o.Text("hookId", fleet.MaxName+2*fleet.MaxID)
	back := o.Choice("action", "CONTINUE", "ROLLBACK") == "ROLLBACK"
	if order != fleet.OrderContinue && (o.Has("hookId") || o.Has("action")) {
		o.Refuse("hookId", "names a hook that awaits a person: of the order continue alone")
	} else if o.Has("action") && run == "" {
		o.Refuse("hookId", "missing: the call of a hook that the action is about")
	}
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	var id fleet.DeploymentID
	return rowOrder(token, func(st *fleet.State) (fleet.Command, error) {
		d, err := view.FindDeployment(st, c.PathValue("id"))
		if err != nil {
			return nil, err
		}
		id = d.ID
		return fleet.OrderDeployment{ID: id, Order: order, Run: run, GoBack: back}, nil
	}, func(v *view.View, w types.Written) any {
		answer := &types.DeploymentWritten{Written: w}
		d := v.State.Deployment(id)
		if d == nil { // a repetition: its command was made by an earlier request
			d, _ = view.FindDeployment(v.State, c.PathValue("id"))
		}
		if d != nil {
			answer.Deployment = v.DeploymentHistory(d)
		}
		return answer
	}), nil
}

func (c *Call) putAlarm() (*Order, error) {
	o, p, err := c.bodyOf(alarmFields)
	if err != nil {
		return nil, err
	}
	name, token := c.PathValue("name"), clientToken(o)
	readAlarm(o, &fleet.PutAlarm{})
	if err := p.Err(); err != nil {
		return nil, err
	}
	return alarmOrder(token, name, func(st *fleet.State) (fleet.Command, error) {
		put := fleet.PutAlarm{Name: name, Above: true, IntervalS: 10, Times: 1}
		if a := st.Alarm(name); a != nil {
			put = fleet.PutAlarm{Name: name, ExpectedModifyIndex: a.ModifyIndex, URL: a.URL, Query: a.Query, Above: a.Above,
				Threshold: a.Threshold, IntervalS: a.IntervalS, Times: a.Times}
		} else {
			for _, field := range []string{"url", "query", "threshold"} {
				if !o.Has(field) {
					return nil, &fleet.FieldError{Field: field, Why: "missing: a new alarm needs it"}
				}
			}
		}
		if err := c.moved("alarm", name, put.ExpectedModifyIndex); err != nil {
			return nil, err
		}
		readAlarm(o, &put)
		return put, nil
	}), nil
}

// readAlarm lays the fields given over an alarm.
func readAlarm(o *strictjson.Object, put *fleet.PutAlarm) {
	if o.Has("url") {
		put.URL = o.Text("url", maxMessageBody)
	}
	if o.Has("query") {
		put.Query = o.Text("query", MaxBody)
	}
	if o.Has("comparison") {
		put.Above = o.Choice("comparison", "above", "below") == "above"
	}
	put.Threshold = o.Number("threshold", put.Threshold)
	readNumber(o, "intervalSeconds", &put.IntervalS, 0, anyNumber)
	readNumber(o, "times", &put.Times, 0, anyNumber)
}

func (c *Call) deleteAlarm() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	return alarmOrder(token, name, func(*fleet.State) (fleet.Command, error) {
		return fleet.DeleteAlarm{Name: name, ExpectedModifyIndex: c.expect()}, nil
	}), nil
}

// alarmOrder is a write about one alarm.
func alarmOrder(token, name string, command func(*fleet.State) (fleet.Command, error)) *Order {
	return rowOrder(token, command, func(v *view.View, w types.Written) any {
		answer := &types.AlarmWritten{Written: w}
		if a := v.State.Alarm(name); a != nil {
			row := view.AlarmRow(a)
			answer.Alarm = &row
		}
		return answer
	})
}

func (c *Call) allowHookTarget() (*Order, error) {
	return c.hookTarget(func(target string) fleet.Command { return fleet.PutHookTarget{Target: target} })
}

func (c *Call) deleteHookTarget() (*Order, error) {
	return c.hookTarget(func(target string) fleet.Command { return fleet.DeleteHookTarget{Target: target} })
}

func (c *Call) hookTarget(command func(target string) fleet.Command) (*Order, error) {
	o, p, err := c.bodyOf(hookTargetFields)
	if err != nil {
		return nil, err
	}
	need(o, "target", "the beginning of URLs, https://hooks.example/skein/, or task:FAMILY")
	target, token := o.Text("target", maxMessageBody), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return rowOrder(token, func(*fleet.State) (fleet.Command, error) { return command(target), nil },
		func(_ *view.View, w types.Written) any { return &w }), nil
}

// reviseTaskDef registers a definition again, whose secrets so never leave the fleet.
func (c *Call) reviseTaskDef() (*Order, error) {
	o, p, err := c.bodyOf(imageFields)
	if err != nil {
		return nil, err
	}
	image, container, token := ecs.ReadImage(o), o.Text("containerName", fleet.MaxName), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return &Order{
		Token: token,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			old, err := view.FindTaskDef(st, c.PathValue("id"))
			if err != nil {
				return nil, nil, err
			}
			def, err := withImage(old, container, image)
			return fleet.RegisterTaskDef{Family: string(def.ID), Def: def}, nil, err
		},
		Answer: taskDefWritten,
	}, nil
}
