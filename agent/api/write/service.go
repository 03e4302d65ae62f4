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
	var more []ecs.Default // of deployments
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
			if put.Deployment, more, err = deploymentOf(st, in, nil, def); err != nil {
				return nil, nil, err
			}
			connects := in.Connect != nil && len(in.Connect.Services) > 0
			if in.Expose == nil && !connects {
				return c.withImages(ctx, st, put, def)
			}
			expose := fleet.ExposeService{Service: put}
			if in.Expose != nil {
				if expose, err = exposed(st, put, def, in.Expose); err != nil {
					return nil, nil, err
				}
				if expose.Listener != nil {
					if err = c.refuseAgentPort("expose.listen", *expose.Listener); err != nil {
						return nil, nil, err
					}
				}
			}
			if connects {
				if err = connected(&expose, def, in.Connect); err != nil {
					return nil, nil, err
				}
			}
			warnings := c.pinned(ctx, st, &expose.Service, def)
			return expose, warnings, nil
		},
		Answer: func(v *view.View, ids []string, w types.Written) any {
			return serviceWritten(v, in.Name, ids, w, append(defaults, more...))
		},
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
	var defaults []ecs.Default
	return &Order{
		Token:    in.Token,
		Warnings: in.Warnings,
		Command: func(
			ctx context.Context, st *fleet.State,
		) (command fleet.Command, warnings []strictjson.Warning, err error) {
			command, defaults, warnings, err = c.updateCommand(ctx, st, name, in)
			return command, warnings, err
		},
		Answer: func(v *view.View, ids []string, w types.Written) any {
			return serviceWritten(v, name, ids, w, defaults)
		},
	}, nil
}

// updateCommand lays the fields given over the service as it is.
func (c *Call) updateCommand(
	ctx context.Context, st *fleet.State, name string, in ecs.Service,
) (fleet.Command, []ecs.Default, []strictjson.Warning, error) {
	s, err := view.FindService(st, name)
	if err != nil {
		return nil, nil, nil, err
	}
	if err = c.moved("service", name, s.ModifyIndex); err != nil {
		return nil, nil, nil, err
	}
	if err = sameConnect(st, s, in.Connect); err != nil {
		return nil, nil, nil, err
	}
	put, rebound := laidOver(st, s, in)
	var defaults []ecs.Default
	if put.Deployment, defaults, err = deploymentOf(st, in, s, nil); err != nil {
		return nil, nil, nil, err
	}
	if in.TaskDef == "" && !in.Force && !rebound {
		return put, defaults, c.serviceWarnings(st, put, st.TaskDef(put.TaskDef)), nil
	}
	if in.TaskDef == "" {
		in.TaskDef = string(put.TaskDef)
	}
	def, err := definition(st, in.TaskDef)
	if err != nil {
		return nil, nil, nil, err
	}
	put.TaskDef = def.ID
	if err = holdsBoth(st, s, &put, def); err != nil {
		return nil, nil, nil, err
	}
	command, warnings, err := c.withImages(ctx, st, put, def)
	return command, defaults, warnings, err
}

// laidOver is the service with the fields given, its deployments aside. Rebound says that
// it is reached in another way.
func laidOver(st *fleet.State, s *fleet.Service, in ecs.Service) (put fleet.PutService, rebound bool) {
	revision := st.Revision(s.Revision)
	put = fleet.PutService{
		Name: s.Name, ExpectedModifyIndex: s.ModifyIndex, TaskDef: revision.TaskDef, Images: revision.Images,
		Desired: s.Desired, MinPercent: s.MinPercent, MaxPercent: s.MaxPercent, GraceS: s.GraceS,
		OnDisconnect: s.OnDisconnect, Force: in.Force, Tags: s.Tags, LoadBalancers: s.LoadBalancers,
		Deployment: s.Deployment,
	}
	over(&put.Desired, in.Desired)
	over(&put.MinPercent, in.MinPercent)
	over(&put.MaxPercent, in.MaxPercent)
	over(&put.GraceS, in.GraceS)
	over(&put.OnDisconnect, in.OnDisconnect)
	if in.Tags != nil {
		put.Tags = in.Tags
	}
	if in.LoadBalancers != nil {
		given := withAliases(st, s, in.LoadBalancers)
		if rebound = !slices.Equal(given, s.LoadBalancers); rebound {
			put.LoadBalancers = given
		}
	}
	return put, rebound
}

