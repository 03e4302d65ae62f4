package view

import (
	"maps"
	"slices"
	"strconv"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func taskDefEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/taskdefs", "Task definitions by family and revision", types.TaskDefs{}, endpoint.Limit,
				endpoint.Next("taskdefs"), endpoint.Param{Name: "family", Doc: "only this family", Check: endpoint.CheckName}),
			Cached: true, Read: (*View).taskDefs,
		},
		{
			Spec: endpoint.Get("/v1/taskdefs/{id}", "One task definition: family:revision, or a family for its newest",
				types.TaskDef{}),
			Read: (*View).taskDef,
		},
	}
}

func (v *View) taskDefs() (any, error) {
	limit := v.limit(defaultPage)
	answer := &types.TaskDefs{Meta: v.Meta, TaskDefs: []types.TaskDef{}}
	family, next := v.param("family"), fleet.TaskDefID(v.after("taskdefs"))
	for d := range v.State.TaskDefs() {
		if !taskDefAfter(d.ID, next) {
			continue
		}
		if of, _ := d.ID.Split(); family != "" && family != of {
			continue
		}
		if len(answer.TaskDefs) == limit {
			answer.Next = endpoint.NewCursor("taskdefs", answer.TaskDefs[limit-1].ID)
			break
		}
		answer.TaskDefs = append(answer.TaskDefs, v.TaskDefRow(d))
	}
	return answer, nil
}

// taskDefAfter orders ids by family, then by number.
func taskDefAfter(id, after fleet.TaskDefID) bool {
	family, revision := id.Split()
	afterFamily, afterRevision := after.Split()
	return family > afterFamily || family == afterFamily && revision > afterRevision
}

func (v *View) taskDef() (any, error) {
	d, err := FindTaskDef(v.State, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	row := v.TaskDefRow(d)
	return &row, nil
}

// TaskDefRow is the row of a task definition.
func (v *View) TaskDefRow(d *fleet.TaskDef) types.TaskDef {
	family, revision := d.ID.Split()
	row := types.TaskDef{
		ID: string(d.ID), Family: family, Revision: revision, Network: d.NetworkMode.String(),
		Reservation: resources(d.Reservation()), Containers: make([]types.ContainerDef, len(d.Containers)),
		RegisteredAt: types.Stamp(d.RegisteredAt),
	}
	if d.CPU > 0 {
		row.CPU = strconv.FormatInt(d.CPU, 10)
	}
	if d.Memory > 0 {
		row.Memory = strconv.FormatInt(d.Memory, 10)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Tags)) {
		row.Tags = append(row.Tags, types.Tag{Key: key, Value: d.Tags[key]})
	}
	for i := range d.Containers {
		row.Containers[i] = v.containerDef(&d.Containers[i])
	}
	return row
}

func (v *View) containerDef(c *fleet.Container) types.ContainerDef {
	def := types.ContainerDef{
		Name: c.Name, Image: c.Image, CPU: c.CPU, Memory: c.Memory, MemoryReservation: c.MemoryReservation,
		Essential:  !c.NotEssential,
		EntryPoint: c.EntryPoint, Command: c.Command, WorkingDirectory: c.WorkingDirectory, User: c.User,
		StopTimeout: c.StopTimeoutS, ReadonlyRootFS: c.ReadonlyRootFS,
	}
	for _, e := range c.Environment {
		if v.Secrets {
			def.Environment = append(def.Environment, types.EnvVar{Name: e.Name, Value: e.Value})
		} else {
			def.Environment = append(def.Environment, types.EnvVar{Name: e.Name, Hidden: true})
		}
	}
	for _, p := range c.PortMappings {
		def.Ports = append(def.Ports, types.PortMapping{Name: p.Name, ContainerPort: p.ContainerPort, HostPort: p.HostPort,
			Protocol: p.Protocol.String(), AppProtocol: appProtocols[p.AppProtocol]})
	}
	if h := c.HealthCheck; h != nil {
		def.HealthCheck = &types.HealthCheck{Interval: h.IntervalS, Timeout: h.TimeoutS, Retries: h.Retries,
			StartPeriod: h.StartPeriodS}
		if h.HTTP != nil {
			def.HealthCheck.HTTP = &types.HTTPGet{Port: h.HTTP.Port, Path: h.HTTP.Path}
		} else {
			def.HealthCheck.Command = append([]string{"CMD"}, h.Command...)
		}
	}
	if c.InitProcess || c.Capabilities != nil {
		def.Linux = &types.LinuxParams{InitProcess: c.InitProcess}
		if c.Capabilities != nil {
			def.Linux.Capabilities = &types.Capabilities{Add: c.Capabilities.Add, Drop: c.Capabilities.Drop}
		}
	}
	for _, u := range c.Ulimits {
		def.Ulimits = append(def.Ulimits, types.Ulimit{Name: u.Name, Soft: u.Soft, Hard: u.Hard})
	}
	return def
}

// appProtocols are the names that ECS has for what is spoken over a port.
var appProtocols = map[fleet.GroupProtocol]string{
	fleet.GroupHTTP1: "http", fleet.GroupHTTP2: "http2", fleet.GroupGRPC: "grpc",
}
