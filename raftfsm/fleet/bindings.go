package fleet

import "slices"

// checkBindings refuses a task's ports unless each port mapping of the
// definition has exactly one, in any order: the same number where it is fixed,
// one of the dynamic range where it is not.
func (d *TaskDef) checkBindings(path string, ports []PortBinding, set Settings) error {
	if n := d.portCount(); len(ports) != n {
		return field(path, "has %d ports: the definition maps %d", len(ports), n)
	}
	for i, p := range ports {
		m := d.mapping(p)
		twice := slices.ContainsFunc(ports[:i], func(o PortBinding) bool { return o.samePort(p) })
		switch {
		case m == nil || twice:
			return field(path, "port %d/%s of %s is not in the definition, or is there twice", p.ContainerPort, p.Protocol,
				quoted(p.Container))
		case m.HostPort != 0 && p.HostPort != m.HostPort:
			return field(path, "port %d/%s is given as %d: the definition fixes %d", p.ContainerPort, p.Protocol, p.HostPort,
				m.HostPort)
		case m.HostPort == 0 && !set.dynamic(p.HostPort):
			return field(path, "port %d/%s is given as %d: dynamic ports are %d to %d", p.ContainerPort, p.Protocol, p.HostPort,
				set.DynamicPortFirst, set.DynamicPortLast)
		}
	}
	return nil
}

// mapping is the mapping of the definition that a binding is of, or nil.
func (d *TaskDef) mapping(p PortBinding) *PortMapping {
	c := d.Container(p.Container)
	if c == nil {
		return nil
	}
	i := slices.IndexFunc(c.PortMappings, func(m PortMapping) bool {
		return m.ContainerPort == p.ContainerPort && m.Protocol == p.Protocol
	})
	if i < 0 {
		return nil
	}
	return &c.PortMappings[i]
}

func (p PortBinding) samePort(o PortBinding) bool {
	return p.Container == o.Container && p.ContainerPort == o.ContainerPort && p.Protocol == o.Protocol
}
