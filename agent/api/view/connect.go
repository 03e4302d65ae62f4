package view

import (
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// ConnectedPort is a port of a service's tasks that tasks reach by an alias.
type ConnectedPort struct {
	PortName, Alias       string
	Port                  int
	TestHeader, TestValue string
}

// Aliased reports whether a load balancer of a service is an alias that the service made.
func Aliased(st *fleet.State, service string, lb *fleet.LoadBalancer) bool {
	return aliasOf(st, service, lb) != nil
}

func aliasOf(st *fleet.State, service string, lb *fleet.LoadBalancer) *fleet.Listener {
	name, _ := lb.ProductionRule.Split()
	if l := st.Listener(name); l != nil && l.Alias != nil && l.Owner == service {
		return l
	}
	return nil
}

// Connected are the ports of a service that tasks reach by aliases which it made.
func Connected(st *fleet.State, s *fleet.Service) []ConnectedPort {
	var list []ConnectedPort
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		l := aliasOf(st, s.Name, lb)
		if l == nil {
			continue
		}
		p := ConnectedPort{PortName: portName(st, s, lb), Alias: l.Alias.Name, Port: l.Port}
		if r := st.Rule(lb.TestRule); r != nil && len(r.Conditions) > 0 {
			p.TestHeader, p.TestValue = r.Conditions[0].Name, r.Conditions[0].Values[0]
		}
		list = append(list, p)
	}
	return list
}

func portName(st *fleet.State, s *fleet.Service, lb *fleet.LoadBalancer) string {
	c := st.TaskDef(st.Revision(s.Revision).TaskDef).Container(lb.Container)
	for i := range c.PortMappings {
		if c.PortMappings[i].ContainerPort == lb.ContainerPort {
			return c.PortMappings[i].Name
		}
	}
	return ""
}

// serviceConnect is how tasks reach a service, as ECS has it; nil for no alias.
func serviceConnect(st *fleet.State, s *fleet.Service) *types.ServiceConnect {
	ports := Connected(st, s)
	if len(ports) == 0 {
		return nil
	}
	row := &types.ServiceConnect{Enabled: true}
	for _, p := range ports {
		alias := types.ClientAlias{Port: p.Port, DNSName: p.Alias}
		if p.TestHeader != "" {
			alias.Test = &types.TestTrafficRules{Header: types.TestTrafficHeader{Name: types.Clean(p.TestHeader)}}
			if p.TestValue != "*" {
				alias.Test.Header.Value = &types.TestTrafficValue{Exact: types.Clean(p.TestValue)}
			}
		}
		row.Services = append(row.Services, types.ConnectService{PortName: p.PortName, Aliases: []types.ClientAlias{alias}})
	}
	return row
}
