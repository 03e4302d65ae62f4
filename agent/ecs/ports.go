package ecs

import (
	"slices"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// reservedPorts are taken on every ECS host: ssh, the Docker API, the agent.
// Source: ECS API, PortMapping.
var reservedPorts = []int{22, 2375, 2376, 51678, 51679, 51680}

// ports remembers what the task's containers have asked for so far.
type ports struct {
	container map[int]string      // container port -> container
	host      map[hostPort]string // fixed host port -> container
}

type hostPort struct {
	protocol fleet.Protocol
	port     int
}

// portMappings reads a container's ports. Source: ECS API, PortMapping; that a container
// port is unique in the whole task is ours: its containers share localhost.
func (r *reader) portMappings(o *strictjson.Object) []fleet.PortMapping {
	objects := o.Objects("portMappings", maxHostPorts)
	if len(objects) == 0 {
		return nil
	}
	if r.mode == fleet.NetworkNone {
		o.Refuse("portMappings", "networkMode none has no ports; leave them out")
	}
	mappings := make([]fleet.PortMapping, 0, len(objects))
	for _, m := range objects {
		mappings = append(mappings, r.portMapping(m))
	}
	return mappings
}

func (r *reader) portMapping(m *strictjson.Object) fleet.PortMapping {
	pm := fleet.PortMapping{
		Name:          m.Text("name", maxPortName),
		ContainerPort: int(m.Int("containerPort", 0, 1, 65535)),
		HostPort:      int(m.Int("hostPort", 0, 0, 65535)),
		Protocol:      fleet.TCP,
	}
	if pm.Name != "" && !portNameForm.MatchString(pm.Name) {
		m.Refuse("name", "%q: lower-case letters, digits, _ and -, not beginning with -", strictjson.Show(pm.Name))
	}
	if !m.Has("containerPort") && !m.Has("containerPortRange") {
		m.Refuse("containerPort", "missing: the port the container listens on, 1 to 65535")
	}
	if m.Choice("protocol", "tcp", "udp") == "udp" {
		pm.Protocol = fleet.UDP
	}
	pm.AppProtocol = readAppProtocol(m, pm.Protocol)
	r.hostPort(m, &pm)
	r.claim(m, pm)
	return pm
}

// readAppProtocol reads what is spoken over a port; zero for nothing in particular.
func readAppProtocol(m *strictjson.Object, over fleet.Protocol) fleet.GroupProtocol {
	if !m.Has("appProtocol") {
		return 0
	}
	if over != fleet.TCP {
		m.Refuse("appProtocol", "is spoken over tcp alone")
	}
	switch m.Choice("appProtocol", "http", "http2", "grpc") {
	case "http2":
		return fleet.GroupHTTP2
	case "grpc":
		return fleet.GroupGRPC
	}
	return fleet.GroupHTTP1
}

func (r *reader) hostPort(m *strictjson.Object, pm *fleet.PortMapping) {
	if r.vpc {
		if pm.HostPort != 0 && pm.HostPort != pm.ContainerPort {
			m.Refuse("hostPort", "%d differs from containerPort %d; with networkMode awsvpc they are one: leave hostPort out",
				pm.HostPort, pm.ContainerPort)
		}
		pm.HostPort = 0
		return
	}
	if r.mode == fleet.NetworkHost {
		if pm.HostPort != 0 && pm.HostPort != pm.ContainerPort {
			m.Refuse("hostPort", "%d differs from containerPort %d; with networkMode host they are one: leave hostPort out",
				pm.HostPort, pm.ContainerPort)
		}
		pm.HostPort = pm.ContainerPort
	}
	dynamic := pm.HostPort >= r.opts.DynamicFirst && pm.HostPort <= r.opts.DynamicLast
	switch field := hostField(m); {
	case pm.HostPort == 0:
	case slices.Contains(reservedPorts, pm.HostPort):
		m.Refuse(field, "%d is reserved on every host (%v)", pm.HostPort, reservedPorts)
	case slices.Contains(r.opts.ReservedPorts, pm.HostPort):
		m.Refuse(field, "%d is the agent's own on every host (%v)", pm.HostPort, r.opts.ReservedPorts)
	case dynamic && r.mode == fleet.NetworkBridge:
		m.Refuse(field, "%d lies in the range given out to others (%d to %d); leave hostPort out or choose one outside",
			pm.HostPort, r.opts.DynamicFirst, r.opts.DynamicLast)
	}
}

func hostField(m *strictjson.Object) string {
	if m.Has("hostPort") {
		return "hostPort"
	}
	return "containerPort"
}

func (r *reader) claim(m *strictjson.Object, pm fleet.PortMapping) {
	if r.used.container == nil {
		r.used = ports{map[int]string{}, map[hostPort]string{}}
	}
	if owner, taken := r.used.container[pm.ContainerPort]; taken && pm.ContainerPort != 0 {
		m.Refuse("containerPort", "%d is mapped already at %s; containers of a task share one network", pm.ContainerPort,
			owner)
	}
	r.used.container[pm.ContainerPort] = m.Path("containerPort")
	if pm.HostPort == 0 {
		return
	}
	key := hostPort{pm.Protocol, pm.HostPort}
	if owner, taken := r.used.host[key]; taken && r.mode == fleet.NetworkBridge {
		m.Refuse("hostPort", "%d is taken already at %s", pm.HostPort, owner)
	}
	r.used.host[key] = m.Path("hostPort")
	if len(r.used.host) == maxHostPorts+1 {
		m.Refuse(hostField(m), "one fixed host port too many: a task has at most %d", maxHostPorts)
	}
}
