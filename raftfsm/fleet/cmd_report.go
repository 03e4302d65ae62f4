package fleet

import (
	"fmt"
	"slices"
)

// Report is what a host says of itself. Level, never edge: each task's full
// status. Refused when the session is old, or was ended by declaring the host
// lost (ErrOldSession). A sequence number seen before is accepted and ignored; a
// task's status behind the recorded one, or of a task that is not the host's, is
// dropped and counted (Result.Dropped).
//
// A task that goes past RUNNING though it was to run ended by itself: it is to
// stop from then on, with its host's stop code.
type Report struct {
	Host      HostID       `cbor:"1,keyasint"`
	Session   uint64       `cbor:"2,keyasint"`
	Seq       uint64       `cbor:"3,keyasint"`
	Tasks     []TaskReport `cbor:"4,keyasint,omitempty"`
	SelfCheck []Check      `cbor:"5,keyasint,omitempty"` // nil: unchanged
	Capacity  *Resources   `cbor:"6,keyasint,omitempty"` // nil: unchanged
}

// Kind is the command's number in the log.
func (Report) Kind() Kind { return KindReport }

func (c Report) apply(s *State, x *applyContext) ([]string, error) {
	host, err := s.sessionHost(c.Host, c.Session, "report")
	if err != nil {
		return nil, err
	}
	if host.State == HostLost {
		return nil, refuse(ErrOldSession, "report: %s was declared lost, which ended session %d; open another", host.Name,
			c.Session)
	}
	if c.Seq <= host.ReportSeq {
		return nil, nil
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	s.noteReport(host.ID, c.Seq)
	s.reportHost(x, c)
	var ended []*Task
	for i := range c.Tasks {
		verdict := s.reportTask(x, c.Host, &c.Tasks[i])
		if verdict == reportDropped {
			x.dropped++
		} else if verdict == reportEnded {
			ended = append(ended, s.Task(c.Tasks[i].Task))
		}
	}
	s.decideEnded(x, host, ended)
	return nil, nil
}

func (c Report) check() error {
	if len(c.Tasks) > MaxReportTasks {
		return field("tasks", "has %d entries: at most %d are allowed", len(c.Tasks), MaxReportTasks)
	}
	if len(c.SelfCheck) > MaxSelfChecks {
		return field("selfCheck", "has %d entries: at most %d are allowed", len(c.SelfCheck), MaxSelfChecks)
	}
	for i := range c.Tasks {
		if err := c.Tasks[i].check(fmt.Sprintf("tasks[%d]", i)); err != nil {
			return err
		}
	}
	for i, k := range c.SelfCheck {
		at := fmt.Sprintf("selfCheck[%d]", i)
		if err := first(
			checkText(at+".name", k.Name, MaxID), checkText(at+".listener", string(k.Listener), MaxName),
		); err != nil {
			return err
		}
	}
	if c.Capacity != nil {
		return checkResources("capacity", *c.Capacity)
	}
	return nil
}

func (r *TaskReport) check(path string) error {
	if r.Status < TaskPending || r.Status > TaskStopped {
		return field(path+".status", "is %s: PENDING to STOPPED are allowed", r.Status)
	}
	if r.Health > HealthUnhealthy || r.StopCode > StopInfrastructureHealth || r.Attempt < 0 {
		return field(path, "has an unknown health (%d), stop code (%d) or attempt (%d)", r.Health, r.StopCode, r.Attempt)
	}
	if len(r.Exits) > MaxContainers {
		return field(path+".exits", "has %d entries: at most %d are allowed", len(r.Exits), MaxContainers)
	}
	for i, e := range r.Exits {
		if err := checkName(fmt.Sprintf("%s.exits[%d].container", path, i), e.Container, MaxName); err != nil {
			return err
		}
	}
	return first(checkContainerStates(path+".containers", r.Containers), checkTargetReports(path+".targets", r.Targets))
}

// reportHost takes in what the host says of itself. The first self-check that
// passes makes a joining host ready.
func (s *State) reportHost(x *applyContext, c Report) {
	if c.SelfCheck == nil && c.Capacity == nil {
		return
	}
	host := *s.Host(c.Host)
	if c.Capacity != nil {
		host.setCapacity(*c.Capacity, x.now)
	}
	if c.SelfCheck != nil {
		host.SelfCheck = clipChecks(c.SelfCheck)
	}
	ready := host.State == HostJoining && passed(host.SelfCheck)
	if ready {
		host.become(HostReady, x.now)
		host.ReadyAt = x.now
	}
	s.putHost(x, host)
	if ready {
		s.recordEvent(x, Event{By: "host " + host.Name, Code: "host-ready", Subject: subjectOf(&host),
			Message: host.Name + " passed its self-check and takes tasks"})
	}
}

func clipChecks(checks []Check) []Check {
	checks = slices.Clone(checks)
	for i := range checks {
		checks[i].Detail = clip(checks[i].Detail, MaxReason)
	}
	return checks
}

func passed(checks []Check) bool {
	for _, k := range checks {
		if k.Required && !k.OK {
			return false
		}
	}
	return len(checks) > 0
}

// TaskReport is the full status of one task as its host knows it.
type TaskReport struct {
	Task      TaskID          `cbor:"1,keyasint"`
	Status    TaskStatus      `cbor:"2,keyasint"`
	Health    Health          `cbor:"3,keyasint"`
	Exits     []ContainerExit `cbor:"4,keyasint,omitempty"`
	StopCode  StopCode        `cbor:"5,keyasint,omitempty"` // set by the host when the task ended by itself
	Reason    string          `cbor:"6,keyasint,omitempty"`
	Attempt   int             `cbor:"7,keyasint,omitempty"`
	StartedAt Time            `cbor:"8,keyasint,omitempty"` // the host's clock; State keeps its own stamp beside it
	StoppedAt Time            `cbor:"9,keyasint,omitempty"`
	// Containers are all of the task's, in the order of its definition; none from
	// an agent that does not know of them.
	Containers []ContainerState `cbor:"10,keyasint,omitempty"`
	// Targets are what its host's checks of it as a target say. One that was not checked
	// since the agent started is left out: what was told before stands.
	Targets []TargetReport `cbor:"11,keyasint,omitempty" since:"2"`
}

// TargetReport is how a task stands as a target of one group.
type TargetReport struct {
	Group  TargetGroupName `cbor:"1,keyasint"`
	State  TargetState     `cbor:"2,keyasint"` // initial, healthy or unhealthy
	Reason string          `cbor:"3,keyasint,omitempty"`
}
