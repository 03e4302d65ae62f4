package converge

import (
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// boundsOf turns a definition into the bounds of the task's cgroup (ECS API, ContainerDefinition (cpu)).
func boundsOf(def *fleet.TaskDef) port.TaskBounds {
	const least, most = 2, 262144
	b := port.TaskBounds{CPU: def.CPU, Memory: def.Memory}
	if def.CPU > 0 {
		return b
	}
	for i := range def.Containers {
		b.Shares += min(max(least, def.Containers[i].CPU), most)
	}
	return b
}

// spec is all the runtime needs to make a container.
func (m *Machine) spec(t *task, c *container) port.ContainerSpec {
	s := port.ContainerSpec{
		ID:         c.id,
		Task:       t.id,
		Attempt:    c.start.attempt,
		Def:        *c.def,
		Image:      m.imageOf(t, c),
		CgroupPath: t.sandbox.cgroup + "/" + c.name,
		Network:    t.mode(),
		Hostname:   t.short(),
		Env:        m.env(t),
		Labels:     map[string]string{LabelBoot: m.cfg.Boot},
		LogPath:    logPath(m.cfg.LogDir, t.id, c.name),
		HostsFile:  m.cfg.HostsFile,
	}
	if s.Network != fleet.NetworkHost {
		s.JoinPID = t.joinPID()
	}
	if s.Network != fleet.NetworkNone {
		s.ResolvConf = m.cfg.ResolvConf
	}
	return s
}

// short is the form of the id that people read: its first twelve digits.
func (t *task) short() string { return string(t.id)[:min(12, len(t.id))] }

// env is what every container is told about itself, and what its task was run with.
func (m *Machine) env(t *task) []fleet.EnvVar {
	vars := []fleet.EnvVar{
		{Name: "SKEIN_TASK_ID", Value: string(t.id)},
		{Name: "SKEIN_TASK_DEFINITION", Value: string(t.spec.def.ID)},
		{Name: "SKEIN_HOST", Value: m.cfg.HostName},
		{Name: "SKEIN_ZONE", Value: m.cfg.Zone},
	}
	if t.spec.wanted.Service != "" {
		vars = append(vars,
			fleet.EnvVar{Name: "SKEIN_SERVICE", Value: t.spec.wanted.Service},
			fleet.EnvVar{Name: "SKEIN_REVISION", Value: string(t.spec.wanted.Revision)})
	}
	if o := t.spec.wanted.Overrides; o != nil {
		vars = append(vars, o.Environment...)
	}
	return vars
}
