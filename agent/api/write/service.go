package write

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

var scaleFields = own("scale", "desiredCount", "clientToken")

func serviceEndpoints() []Endpoint {
	return []Endpoint{
		creation("/v1/services", "Create a service: ECS CreateService's input", endpoint.ServiceBody, types.ServiceWritten{},
			(*Call).createService, endpoint.Strict),
		change(http.MethodPatch, "/v1/services/{name}",
			"Change a service: ECS UpdateService's input; what is not given is kept", endpoint.ServiceBody,
			types.ServiceWritten{}, (*Call).updateService, endpoint.Strict, endpoint.Expect),
		change(http.MethodDelete, "/v1/services/{name}", "Delete a service; its tasks stop", types.ForceBody{},
			types.ServiceWritten{}, (*Call).deleteService, endpoint.Force, endpoint.Expect),
		change(http.MethodPost, "/v1/services/{name}/scale", "Change how many tasks a service keeps running",
			types.ScaleBody{}, types.ServiceWritten{}, (*Call).scaleService, endpoint.Expect),
	}
}

func (c *Call) createService() (*Order, error) {
	opts := c.options()
	in, err := ecs.ReadCreate(c.Body, opts)
	if err != nil {
		return nil, err
	}
	in, defaults := in.WithDefaults()
	return &Order{
		Token:    in.Token,
		Warnings: in.Warnings,
		Command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			def, err := definition(st, in.TaskDef)
			if err != nil {
				return nil, nil, err
			}
			put := fleet.PutService{
				Name: in.Name, TaskDef: def.ID, Desired: *in.Desired, MinPercent: *in.MinPercent, MaxPercent: *in.MaxPercent,
				GraceS: *in.GraceS, OnDisconnect: *in.OnDisconnect, Tags: in.Tags, LoadBalancers: in.LoadBalancers,
			}
			if in.Expose == nil {
				return c.withImages(ctx, st, put, def)
			}
			expose, err := exposed(st, put, def, in.Expose)
			if err != nil {
				return nil, nil, err
			}
			warnings := c.pinned(ctx, st, &expose.Service, def)
			return expose, warnings, nil
		},
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, in.Name, w, defaults) },
	}, nil
}

