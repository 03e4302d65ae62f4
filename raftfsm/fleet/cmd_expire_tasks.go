package fleet

import (
	"fmt"
	"slices"
)

// ExpireTasks declares all tasks of a lost host STOPPED, Unconfirmed. Refused
// when the host is not lost.
type ExpireTasks struct {
	Host HostID `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (ExpireTasks) Kind() Kind { return KindExpireTasks }

func (c ExpireTasks) apply(s *State, x *applyContext) ([]string, error) {
	host, err := s.livingHost(c.Host, "expire tasks")
	if err != nil {
		return nil, err
	}
	if host.State != HostLost {
		return nil, refuse(ErrConflict, "expire tasks: %s is %s, not lost", host.Name, host.State)
	}
	if n := s.endTasks(x, host.ID, true, "host "+host.Name+" is lost"); n > 0 {
		s.recordEvent(x, Event{By: "hosts", Code: "tasks-expired", Subject: subjectOf(host),
			Message: fmt.Sprintf("%s on lost host %s count as stopped", plural(n, "task"), host.Name),
			Counts:  []Count{{"tasks", n}}})
	}
	return nil, nil
}

// endTasks declares the tasks that a host holds STOPPED, without its word, and
// returns how many were not stopped before. Confirmed ones leave its list.
func (s *State) endTasks(x *applyContext, host HostID, unconfirmed bool, reason string) int {
	n := 0
	request := &Request{Cause: CauseHostLost, By: clip(x.item.By, MaxID), At: x.now}
	for _, old := range slices.Collect(s.HeldBy(host)) {
		if old.Stopped() && unconfirmed {
			continue
		}
		t := *old
		t.Unconfirmed = unconfirmed
		if !old.Stopped() {
			n++
			t.Last, t.StoppedAt = TaskStopped, x.now
			if t.Desired == TaskRunning {
				t.stopFor(StopInfrastructureHealth, request, x.now)
				t.Reason = reason
			}
		}
		s.putTask(x, t)
	}
	return n
}
