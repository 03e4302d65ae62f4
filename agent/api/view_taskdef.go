package api

import (
	"maps"
	"slices"
	"strconv"

	"skein/raftfsm/fleet"
)

func (v *view) taskDefs() (any, error) {
	limit, err := v.limit(defaultPage)
	if err != nil {
		return nil, err
	}
	answer := &TaskDefs{Meta: v.meta, TaskDefs: []TaskDef{}}
	family, next := v.param("family"), fleet.TaskDefID(v.param("next"))
	for d := range v.st.TaskDefs() {
		if !taskDefAfter(d.ID, next) {
			continue
		}
		if of, _ := d.ID.Split(); family != "" && family != of {
			continue
		}
		if len(answer.TaskDefs) == limit {
			answer.Next = answer.TaskDefs[limit-1].ID
			break
		}
		answer.TaskDefs = append(answer.TaskDefs, v.taskDefRow(d))
	}
	return answer, nil
}

// taskDefAfter orders ids by family, then by number.
func taskDefAfter(id, after fleet.TaskDefID) bool {
	family, revision := id.Split()
	afterFamily, afterRevision := after.Split()
	return family > afterFamily || family == afterFamily && revision > afterRevision
}

func (v *view) taskDef() (any, error) {
	d, err := findTaskDef(v.st, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.taskDefRow(d)
	return &row, nil
}

func (v *view) taskDefRow(d *fleet.TaskDef) TaskDef {
	family, revision := d.ID.Split()
	row := TaskDef{
		ID: string(d.ID), Family: family, Revision: revision, Network: d.NetworkMode.String(),
		Reservation: resources(d.Reservation()), Containers: make([]ContainerDef, len(d.Containers)), RegisteredAt: Stamp(d.RegisteredAt),
	}
	if d.CPU > 0 {
		row.CPU = strconv.FormatInt(d.CPU, 10)
	}
	if d.Memory > 0 {
		row.Memory = strconv.FormatInt(d.Memory, 10)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Tags)) {
		row.Tags = append(row.Tags, Tag{key, d.Tags[key]})
	}
	for i := range d.Containers {
		row.Containers[i] = v.containerDef(&d.Containers[i])
	}
	return row
}

func (v *view) containerDef(c *fleet.Container) ContainerDef {
	def := ContainerDef{
		Name: c.Name, Image: c.Image, CPU: c.CPU, Memory: c.Memory, MemoryReservation: c.MemoryReservation, Essential: !c.NotEssential,
		EntryPoint: c.EntryPoint, Command: c.Command, WorkingDirectory: c.WorkingDirectory, User: c.User,
		StopTimeout: c.StopTimeoutS, ReadonlyRootFS: c.ReadonlyRootFS,
	}
	for _, e := range c.Environment {
		if v.secrets {
			def.Environment = append(def.Environment, EnvVar{Name: e.Name, Value: e.Value})
		} else {
			def.Environment = append(def.Environment, EnvVar{Name: e.Name, Hidden: true})
		}
	}
	for _, p := range c.PortMappings {
		def.Ports = append(def.Ports, PortMapping{p.Name, p.ContainerPort, p.HostPort, p.Protocol.String()})
	}
	if h := c.HealthCheck; h != nil {
		def.HealthCheck = &HealthCheck{Interval: h.IntervalS, Timeout: h.TimeoutS, Retries: h.Retries, StartPeriod: h.StartPeriodS}
		if h.HTTP != nil {
			def.HealthCheck.HTTP = &HTTPGet{h.HTTP.Port, h.HTTP.Path}
		} else {
			def.HealthCheck.Command = append([]string{"CMD"}, h.Command...)
		}
	}
	if c.InitProcess || c.Capabilities != nil {
		def.Linux = &LinuxParams{InitProcess: c.InitProcess}
		if c.Capabilities != nil {
			def.Linux.Capabilities = &Capabilities{c.Capabilities.Add, c.Capabilities.Drop}
		}
	}
	for _, u := range c.Ulimits {
		def.Ulimits = append(def.Ulimits, Ulimit{u.Name, u.Soft, u.Hard})
	}
	return def
}