func (c *Call) updateService() (*Order, error) {
	opts := c.options()
	name := c.PathValue("name")
	in, err := ecs.ReadUpdate(c.Body, opts)
	if err != nil {
		return nil, err
	}
	if in.Name != "" && in.Name != name {
		return nil, &fleet.FieldError{Field: "serviceName", Why: fmt.Sprintf("%q differs from the address, which names %q",
			in.Name, types.Clean(name))}
	}
	return &Order{
		Token:    in.Token,
		Warnings: in.Warnings,
		Command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return c.updateCommand(ctx, st, name, in)
		},
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

// updateCommand lays the fields given over the service as it is.
func (c *Call) updateCommand(
	ctx context.Context, st *fleet.State, name string, in ecs.Service,
) (fleet.Command, []strictjson.Warning, error) {
	s, err := view.FindService(st, name)
	if err != nil {
		return nil, nil, err
	}
	if err = c.moved("service", name, s.ModifyIndex); err != nil {
		return nil, nil, err
	}
	revision := st.Revision(s.Revision)
	put := fleet.PutService{
		Name: name, ExpectedModifyIndex: s.ModifyIndex, TaskDef: revision.TaskDef, Images: revision.Images,
		Desired:    s.Desired,
		MinPercent: s.MinPercent, MaxPercent: s.MaxPercent, GraceS: s.GraceS, OnDisconnect: s.OnDisconnect, Force: in.Force,
		Tags: s.Tags, LoadBalancers: s.LoadBalancers, Deployment: s.Deployment,
	}
	over(&put.Desired, in.Desired)
	over(&put.MinPercent, in.MinPercent)
	over(&put.MaxPercent, in.MaxPercent)
	over(&put.GraceS, in.GraceS)
	over(&put.OnDisconnect, in.OnDisconnect)
	if in.Tags != nil {
		put.Tags = in.Tags
	}
	rebound := in.LoadBalancers != nil && !slices.Equal(in.LoadBalancers, s.LoadBalancers)
	if rebound {
		put.LoadBalancers = in.LoadBalancers
	}
	if in.TaskDef == "" && !in.Force && !rebound {
		return put, c.serviceWarnings(st, put, st.TaskDef(put.TaskDef)), nil
	}
	if in.TaskDef == "" {
		in.TaskDef = string(put.TaskDef)
	}
	def, err := definition(st, in.TaskDef)
	if err != nil {
		return nil, nil, err
	}
	put.TaskDef = def.ID
	return c.withImages(ctx, st, put, def)
}

func over[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}

func (c *Call) withImages(
	ctx context.Context, st *fleet.State, put fleet.PutService, def *fleet.TaskDef,
) (fleet.Command, []strictjson.Warning, error) {
	warnings := c.pinned(ctx, st, &put, def)
	return put, warnings, nil
}

// pinned fixes the images of a service's new revision.
func (c *Call) pinned(
	ctx context.Context, st *fleet.State, put *fleet.PutService, def *fleet.TaskDef,
) []strictjson.Warning {
	pins, warnings := pin(ctx, c.Images, def)
	put.Images = pins
	return append(warnings, c.serviceWarnings(st, *put, def)...)
}

func (c *Call) serviceWarnings(st *fleet.State, put fleet.PutService, def *fleet.TaskDef) []strictjson.Warning {
	var warnings []strictjson.Warning
	if why := ecs.StuckWhy(put.Desired, put.MinPercent, put.MaxPercent); why != "" {
		warnings = append(warnings, strictjson.Warning{Field: "deploymentConfiguration", Message: why})
	}
	if def == nil {
		return warnings
	}
	warnings = append(warnings, tooLarge(st, def)...)
	return append(warnings, fewHosts(st, def, put.Desired)...)
}

func (c *Call) scaleService() (*Order, error) {
	o, p, err := c.bodyOf(scaleFields)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	need(o, "desiredCount", "how many tasks to keep running")
	desired, token := int(o.Int("desiredCount", 0, 0, fleet.MaxDesired)), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	return &Order{
		Token: token,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			s, err := view.FindService(st, name)
			if err != nil {
				return nil, nil, err
			}
			put := fleet.PutService{Desired: desired, MinPercent: s.MinPercent, MaxPercent: s.MaxPercent}
			var def *fleet.TaskDef
			if r := st.Revision(s.Revision); r != nil {
				def = st.TaskDef(r.TaskDef)
			}
			return fleet.ScaleService{Name: name, Desired: desired, ExpectedModifyIndex: c.expect()},
				c.serviceWarnings(st, put, def), nil
		},
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

func (c *Call) deleteService() (*Order, error) {
	name := c.PathValue("name")
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return &Order{
		Token: token,
		Command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.DeleteService{Name: name, Force: force, ExpectedModifyIndex: c.expect()}, nil, nil
		},
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

// expect is the modify index that a service must be at, 0 for any.
func (c *Call) expect() uint64 {
	index, _ := strconv.ParseUint(c.URL.Query().Get(endpoint.Expect.Name), 10, 64)
	return index
}

func serviceWritten(v *view.View, name string, w types.Written, defaults []ecs.Default) any {
	answer := &types.ServiceWritten{Written: w}
	if s := v.State.Service(name); s != nil {
		row := v.ServiceRow(s)
		answer.Service = &row
	}
	for _, d := range defaults {
		answer.Defaults = append(answer.Defaults, types.Default(d))
	}
	return answer
}

// definition finds what a body names; what is missing is the body's fault.
func definition(st *fleet.State, ref string) (*fleet.TaskDef, error) {
	def, err := view.FindTaskDef(st, ref)
	if err != nil {
		return nil, &fleet.FieldError{Field: "taskDefinition",
			Why: fmt.Sprintf("%q does not exist; register it first", types.Clean(ref))}
	}
	return def, nil
}
