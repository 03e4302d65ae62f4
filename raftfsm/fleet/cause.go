package fleet

// Cause is why a task is to stop or to be replaced, or a host to drain, as data.
// Protection, budgets and events read it; texts are for people alone.
type Cause uint8

// The causes.
const (
	CauseOperator      Cause = iota + 1 // somebody asked for it by name
	CauseScaleIn                        // more run than are wanted; a deleted service wants none
	CauseRollout                        // of a revision that another one replaces
	CauseDrain                          // its host is to be empty
	CauseDeadline                       // its host goes at a time that cannot be moved
	CauseRebalance                      // zones are uneven
	CauseConsolidation                  // fewer or smaller hosts hold the same work
	CauseHostLost                       // its host, or the machine's boot, is gone
	CauseTaskFailed                     // it never started, ended by itself, or is unhealthy
)

var causeNames = names{"", "operator", "scale-in", "rollout", "drain", "deadline", "rebalance", "consolidation",
	"host-lost", "task-failed"}

// String is the name; empty for the zero value, which is no cause.
func (c Cause) String() string {
	if c == 0 {
		return ""
	}
	return causeNames.text(uint8(c), "cause")
}

// ParseCause is the inverse of String.
func ParseCause(text string) (Cause, error) {
	v, err := causeNames.value(text, "cause")
	return Cause(v), err
}

// Known reports whether the cause is one of the set.
func (c Cause) Known() bool { return c >= CauseOperator && c <= CauseTaskFailed }

// StopCode is what a task that was asked to stop for the cause shows in ECS's
// words. A task that ended by itself shows its host's code. Source: ECS API, Task (stopCode).
func (c Cause) StopCode() StopCode {
	switch c {
	case CauseOperator:
		return StopUserInitiated
	case CauseDeadline:
		return StopTerminationNotice
	case CauseHostLost:
		return StopInfrastructureHealth
	default:
		return StopServiceSchedulerInitiated
	}
}

// causeOf is the cause that a stop code tells of, where nobody said one; zero for
// StopServiceSchedulerInitiated, which has many.
func causeOf(code StopCode) Cause {
	switch code {
	case StopUserInitiated:
		return CauseOperator
	case StopSpotInterruption, StopTerminationNotice:
		return CauseDeadline
	case StopInfrastructureHealth:
		return CauseHostLost
	case StopTaskFailedToStart, StopEssentialContainerExited:
		return CauseTaskFailed
	default:
		return 0
	}
}

// Request is what somebody wants of a row, and why. Rows share one where a
// command names many tasks.
type Request struct {
	Cause Cause  `cbor:"1,keyasint"`
	By    string `cbor:"2,keyasint,omitempty"` // planner, operator, or the id of the task's host
	At    Time   `cbor:"3,keyasint"`
}

// Drain is why and until when a host is to be emptied.
type Drain struct {
	Cause    Cause  `cbor:"1,keyasint"`
	By       string `cbor:"2,keyasint,omitempty"`
	Since    Time   `cbor:"3,keyasint"`
	Deadline Time   `cbor:"4,keyasint,omitempty"` // tasks stop then, replaced or not; zero: never by time alone
}

// StopCause is why the task is to stop; zero while it is to run, and where the
// log does not say.
func (t *Task) StopCause() Cause {
	if t.Stop == nil {
		return 0
	}
	return t.Stop.Cause
}

// stopFor makes the task one that is to stop.
func (t *Task) stopFor(code StopCode, r *Request, now Time) {
	t.Desired, t.StoppingAt, t.StopCode, t.Stop = TaskStopped, now, code, r
}
