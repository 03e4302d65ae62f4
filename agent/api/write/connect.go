package write

import (
	"fmt"
	"slices"

	"skein/agent/api/view"
	"skein/agent/ecs"
	"skein/raftfsm/fleet"
)

// connected adds what tasks reach a new service by: a listener with an alias for each
// port, two target groups, and a rule for test traffic. Deployments shift their weights
// as those of any load balancer.
func connected(expose *fleet.ExposeService, def *fleet.TaskDef, in *ecs.Connect) error {
	for i := range in.Services {
		at := fmt.Sprintf("serviceConnectConfiguration.services[%d]", i)
		if err := connectedPort(expose, def, &in.Services[i], at); err != nil {
			return err
		}
	}
	return nil
}

func connectedPort(expose *fleet.ExposeService, def *fleet.TaskDef, in *ecs.ConnectService, at string) error {
	container, mapping := portNamed(def, in.PortName)
	if mapping == nil {
		return &fleet.FieldError{Field: at + ".portName",
			Why: fmt.Sprintf("%q is the name of no tcp portMapping of %s", in.PortName, def.ID)}
	}
	name := expose.Service.Name + "-" + in.PortName
	protocol, listens, idle := mapping.AppProtocol, fleet.ListenHTTP, ecs.ConnectIdleHTTP
	if protocol == 0 {
		protocol, listens, idle = fleet.GroupTCP, fleet.ListenTCP, ecs.ConnectIdleTCP
	}
	blue := newTargetGroup(fleet.TargetGroupName(name+"-blue"), protocol)
	green := blue
	green.Name = fleet.TargetGroupName(name + "-green")
	forward := fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{
		{Group: blue.Name, Weight: fleet.TotalWeight}, {Group: green.Name},
	}}}
	listener := fleet.PutListener{Name: fleet.ListenerName(name), Alias: in.Alias, Port: in.Port, Protocol: listens,
		IdleTimeoutS: in.IdleTimeoutS, Default: &forward}
	if listener.Port == 0 {
		listener.Port = mapping.ContainerPort
	}
	if listener.IdleTimeoutS == 0 {
		listener.IdleTimeoutS = idle
	}
	lb := fleet.LoadBalancer{Container: container, ContainerPort: mapping.ContainerPort, Group: blue.Name,
		AlternateGroup: green.Name, ProductionRule: fleet.MakeRuleID(listener.Name, fleet.DefaultRule)}
	switch {
	case listens == fleet.ListenHTTP:
		lb.TestRule = fleet.MakeRuleID(listener.Name, "test")
		expose.Rules = append(expose.Rules, fleet.PutRule{ID: lb.TestRule, Priority: lastPriority, Action: forward,
			Conditions: []fleet.RuleCondition{testCondition(in)}})
	case in.TestHeader != "":
		return &fleet.FieldError{Field: at + ".clientAliases[0].testTrafficRules", Why: fmt.Sprintf(
			"%q has no appProtocol: only requests of http, http2 and grpc have headers", in.PortName)}
	}
	expose.Groups = append(expose.Groups, blue, green)
	expose.Aliases = append(expose.Aliases, listener)
	expose.Service.LoadBalancers = append(expose.Service.LoadBalancers, lb)
	return nil
}

func testCondition(in *ecs.ConnectService) fleet.RuleCondition {
	c := fleet.RuleCondition{Field: fleet.FieldHeader, Name: in.TestHeader, Values: []string{"*"}}
	if c.Name == "" {
		c.Name = TestHeader
	}
	if in.TestValue != "" {
		c.Values = []string{in.TestValue}
	}
	return c
}

func portNamed(def *fleet.TaskDef, name string) (container string, m *fleet.PortMapping) {
	for i := range def.Containers {
		c := &def.Containers[i]
		for j := range c.PortMappings {
			if p := &c.PortMappings[j]; p.Name == name && p.Protocol == fleet.TCP {
				return c.Name, p
			}
		}
	}
	return "", nil
}

// sameConnect refuses an update that would change by what tasks reach a service: what is
// there is kept, and so is an update that says the same.
func sameConnect(st *fleet.State, s *fleet.Service, in *ecs.Connect) error {
	if in == nil {
		return nil
	}
	is := view.Connected(st, s)
	same := slices.EqualFunc(in.Services, is, func(want ecs.ConnectService, have view.ConnectedPort) bool {
		return want.PortName == have.PortName && want.Alias == have.Alias && (want.Port == 0 || want.Port == have.Port)
	})
	if !same {
		return &fleet.FieldError{Field: "serviceConnectConfiguration", Why: fmt.Sprintf(
			"the service is reached by %d aliases that are others: change its listeners, or create it anew", len(is))}
	}
	return nil
}
