package plan

import (
	"strings"

	"skein/raftfsm/fleet"
)

// Subjects of waits, deadlines and wakes are text, "kind:name": those of
// fleet.AboutService, AboutHost and AboutTask, and these.
const (
	// AboutFleet is the fleet as a whole.
	AboutFleet = "fleet"
	// AboutRoom is all work that waits for room on hosts; of wakes only.
	AboutRoom = "room"
)

// AboutPlanner is the subject of a planner, by its By.
func AboutPlanner(by string) string { return "planner:" + by }

// ServiceOf returns the service a subject names.
func ServiceOf(about string) (name string, ok bool) { return strings.CutPrefix(about, "service:") }

// HostOf returns the host a subject names.
func HostOf(about string) (id fleet.HostID, ok bool) {
	name, ok := strings.CutPrefix(about, "host:")
	return fleet.HostID(name), ok
}

// TaskOf returns the task a subject names.
func TaskOf(about string) (id fleet.TaskID, ok bool) {
	name, ok := strings.CutPrefix(about, "task:")
	return fleet.TaskID(name), ok
}
