package plan

import (
	"strings"

	"skein/raftfsm/fleet"
)

// Subjects of waits, deadlines and wakes are text, "kind:name": those of
// fleet.ServiceSubject, HostSubject and TaskSubject, and these.
const (
	// SubjectFleet is the fleet as a whole.
	SubjectFleet = "fleet"
	// SubjectCapacity is all work that waits for room on hosts; of wakes only.
	SubjectCapacity = "room"
)

// PlannerSubject is the subject of a planner, by its By.
func PlannerSubject(by string) string { return "planner:" + by }

// ServiceOf returns the service a subject names.
func ServiceOf(subject string) (name string, ok bool) { return strings.CutPrefix(subject, "service:") }

// HostOf returns the host a subject names.
func HostOf(subject string) (id fleet.HostID, ok bool) {
	name, ok := strings.CutPrefix(subject, "host:")
	return fleet.HostID(name), ok
}

// TaskOf returns the task a subject names.
func TaskOf(subject string) (id fleet.TaskID, ok bool) {
	name, ok := strings.CutPrefix(subject, "task:")
	return fleet.TaskID(name), ok
}
