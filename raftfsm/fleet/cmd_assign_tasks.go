package fleet

import (
	"fmt"
)

// AssignTasks gives a run of tasks of one task definition to one host. Refused
// as a whole when a task has a host or is to stop, the host is not placeable,
// they do not fit what is left, or a port is taken.
type AssignTasks struct {
	Host  HostID          `cbor:"1,keyasint"`
	Tasks []TaskID        `cbor:"2,keyasint"`
	Ports [][]PortBinding `cbor:"3,keyasint,omitempty"` // one list a task, or nil when it has no ports
}

// Kind is the command's number in the log.
func (AssignTasks) Kind() Kind { return KindAssignTasks }

func (c AssignTasks) apply(s *State, x *applyContext) ([]string, error) {
	host, err := s.livingHost(c.Host, "assign tasks")
	if err != nil {
		return nil, err
	}
	if !host.Placeable() {
		return nil, refuse(ErrNotPlaceable, "assign tasks: %s is %s", host.Name, ineligibleReason(host))
	}
	def, err := c.checkTasks(s)
	if err != nil {
		return nil, err
	}
	if need, free := def.Reservation().Times(len(c.Tasks)), s.Free(host.ID); !need.Fits(free) {
		return nil, refuse(ErrDoesNotFit, "assign %s to %s: they need cpu %d, memory %d MiB; left are %d, %d MiB",
			plural(len(c.Tasks), "task"), host.Name, need.CPU, need.Memory, free.CPU, free.Memory)
	}
	if err := c.checkPorts(s, def); err != nil {
		return nil, err
	}
	var t Task
	for i, id := range c.Tasks {
		t = *s.Task(id)
		t.Host, t.Last, t.AssignedAt, t.Session = host.ID, TaskPending, x.now, host.Session.N
		if c.Ports != nil {
			t.Ports = c.Ports[i]
		}
		s.putTask(x, t)
	}
	s.recordEvent(x, Event{By: "placement", Code: "tasks-placed", Subject: t.subject(),
		Message: fmt.Sprintf("%s: placed %s on %s", t.of(), plural(len(c.Tasks), "task"), host.Name),
		Counts:  []Count{{"tasks", len(c.Tasks)}}})
	return nil, nil
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

// checkTasks refuses tasks that cannot be assigned and returns the definition
// that they share.
func (c AssignTasks) checkTasks(s *State) (*TaskDef, error) {
	if err := checkRange("tasks", len(c.Tasks), 1, MaxRun); err != nil {
		return nil, err
	}
	seen := make(map[TaskID]bool, len(c.Tasks))
	var def TaskDefID
	for i, id := range c.Tasks {
		t := s.Task(id)
		if t == nil {
			return nil, refuse(ErrNotFound, "assign task %s", quoted(string(id)))
		}
		if t.Host != "" || t.Desired != TaskRunning || seen[id] {
			return nil, refuse(ErrConflict, "assign task %s: it has a host or is to stop", id)
		}
		if i > 0 && t.TaskDef != def {
			return nil, field(fmt.Sprintf("tasks[%d]", i), "is of %s, the first is of %s: one command carries one definition", t.TaskDef, def)
		}
		def, seen[id] = t.TaskDef, true
	}
	return s.TaskDef(def), nil
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
	given := map[PortUse]bool{}
	for i, ports := range c.Ports {
		if err := def.checkBindings(fmt.Sprintf("ports[%d]", i), ports, s.fleet.Settings); err != nil {
			return err
		}
		for _, p := range ports {
			use := PortUse{Host: c.Host, Protocol: p.Protocol, Port: p.HostPort}
			if given[use] || s.PortTaken(c.Host, p.Protocol, p.HostPort) {
				return refuse(ErrPortTaken, "assign task %s: port %d/%s on %s", c.Tasks[i], p.HostPort, p.Protocol, c.Host)
			}
			given[use] = true
		}
	}
	return nil
}
