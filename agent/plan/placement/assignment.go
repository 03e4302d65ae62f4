package placement

import "skein/raftfsm/fleet"

// assignment gathers the tasks of one class as runs per host, in the order in
// which hosts were first chosen.
type assignment struct {
	limit int // commands there is still room for
	runs  []fleet.AssignTasks
	last  map[int32]int // host to its newest run
}

func (a *assignment) full() bool { return len(a.runs) >= a.limit }

func (a *assignment) add(host int32, id fleet.HostID, task fleet.TaskID, ports []fleet.PortBinding) {
	at, ok := a.last[host]
	if !ok || len(a.runs[at].Tasks) == MaxAssignRun {
		at = len(a.runs)
		a.last[host] = at
		a.runs = append(a.runs, fleet.AssignTasks{Host: id})
	}
	run := &a.runs[at]
	run.Tasks = append(run.Tasks, task)
	if ports != nil {
		run.Ports = append(run.Ports, ports)
	}
}

func (a *assignment) items() []fleet.Item {
	items := make([]fleet.Item, len(a.runs))
	for i, run := range a.runs {
		items[i] = fleet.Item{Command: run, By: By}
	}
	return items
}
