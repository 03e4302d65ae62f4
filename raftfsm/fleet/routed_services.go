package fleet

import "slices"

// routedServices are the services that name target groups, by name. O(groups).
func (s *State) routedServices() []RoutedService {
	var names []string
	s.groupUsers.Scan(func(_ TargetGroupName, service string) bool {
		names = append(names, service)
		return true
	})
	slices.Sort(names)
	var list []RoutedService
	for _, name := range slices.Compact(names) {
		list = append(list, s.routedService(s.Service(name)))
	}
	return list
}

func (s *State) routedService(v *Service) RoutedService {
	r := RoutedService{Name: v.Name}
	def := s.TaskDef(s.Revision(v.Revision).TaskDef)
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		p := RoutedPort{Groups: s.productionShares(lb)}
		if m := def.mapping(PortBinding{Container: lb.Container, ContainerPort: lb.ContainerPort, Protocol: TCP}); m != nil {
			p.Name = m.Name
		}
		r.Ports = append(r.Ports, p)
	}
	return r
}

// productionShares are the groups that take production traffic, with their shares. A
// colour that is only tested takes none.
func (s *State) productionShares(lb *LoadBalancer) []GroupWeight {
	var shares []GroupWeight
	if rule := s.Rule(lb.ProductionRule); rule != nil && rule.Action.Forward != nil {
		for _, w := range rule.Action.Forward.Groups {
			if w.Weight > 0 && (w.Group == lb.Group || w.Group == lb.AlternateGroup) {
				shares = append(shares, w)
			}
		}
	}
	if len(shares) == 0 {
		return []GroupWeight{{Group: lb.Group, Weight: TotalWeight}}
	}
	return shares
}

// touchRouted notes that a service is found by other ports or groups than it was; old is
// nil for a new one, v for one that goes.
func (s *State) touchRouted(x *applyContext, old, v *Service) {
	same := old != nil && v != nil && old.Revision == v.Revision && slices.Equal(old.LoadBalancers, v.LoadBalancers)
	routed := old != nil && len(old.LoadBalancers) > 0 || v != nil && len(v.LoadBalancers) > 0
	if routed && !same {
		s.touchRules(x)
	}
}
