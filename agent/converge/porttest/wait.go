package porttest

import (
	"fmt"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

const (
	// patience bounds every wait of a suite: the slowest real step, a start on a
	// machine busy with other suites, takes a few seconds.
	patience = 30 * time.Second
	// maxSteps bounds waits on a twin, whose steps take no time.
	maxSteps = 5000
)

// eventually lets time pass until done says so, and prints the last state seen
// when it never does.
func eventually(t *testing.T, step func(), what string, done func() (ok bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	state := ""
	for n := 0; n < maxSteps && time.Now().Before(deadline); n++ {
		var ok bool
		if ok, state = done(); ok {
			return
		}
		step()
	}
	t.Fatalf("waited in vain for %s; last seen: %s", what, state)
}

// find returns the container of that id, or nil.
func find(t *testing.T, c converge.Containers, id string) *port.ContainerStatus {
	t.Helper()
	all, err := c.List(t.Context())
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	return nil
}

// awaitState waits until the container is in a state and returns its status.
func awaitState(
	t *testing.T, c converge.Containers, step func(), id string, want port.ContainerState,
) *port.ContainerStatus {
	t.Helper()
	var last *port.ContainerStatus
	eventually(t, step, fmt.Sprintf("container %s in state %s", id, stateName(want)), func() (bool, string) {
		last = find(t, c, id)
		if last == nil {
			return false, "no such container"
		}
		return last.State == want, fmt.Sprintf("%s, exit code %d", stateName(last.State), last.ExitCode)
	})
	return last
}

func stateName(s port.ContainerState) string {
	switch s {
	case port.ContainerCreated:
		return "created"
	case port.ContainerRunning:
		return "running"
	case port.ContainerExited:
		return "exited"
	default:
		return "unknown"
	}
}

// TaskOf makes a task id of a few letters, padded to the usual 32.
func TaskOf(name string) fleet.TaskID {
	id := fmt.Sprintf("%032x", name)
	return fleet.TaskID(id[len(id)-32:])
}
