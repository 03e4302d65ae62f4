package placement

import "skein/raftfsm/fleet"

const (
	// MaxRunBytes bounds one PlaceTasks as it is encoded, about: half an entry.
	MaxRunBytes = 256 << 10
	taskBytes   = 40 // of an id in a share, with a little to spare
	shareBytes  = 48 // of a share without tasks
	portBytes   = 32 // of a binding without the container's name
)

// assignment gathers the tasks of one class as runs: shares of hosts, in the order
// in which these were first chosen.
type assignment struct {
	tasks int // gathered
	limit int // of tasks
	runs  []fleet.PlaceTasks
	share map[int32]int // host to its share of the newest run
	count int           // tasks of the newest run
	bytes int           // of the newest run
}

func (a *assignment) full() bool { return a.tasks >= a.limit }

func (a *assignment) add(host int32, id fleet.HostID, task fleet.TaskID, ports []fleet.PortBinding) {
	size := taskBytes
	for i := range ports {
		size += portBytes + len(ports[i].Container)
	}
	if len(a.runs) == 0 || a.count == fleet.MaxRun || a.bytes+size+shareBytes > MaxRunBytes {
		a.runs = append(a.runs, fleet.PlaceTasks{})
		a.share, a.count, a.bytes = map[int32]int{}, 0, 0
	}
	run := &a.runs[len(a.runs)-1]
	at, ok := a.share[host]
	if !ok {
		at = len(run.Shares)
		a.share[host] = at
		run.Shares = append(run.Shares, fleet.AssignTasks{Host: id})
		a.bytes += shareBytes
	}
	share := &run.Shares[at]
	share.Tasks = append(share.Tasks, task)
	if ports != nil {
		share.Ports = append(share.Ports, ports)
	}
	a.tasks, a.count, a.bytes = a.tasks+1, a.count+1, a.bytes+size
}

func (a *assignment) items() []fleet.Item {
	items := make([]fleet.Item, len(a.runs))
	for i, run := range a.runs {
		items[i] = fleet.Item{Command: run, By: By}
	}
	return items
}
