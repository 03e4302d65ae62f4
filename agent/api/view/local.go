package view

import (
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

// LocalTask is a task as its own host knows it.
type LocalTask struct {
	ID       fleet.TaskID
	Service  string
	Revision fleet.RevisionID
	TaskDef  fleet.TaskDefID
	Desired  fleet.TaskStatus
	Last     fleet.TaskStatus
	Health   fleet.Health
	Ports    []fleet.PortBinding
	Reason   string
	// Containers in the order of the definition; none where the host cannot tell.
	Containers []fleet.ContainerState
}

// Overlay puts what a host sees of its own task over a row.
func (t LocalTask) Overlay(row *types.Task) {
	row.Last, row.Health, row.Source, row.Unreachable = t.Last.String(), health(t.Health), "host", false
	if t.Reason != "" {
		row.Reason = types.Clean(t.Reason)
	}
	if len(t.Ports) > 0 {
		row.Ports = ports(t.Ports)
	}
	if len(t.Containers) > 0 {
		row.Containers = containers(t.ID, t.Containers)
	}
}

// Row is a task of which only its own host speaks.
func (t LocalTask) Row(host types.HostRef) types.Task {
	row := types.Task{
		ID: string(t.ID), Service: t.Service, Revision: string(t.Revision), TaskDef: string(t.TaskDef), Host: &host,
		Desired: t.Desired.String(), Last: t.Last.String(), Health: health(t.Health),
	}
	if t.Desired == 0 {
		row.Desired = fleet.TaskRunning.String()
	}
	t.Overlay(&row)
	return row
}
