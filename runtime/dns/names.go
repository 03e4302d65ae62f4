package dns

import (
	"net/netip"
	"strings"

	"skein/raftfsm/fleet"
)

// Zone holds the names of services: "web.skein.".
const Zone = "skein."

// maxLabel is the longest part of a name (RFC 1035, 2.3.4).
const maxLabel = 63

// Names are what is known by name. The zero value knows nothing. It is never changed.
type Names struct {
	index    uint64 // of the routes
	services map[string]*service
}

// service is one by its name in lower case.
type service struct {
	label string // as it is written in targets of SRV
	ports []servicePort
	// byTask has the host's address of each task that is among those of ports.
	byTask map[string]netip.Addr
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

// NewNames are the names in routes as of an index of the log.
func NewNames(routes fleet.Routes, index uint64) *Names {
	groups := map[fleet.TargetGroupName][]fleet.Target{}
	for i := range routes.Groups {
		groups[routes.Groups[i].TargetGroup.Name] = routes.Groups[i].Targets
	}
	n := &Names{index: index, services: map[string]*service{}}
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

// find looks a name in the zone up; it is in lower case.
func (n *Names) find(name string) found {
	if name == Zone {
		return found{exists: true}
	}
	labels := strings.Split(strings.TrimSuffix(name, "."+Zone), ".")
	s := n.services[labels[len(labels)-1]]
	if s == nil {
		return found{}
	}
	switch below := labels[:len(labels)-1]; {
	case len(below) == 0:
		return found{exists: true, addrs: s.addrs(), srv: s.all(), owner: s}
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

// addrs are the addresses of the hosts that the service's tasks are on.
func (s *service) addrs() []netip.Addr {
	var list []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, t := range s.all() {
		if !seen[t.addr.Addr()] {
			seen[t.addr.Addr()] = true
			list = append(list, t.addr.Addr())
		}
	}
	return list
}

func (s *service) all() []target {
	if len(s.ports) == 1 {
		return s.ports[0].targets
	}
	var list []target
	for _, p := range s.ports {
		list = append(list, p.targets...)
	}
	return list
}

// inZone reports whether a name, in lower case, is Skein's to answer.
func inZone(name string) bool { return name == Zone || strings.HasSuffix(name, "."+Zone) }
