package dns

import (
	"net/netip"
	"strings"
	"sync"

	"skein/raftfsm/fleet"
)

// Zone holds the names of services: "web.skein.".
const Zone = "skein."

// aliasZone has aliases as well: it is the first search domain of tasks, so that "b" is
// found before anybody else is asked for it.
const aliasZone = "connect." + Zone

// Names are what is known by name. The zero value knows nothing. It is never changed.
type Names struct {
	index    uint64 // of the routes
	services map[string]*service
	aliases  map[string]netip.Addr // by name in lower case, with a dot behind
}

// service is one by its name in lower case.
type service struct {
	label string // as it is written in targets of SRV
	ports []servicePort
	// byTask has the host's address of each task that is among those of ports.
	byTask map[string]netip.Addr

	once    sync.Once // of what follows; see whole
	targets []target
	addrs   []netip.Addr
}

type servicePort struct {
	name    string // in lower case; empty for none
	targets []target
}

// target is a task that a port leads to.
type target struct {
	task   string
	addr   netip.AddrPort
	weight uint16 // its share, as SRV has it
}

// NewNames are the names in routes as of an index of the log. Aliases are at addr.
func NewNames(routes fleet.Routes, index uint64, addr func(number int) netip.Addr) *Names {
	groups := map[fleet.TargetGroupName][]fleet.Target{}
	for i := range routes.Groups {
		groups[routes.Groups[i].TargetGroup.Name] = routes.Groups[i].Targets
	}
	n := &Names{index: index, services: map[string]*service{}, aliases: map[string]netip.Addr{}}
	for i := range routes.Listeners {
		if a := routes.Listeners[i].Alias; a != nil {
			n.aliases[a.Name+"."] = addr(a.Number)
		}
	}
	for i := range routes.Services {
		s := newService(&routes.Services[i], groups)
		label := strings.ToLower(s.label)
		// Of names that differ by case alone, the one in lower case is found, else the first.
		if n.services[label] == nil || s.label == label {
			n.services[label] = s
		}
	}
	return n
}

func newService(v *fleet.RoutedService, groups map[fleet.TargetGroupName][]fleet.Target) *service {
	s := &service{label: v.Name, byTask: map[string]netip.Addr{}}
	for _, p := range v.Ports {
		port := servicePort{name: strings.ToLower(p.Name), targets: targetsOf(p.Groups, groups, fleet.TargetHealthy)}
		if len(port.targets) == 0 {
			// That all look bad says more of who looks than of them.
			port.targets = targetsOf(p.Groups, groups, fleet.TargetUnhealthy)
		}
		for _, t := range port.targets {
			s.byTask[t.task] = t.addr.Addr()
		}
		s.ports = append(s.ports, port)
	}
	return s
}

// targetsOf are the targets of groups that are in a state.
func targetsOf(shares []fleet.GroupWeight, groups map[fleet.TargetGroupName][]fleet.Target,
	state fleet.TargetState) []target {
	var list []target
	for _, share := range shares {
		first := len(list)
		for _, t := range groups[share.Group] {
			if t.State == state {
				addr := netip.AddrPortFrom(t.Addr.Addr().Unmap(), t.Addr.Port())
				list = append(list, target{task: strings.ToLower(string(t.Task)), addr: addr})
			}
		}
		for i := first; i < len(list); i++ {
			list[i].weight = uint16(max(1, share.Weight/(len(list)-first)))
		}
	}
	return list
}

// found is what there is of a name.
type found struct {
	exists bool
	addrs  []netip.Addr // each once
	srv    []target
	owner  *service // of srv
}

// alias is the address of an alias; name is in lower case.
func (n *Names) alias(name string) (netip.Addr, bool) {
	if addr, ok := n.aliases[name]; ok {
		return addr, true
	}
	below, ok := strings.CutSuffix(name, aliasZone)
	if !ok {
		return netip.Addr{}, false
	}
	addr, ok := n.aliases[below]
	return addr, ok
}

// find looks a name up that is an alias, or in the zone; it is in lower case.
func (n *Names) find(name string) found {
	if addr, ok := n.alias(name); ok {
		return found{exists: true, addrs: []netip.Addr{addr}}
	}
	if name == Zone || name == aliasZone && n.services["connect"] == nil {
		return found{exists: true}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."+Zone), ".")
	s := n.services[labels[len(labels)-1]]
	if s == nil {
		return found{}
	}
	switch below := labels[:len(labels)-1]; {
	case len(below) == 0:
		targets, addrs := s.whole()
		return found{exists: true, addrs: addrs, srv: targets, owner: s}
	case len(below) == 1 && below[0] == "_tcp":
		return found{exists: true}
	case len(below) == 1:
		addr, ok := s.byTask[below[0]]
		if !ok {
			return found{}
		}
		return found{exists: true, addrs: []netip.Addr{addr}}
	case len(below) == 2 && below[1] == "_tcp":
		for _, p := range s.ports {
			if p.name != "" && "_"+p.name == below[0] {
				return found{exists: true, srv: p.targets, owner: s}
			}
		}
	}
	return found{}
}

// whole is all targets of the service, and the addresses of the hosts that they are on. It is
// made when it is first asked for, once for all queries of these names.
func (s *service) whole() ([]target, []netip.Addr) {
	s.once.Do(func() {
		for _, p := range s.ports {
			s.targets = append(s.targets, p.targets...)
		}
		seen := map[netip.Addr]bool{}
		for _, t := range s.targets {
			if !seen[t.addr.Addr()] {
				seen[t.addr.Addr()] = true
				s.addrs = append(s.addrs, t.addr.Addr())
			}
		}
	})
	return s.targets, s.addrs
}

// own reports whether a name, in lower case, is Skein's to answer.
func (n *Names) own(name string) bool {
	_, alias := n.aliases[name]
	return alias || name == Zone || strings.HasSuffix(name, "."+Zone)
}