// formatOfDeployments is the format of a fleet from which on deployments are rows of State.
const formatOfDeployments = 2

// deploymentOf is how a service's deployments are to be done: what was given, over what is;
// s is nil for a new service, of definition def.
func deploymentOf(
	st *fleet.State, in ecs.Service, s *fleet.Service, def *fleet.TaskDef,
) (config fleet.DeploymentConfig, taken []ecs.Default, err error) {
	var was *fleet.DeploymentConfig
	if s != nil {
		was = &s.Deployment
	}
	if f := st.Fleet(); (f == nil || f.Format < formatOfDeployments) && in.Deployment.Plain() {
		return config, nil, nil // an older fleet replaces tasks, and knows nothing else
	}
	config, taken = in.Deployment.Over(was, reachedOverHTTP(st, in, def))
	config.Alarms.Despite = in.DespiteAlarms
	config.Hooks = slices.Clone(config.Hooks)
	for i := range config.Hooks {
		h := &config.Hooks[i]
		if h.Task == nil {
			continue
		}
		def, err := view.FindTaskDef(st, string(h.Task.TaskDef))
		if err != nil {
			return config, nil, &fleet.FieldError{
				Field: fmt.Sprintf("deploymentConfiguration.lifecycleHooks[%d].hookTargetArn", i),
				Why:   fmt.Sprintf("task definition %q does not exist; register it first", types.Clean(string(h.Task.TaskDef))),
			}
		}
		h.Task = &fleet.TaskHookTarget{TaskDef: def.ID}
	}
	return config, taken, nil
}

// reachedOverHTTP reports whether ingress sees single requests to a new service.
func reachedOverHTTP(st *fleet.State, in ecs.Service, def *fleet.TaskDef) bool {
	if in.Connect != nil && def != nil {
		for _, port := range in.Connect.Services {
			if _, m := portNamed(def, port.PortName); m != nil && m.AppProtocol != 0 {
				return true
			}
		}
	}
	if in.Expose != nil {
		return in.Expose.Protocol == fleet.ListenHTTP
	}
	for _, lb := range in.LoadBalancers {
		if g := st.TargetGroup(lb.Group); g != nil && g.Protocol.PerRequest() {
			return true
		}
	}
	return false
}

// holdsBoth refuses a deployment whose two versions do not fit into the fleet beside each
// other, by name.
func holdsBoth(st *fleet.State, s *fleet.Service, put *fleet.PutService, def *fleet.TaskDef) error {
	if !put.Deployment.Strategy.Shifts() || st.Counts(s.Name, "").Running == 0 {
		return nil
	}
	wanted := *s
	wanted.Desired = put.Desired
	if p := view.PlanDeployment(st, &wanted, &put.Deployment, def); p.Missing > 0 {
		return fmt.Errorf("deploymentConfiguration.strategy: %s: %w", p.Why, fleet.ErrConflict)
	}
	return nil
}

// withAliases are load balancers as given, with those of the service's aliases where they
// were among the ones that are there: people do not name them.
func withAliases(st *fleet.State, s *fleet.Service, given []fleet.LoadBalancer) []fleet.LoadBalancer {
	list := slices.Clone(given)
	for i := range s.LoadBalancers {
		if view.Aliased(st, s.Name, &s.LoadBalancers[i]) {
			list = append(list, s.LoadBalancers[i])
		}
	}
	return list
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
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, name, nil, w, nil) },
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
		Answer: func(v *view.View, _ []string, w types.Written) any { return serviceWritten(v, name, nil, w, nil) },
	}, nil
}

// expect is the modify index that a service must be at, 0 for any.
func (c *Call) expect() uint64 {
	index, _ := strconv.ParseUint(c.URL.Query().Get(endpoint.Expect.Name), 10, 64)
	return index
}

// serviceWritten answers a change of a service. The second id, where there is one, is that
// of the deployment that the change made.
func serviceWritten(v *view.View, name string, ids []string, w types.Written, defaults []ecs.Default) any {
	answer := &types.ServiceWritten{Written: w}
	if len(ids) > 1 {
		answer.DeploymentID = ids[1]
	}
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
