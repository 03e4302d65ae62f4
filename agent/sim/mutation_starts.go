package sim

import (
	"maps"
	"slices"

	"skein/agent/plan"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// services are those of a scope that are to run.
func services(in plan.Input, f func(*fleet.Service)) {
	for _, name := range in.Scope.Services() {
		if v := in.State.Service(name); v != nil && v.Status == fleet.ServiceActive {
			f(v)
		}
	}
}

// startAtOnce starts what is missing of a service while its back-off lasts.
func startAtOnce(in plan.Input, p plan.Plan) plan.Plan {
	services(in, func(v *fleet.Service) {
		n := in.State.Counts(v.Name, "")
		if missing := v.Desired - n.Pending - n.Running; v.NotBefore > in.Now && missing > 0 {
			p.Add(startItem(in, v))
		}
	})
	return p
}

// replaceCutOff starts a task for each of a stop-after service that may run unheard.
func replaceCutOff(in plan.Input, p plan.Plan) plan.Plan {
	services(in, func(v *fleet.Service) {
		n := in.State.Counts(v.Name, "")
		missing := v.Desired - n.Pending - n.Running
		if v.OnDisconnect.StopAfterMs > 0 && v.NotBefore <= in.Now && n.Unreachable > 0 && missing > 0 && len(p.Items) == 0 {
			p.Add(startItem(in, v))
		}
	})
	return p
}

func startItem(in plan.Input, v *fleet.Service) fleet.Item {
	return fleet.Item{By: service.By, Command: fleet.CreateTasks{Revision: v.Revision, Tasks: []fleet.TaskID{in.NewID()}}}
}

// stopUnhealthy stops what is unhealthy within its grace period.
func stopUnhealthy(in plan.Input, p plan.Plan) plan.Plan {
	services(in, func(v *fleet.Service) {
		for t := range in.State.LiveTasksOfService(v.Name) {
			if t.Desired == fleet.TaskRunning && t.Last == fleet.TaskRunning && t.Health == fleet.HealthUnhealthy {
				p.Add(fleet.Item{By: service.By, Command: fleet.StopTasks{Tasks: []fleet.TaskID{t.ID}, Cause: fleet.CauseTaskFailed,
					Reason: "unhealthy"}})
			}
		}
	})
	return p
}

// stopInEmptiest turns the stops of surplus to the zone with the fewest tasks.
func stopInEmptiest(in plan.Input, p plan.Plan) plan.Plan {
	for i, item := range p.Items {
		stop, ok := item.Command.(fleet.StopTasks)
		if !ok || stop.Cause != fleet.CauseScaleIn || in.State.Task(stop.Tasks[0]).Last != fleet.TaskRunning {
			continue
		}
		zones := map[string][]fleet.TaskID{}
		for t := range in.State.LiveTasksOfService(in.State.Task(stop.Tasks[0]).Service) {
			if h := in.State.Host(t.Host); h != nil && in.State.Healthy(t, in.Now) {
				zones[h.Zone] = append(zones[h.Zone], t.ID)
			}
		}
		for _, zone := range slices.Sorted(maps.Keys(zones)) {
			if len(zones[zone]) >= len(stop.Tasks) {
				stop.Tasks, stop.ExpectedModifyIndex = zones[zone][:len(stop.Tasks)], nil
				p.Items[i].Command = stop
				break
			}
		}
	}
	return p
}

// retireSilent retires a voter whose host is silent, whether or not another stands in.
func (k *keeping) retireSilent() {
	s := k.a.node.State()
	for v := range s.Voters() {
		if h := s.Host(v.Host); v.Phase == fleet.VoterVoting && h != nil && h.State == fleet.HostSilent {
			k.a.node.Propose([]fleet.Item{{By: "keeper", Command: fleet.SetVoter{ID: v.ID, Phase: fleet.VoterRetiring}}},
				k.a.fleetTime(),
				func([]fleet.Result, uint64, error) {})
			return
		}
	}
}
