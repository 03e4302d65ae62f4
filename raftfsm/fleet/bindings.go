package fleet

// checkBindings refuses a task's ports unless each port mapping of the
// definition has exactly one, in any order: the same number where it is fixed,
// one of the dynamic range where it is not.
func (d *TaskDef) checkBindings(path string, ports []PortBinding, set Settings) error {
	want := map[PortBinding]PortMapping{}
	for i := range d.Containers {
		for _, m := range d.Containers[i].PortMappings {
			want[PortBinding{Container: d.Containers[i].Name, ContainerPort: m.ContainerPort, Protocol: m.Protocol}] = m
		}
	}
	if len(ports) != len(want) {
		return field(path, "has %d ports: the definition maps %d", len(ports), len(want))
	}
	for _, p := range ports {
		key := p
		key.HostPort = 0
		m, ok := want[key]
		delete(want, key)
		switch {
		case !ok:
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
