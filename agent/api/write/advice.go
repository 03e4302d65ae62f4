package write

import (
	"fmt"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// tooLarge warns of a task that fits on no host of the fleet, empty or not.
// Hosts may still come, so it is no refusal.
func tooLarge(st *fleet.State, def *fleet.TaskDef) []strictjson.Warning {
	want := def.Reservation()
	var cpu, memory int64
	for h := range st.Hosts() {
		if h.State == fleet.HostForgotten {
			continue
		}
		if want.Fits(h.Capacity) {
			return nil
		}
		cpu, memory = max(cpu, h.Capacity.CPU), max(memory, h.Capacity.Memory)
	}
	return []strictjson.Warning{{Field: "containerDefinitions", Message: fmt.Sprintf(
		"no host of this fleet could ever take such a task: it reserves cpu %d and memory %d MiB, the largest hosts have "+
			"cpu %d and memory %d MiB; its tasks will stay pending",
		want.CPU, want.Memory, cpu, memory)}}
}

// fewHosts warns of fixed host ports that let only one task on each host.
func fewHosts(st *fleet.State, def *fleet.TaskDef, desired int) []strictjson.Warning {
	for i := range def.Containers {
		for j, m := range def.Containers[i].PortMappings {
			if m.HostPort == 0 {
				continue
			}
			hosts := 0
			for h := range st.Hosts() {
				if h.Placeable() {
					hosts++
				}
			}
			if desired <= hosts {
				return nil
			}
			return []strictjson.Warning{{Field: fmt.Sprintf("containerDefinitions[%d].portMappings[%d].hostPort", i, j),
				Message: fmt.Sprintf(
					"host port %d is free once on each host: of %d tasks, those beyond the %d hosts that take tasks now will stay "+
						"pending", m.HostPort, desired, hosts)}}
		}
	}
	return nil
}
