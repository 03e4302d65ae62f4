package fleet

import (
	"fmt"
	"slices"

	"github.com/tidwall/btree"
)

// AssignTasks gives a run of tasks of one task definition to one host. Refused
// as a whole when a task has a host or is to stop, the host is not placeable,
// they do not fit what is left, or a port is taken. Planners propose PlaceTasks,
// of which it is a share.
type AssignTasks struct {
	Host  HostID          `cbor:"1,keyasint"`
	Tasks []TaskID        `cbor:"2,keyasint"`
	Ports [][]PortBinding `cbor:"3,keyasint,omitempty"` // one list a task, or nil when it has no ports
}

// Kind is the command's number in the log.
func (AssignTasks) Kind() Kind { return KindAssignTasks }

func (c AssignTasks) apply(s *State, x *applyContext) ([]string, error) {
	host, tasks, err := c.check(s)
	if err != nil {
		return nil, err
	}
	s.putRun(x, tasks, c.rows(x, host, tasks))
	s.recordEvent(x, Event{By: "placement", Code: "tasks-placed", Subject: tasks[0].subject(),
		Message: fmt.Sprintf("%s: placed %s on %s", tasks[0].of(), plural(len(c.Tasks), "task"), host.Name),
		Counts:  []Count{{"tasks", len(c.Tasks)}}})
	return nil, nil
}

// check returns the host and the tasks, or why they may not go there.
func (c AssignTasks) check(s *State) (*Host, []*Task, error) {
	host, err := s.livingHost(c.Host, "assign tasks")
	if err != nil {
		return nil, nil, err
	}
	if !host.Placeable() {
		return nil, nil, refuse(ErrNotPlaceable, "assign tasks: %s is %s", host.Name, ineligibleReason(host))
	}
	tasks, err := c.checkTasks(s)
	if err != nil {
		return nil, nil, err
	}
	version, reads := host.Agent()
	switch needs := s.NeedsFormat(tasks[0]); {
	case host.Refused != nil:
		return nil, nil, refuse(ErrAgentTooOld, "assign tasks: the agent of %s (%s) reads format %d and gets no session, "+
			"the fleet is at %d", host.Name, version, reads, s.format())
	case !host.Runs(needs):
		return nil, nil, refuse(ErrAgentTooOld, "assign tasks: %s need format %d, the agent of %s (%s) reads %d",
			tasks[0].of(), needs, host.Name, version, reads)
	}
	def := s.TaskDef(tasks[0].TaskDef)
	if need, free := def.Reservation().Times(len(c.Tasks)), host.Capacity.Sub(s.Reserved(host.ID)); !need.Fits(free) {
		return nil, nil, refuse(ErrDoesNotFit, "assign %s to %s: they need cpu %d, memory %d MiB; left are %d, %d MiB",
			plural(len(c.Tasks), "task"), host.Name, need.CPU, need.Memory, free.CPU, free.Memory)
	}
	if err := c.checkPorts(s, def); err != nil {
		return nil, nil, err
	}
	return host, tasks, nil
}

// rows are the tasks, which check returned, on their host.
func (c AssignTasks) rows(x *applyContext, host *Host, tasks []*Task) []*Task {
	rows := make([]*Task, len(tasks))
	for i, old := range tasks {
		t := *old
		t.Host, t.Last, t.AssignedAt, t.Session = host.ID, TaskPending, x.now, host.Session.N
		if c.Ports != nil {
			t.Ports = c.Ports[i]
		}
		rows[i] = &t
	}
	return rows
}

// ineligibleReason is why a host takes no tasks.
func ineligibleReason(h *Host) string {
	switch {
	case h.State != HostReady:
		return h.State.String()
	case h.Cordon != nil:
		return "cordoned"
	default:
		return "draining"
	}
}

// checkTasks returns the tasks, or refuses those that cannot be assigned or are
// not of one definition.
func (c AssignTasks) checkTasks(s *State) ([]*Task, error) {
	if err := checkRange("tasks", len(c.Tasks), 1, MaxRun); err != nil {
		return nil, err
	}
	tasks := make([]*Task, len(c.Tasks))
	for i, id := range c.Tasks {
		tasks[i] = s.Task(id)
	}
	if id := repeated(c.Tasks); id != "" {
		return nil, refuse(ErrConflict, "assign task %s: it is named twice", quoted(string(id)))
	}
	for i, id := range c.Tasks {
		t := tasks[i]
		if t == nil {
			return nil, refuse(ErrNotFound, "assign task %s", quoted(string(id)))
		}
		if t.Host != "" || t.Desired != TaskRunning {
			return nil, refuse(ErrConflict, "assign task %s: it has a host or is to stop", id)
		}
		if first := tasks[0].TaskDef; t.TaskDef != first {
			return nil, field(fmt.Sprintf("tasks[%d]", i), "is of %s, the first is of %s: one command carries one definition",
				t.TaskDef, first)
		}
	}
	return tasks, nil
}

// repeated returns an id that a list has twice, or none.
func repeated(ids []TaskID) TaskID {
	if rise(ids) {
		return ""
	}
	seen := make(map[TaskID]struct{}, len(ids))
	for _, id := range ids {
		if _, twice := seen[id]; twice {
			return id
		}
		seen[id] = struct{}{}
	}
	return ""
}

// checkPorts refuses bindings that are not what the definition asks for, or
// that are taken.
func (c AssignTasks) checkPorts(s *State, def *TaskDef) error {
	if c.Ports == nil && def.portCount() == 0 {
		return nil
	}
	if len(c.Ports) != len(c.Tasks) {
		return field("ports", "has %d lists for %d tasks", len(c.Ports), len(c.Tasks))
	}
	var uses []PortUse
	for i, ports := range c.Ports {
		if err := def.checkBindings("", ports, s.fleet.Settings); err != nil {
			return def.checkBindings(fmt.Sprintf("ports[%d]", i), ports, s.fleet.Settings)
		}
		for _, p := range ports {
			uses = append(uses, PortUse{c.Host, p.Protocol, p.HostPort, c.Tasks[i]})
		}
	}
	slices.SortStableFunc(uses, comparePorts)
	var hint btree.PathHint
	for i, use := range uses {
		if l := s.ListenerAt(use.Port); l != nil && use.Protocol == TCP {
			return refuse(ErrPortTaken, "assign task %s: port %d is that of listener %s on every host", use.Task, use.Port,
				l.Name)
		}
		_, taken := s.ports.GetHint(use, &hint)
		if taken || i > 0 && comparePorts(uses[i-1], use) == 0 {
			return refuse(ErrPortTaken, "assign task %s: port %d/%s on %s", use.Task, use.Port, use.Protocol, c.Host)
		}
	}
	return nil
}
