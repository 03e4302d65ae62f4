package api

import (
	"context"
	"fmt"
	"strconv"

	"skein/agent/api/types"
	"skein/agent/ecs"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func (c *call) createService() (*order, error) {
	opts := c.options()
	in, err := ecs.ReadCreate(c.body, opts)
	if err != nil {
		return nil, err
	}
	in, defaults := in.WithDefaults()
	return &order{
		token:    in.Token,
		warnings: in.Warnings,
		command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			def, err := definition(st, in.TaskDef)
			if err != nil {
				return nil, nil, err
			}
			put := fleet.PutService{
				Name: in.Name, TaskDef: def.ID, Desired: *in.Desired, MinPercent: *in.MinPercent, MaxPercent: *in.MaxPercent,
				GraceS: *in.GraceS, OnDisconnect: *in.OnDisconnect, Tags: in.Tags,
			}
			return c.withImages(ctx, st, put, def)
		},
		answer: func(v *view, _ []string, w types.Written) any { return serviceWritten(v, in.Name, w, defaults) },
	}, nil
}

func (c *call) updateService() (*order, error) {
	opts := c.options()
	name := c.PathValue("name")
	in, err := ecs.ReadUpdate(c.body, opts)
	if err != nil {
		return nil, err
	}
	if in.Name != "" && in.Name != name {
		return nil, &fleet.FieldError{Field: "serviceName", Why: fmt.Sprintf("%q differs from the address, which names %q",
			in.Name, clean(name))}
	}
	return &order{
		token:    in.Token,
		warnings: in.Warnings,
		command: func(ctx context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return c.updateCommand(ctx, st, name, in)
		},
		answer: func(v *view, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

// updateCommand lays the fields given over the service as it is.
func (c *call) updateCommand(
	ctx context.Context, st *fleet.State, name string, in ecs.Service,
) (fleet.Command, []strictjson.Warning, error) {
	s, err := findService(st, name)
	if err != nil {
		return nil, nil, err
	}
	if expect := c.expect(); expect != 0 && s.ModifyIndex != expect {
		return nil, nil, fmt.Errorf("update service %s: it is at %d, not %d: %w", name, s.ModifyIndex, expect, fleet.ErrMoved)
	}
	revision := st.Revision(s.Revision)
	put := fleet.PutService{
		Name: name, ExpectedModifyIndex: s.ModifyIndex, TaskDef: revision.TaskDef, Images: revision.Images,
		Desired:    s.Desired,
		MinPercent: s.MinPercent, MaxPercent: s.MaxPercent, GraceS: s.GraceS, OnDisconnect: s.OnDisconnect, Force: in.Force,
		Tags: s.Tags,
	}
	over(&put.Desired, in.Desired)
	over(&put.MinPercent, in.MinPercent)
	over(&put.MaxPercent, in.MaxPercent)
	over(&put.GraceS, in.GraceS)
	over(&put.OnDisconnect, in.OnDisconnect)
	if in.Tags != nil {
		put.Tags = in.Tags
	}
	if in.TaskDef == "" && !in.Force {
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

func (c *call) withImages(
	ctx context.Context, st *fleet.State, put fleet.PutService, def *fleet.TaskDef,
) (fleet.Command, []strictjson.Warning, error) {
	pins, warnings := c.api.pin(ctx, def)
	put.Images = pins
	return put, append(warnings, c.serviceWarnings(st, put, def)...), nil
}

func (c *call) serviceWarnings(st *fleet.State, put fleet.PutService, def *fleet.TaskDef) []strictjson.Warning {
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

func (c *call) scaleService() (*order, error) {
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
	return &order{
		token: token,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			s, err := findService(st, name)
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
		answer: func(v *view, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

func (c *call) deleteService() (*order, error) {
	name := c.PathValue("name")
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return &order{
		token: token,
		command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.DeleteService{Name: name, Force: force, ExpectedModifyIndex: c.expect()}, nil, nil
		},
		answer: func(v *view, _ []string, w types.Written) any { return serviceWritten(v, name, w, nil) },
	}, nil
}

// expect is the modify index that a service must be at, 0 for any.
func (c *call) expect() uint64 {
	index, _ := strconv.ParseUint(c.URL.Query().Get(paramExpect.name), 10, 64)
	return index
}

// force reads whether to remove what is in use, from the query or the body.
func (c *call) force() (force bool, token string, err error) {
	o, p, err := c.bodyOf(forceFields)
	if err != nil {
		return false, "", err
	}
	inBody, token := o.Bool("force", false), clientToken(o)
	if err := p.Err(); err != nil {
		return false, "", err
	}
	return inBody || isSet(c.URL.Query(), paramForce.name), token, nil
}

func serviceWritten(v *view, name string, w types.Written, defaults []ecs.Default) any {
	answer := &types.ServiceWritten{Written: w}
	if s := v.st.Service(name); s != nil {
		row := v.serviceRow(s)
		answer.Service = &row
	}
	for _, d := range defaults {
		answer.Defaults = append(answer.Defaults, types.Default(d))
	}
	return answer
}

// definition finds what a body names; what is missing is the body's fault.
func definition(st *fleet.State, ref string) (*fleet.TaskDef, error) {
	def, err := findTaskDef(st, ref)
	if err != nil {
		return nil, &fleet.FieldError{Field: "taskDefinition",
			Why: fmt.Sprintf("%q does not exist; register it first", clean(ref))}
	}
	return def, nil
}
