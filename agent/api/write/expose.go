package write

import (
	"fmt"
	"strings"

	"skein/agent/ecs"
	"skein/raftfsm/fleet"
)

// exposed makes what a new service is reached by: two target groups, for the colours of
// its deployments, and a rule at the listener of the port, or a listener where the port
// has none.
func exposed(
	st *fleet.State, put fleet.PutService, def *fleet.TaskDef, in *ecs.Expose,
) (fleet.ExposeService, error) {
	container, port, err := exposedPort(def, in.ContainerPort)
	if err != nil {
		return fleet.ExposeService{}, err
	}
	protocol := fleet.GroupHTTP1
	if in.Protocol == fleet.ListenTCP {
		protocol = fleet.GroupTCP
	}
	blue := newTargetGroup(fleet.TargetGroupName(put.Name+"-blue"), protocol)
	blue.Check.Path = in.CheckPath
	green := blue
	green.Name = fleet.TargetGroupName(put.Name + "-green")
	expose := fleet.ExposeService{Service: put, Groups: []fleet.PutTargetGroup{blue, green}}
	forward := fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{
		{Group: blue.Name, Weight: fleet.TotalWeight}, {Group: green.Name},
	}}}
	production, test, err := reach(st, &expose, in, forward)
	if err != nil {
		return fleet.ExposeService{}, err
	}
	expose.Service.LoadBalancers = []fleet.LoadBalancer{{
		Container: container, ContainerPort: port, Group: blue.Name, AlternateGroup: green.Name, ProductionRule: production,
		TestRule: test,
	}}
	return expose, nil
}

// exposedPort is the container's port that traffic goes to: the one given, or the only
// one that the definition maps.
func exposedPort(def *fleet.TaskDef, given int) (container string, port int, err error) {
	found := 0
	for i := range def.Containers {
		c := &def.Containers[i]
		for _, m := range c.PortMappings {
			if m.Protocol == fleet.TCP && (given == 0 || m.ContainerPort == given) {
				container, port, found = c.Name, m.ContainerPort, found+1
			}
		}
	}
	switch {
	case found == 1:
		return container, port, nil
	case given != 0:
		return "", 0, &fleet.FieldError{Field: "expose.containerPort",
			Why: fmt.Sprintf("%d/tcp is not among the portMappings of %s", given, def.ID)}
	case found == 0:
		return "", 0, &fleet.FieldError{Field: "expose", Why: fmt.Sprintf("%s maps no tcp port: add a portMapping", def.ID)}
	default:
		return "", 0, &fleet.FieldError{Field: "expose.containerPort",
			Why: fmt.Sprintf("missing: %s maps %d tcp ports", def.ID, found)}
	}
}

// TestHeader marks requests that are to test the other colour, whatever its value.
// Source: ECS API, ServiceConnectTestTrafficHeaderRules.
const TestHeader = "x-amzn-ecs-blue-green-test"

// reach adds what leads from the port to the target groups, and returns the rules that
// deployments set: for production, and for test traffic where there may be any.
func reach(
	st *fleet.State, expose *fleet.ExposeService, in *ecs.Expose, forward fleet.Action,
) (production, test fleet.RuleID, err error) {
	name := expose.Service.Name
	listener := st.ListenerAt(in.Listen)
	if listener == nil {
		put := fleet.PutListener{Name: fleet.ListenerName(fmt.Sprintf("%s-%d", name, in.Listen)), Port: in.Listen,
			Protocol: in.Protocol, Default: &forward}
		if in.Host+in.Path != "" {
			put.Default = &fleet.Action{Fixed: &fleet.FixedResponse{Status: 404, ContentType: "text/plain",
				Body: "no service takes this host and path\n"}}
		}
		expose.Listener, listener = &put, &fleet.Listener{Name: put.Name, Protocol: put.Protocol}
	}
	if err := fits(listener, expose.Listener != nil, in); err != nil {
		return "", "", err
	}
	production = fleet.MakeRuleID(listener.Name, fleet.DefaultRule)
	var conditions []fleet.RuleCondition
	priority := lastPriority
	if in.Host+in.Path != "" {
		production = fleet.MakeRuleID(listener.Name, name)
		conditions = exposedConditions(in)
		priority = freePriority(st, listener.Name, in)
		expose.Rules = append(expose.Rules, fleet.PutRule{ID: production, Priority: priority, Conditions: conditions,
			Action: forward})
	}
	if in.Protocol != fleet.ListenHTTP {
		return production, "", nil
	}
	test = fleet.MakeRuleID(listener.Name, name+"-test")
	expose.Rules = append(expose.Rules, fleet.PutRule{ID: test, Priority: priority - 1, Action: forward,
		Conditions: append([]fleet.RuleCondition{{Field: fleet.FieldHeader, Name: TestHeader, Values: []string{"*"}}},
			conditions...)})
	return production, test, nil
}

// fits refuses a listener that the service cannot be reached at.
func fits(l *fleet.Listener, isNew bool, in *ecs.Expose) error {
	switch {
	case isNew:
		return nil
	case l.Protocol.PerRequest() != (in.Protocol == fleet.ListenHTTP):
		return &fleet.FieldError{Field: "expose.listen",
			Why: fmt.Sprintf("%d is the port of listener %s, which is of %s", in.Listen, l.Name, l.Protocol)}
	case in.Host+in.Path == "":
		return &fleet.FieldError{Field: "expose.listen",
			Why: fmt.Sprintf("%d is the port of listener %s: give a host or a path that this service takes there",
				in.Listen, l.Name)}
	}
	return nil
}

func exposedConditions(in *ecs.Expose) []fleet.RuleCondition {
	var conditions []fleet.RuleCondition
	if in.Host != "" {
		conditions = append(conditions, fleet.RuleCondition{Field: fleet.FieldHost, Values: []string{in.Host}})
	}
	if path := strings.TrimRight(in.Path, "/"); path != "" {
		conditions = append(conditions, fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{path, path + "/*"}})
	} else if in.Path != "" {
		conditions = append(conditions, fleet.RuleCondition{Field: fleet.FieldPath, Values: []string{"/*"}})
	}
	return conditions
}

// Priorities of exposed services. The most specific comes first: those with a host before
// those without, then the longest path. Each has an even one, and that before it is its
// test rule's.
const (
	hostPriority = 10_000
	pathPriority = 30_000
	pathSpacing  = 20 // for ten services with paths of one length
	lastPriority = 49_998
)

func freePriority(st *fleet.State, listener fleet.ListenerName, in *ecs.Expose) int {
	first := pathPriority
	if in.Host != "" {
		first = hostPriority
	}
	taken := map[int]bool{}
	for r := range st.RulesOf(listener) {
		taken[r.Priority] = true
	}
	priority := first + (fleet.MaxName-len(in.Path))*pathSpacing
	for taken[priority] || taken[priority-1] {
		priority += 2
	}
	return priority
}
