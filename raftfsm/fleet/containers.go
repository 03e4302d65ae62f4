package fleet

import (
	"fmt"
	"slices"
)

// ContainersOf is how each container of a task stands, in the order of its
// definition. Where the row has nothing of its containers (one that was never
// started again, or an agent that does not report them) it follows from the row.
func (s *State) ContainersOf(t *Task) []ContainerState {
	if len(t.Containers) > 0 {
		return t.Containers
	}
	def := s.TaskDef(t.TaskDef)
	if def == nil {
		return nil
	}
	list := make([]ContainerState, len(def.Containers))
	for i := range list {
		list[i] = t.containerFromRow(&def.Containers[i])
	}
	return list
}

func (t *Task) containerFromRow(def *Container) ContainerState {
	c := ContainerState{Name: def.Name, Status: TaskPending, Attempt: t.Attempt}
	at := slices.IndexFunc(t.Exits, func(e ContainerExit) bool { return e.Container == def.Name })
	if at >= 0 {
		c.ExitCode, c.Reason = t.Exits[at].Code, t.Exits[at].Reason
	}
	if t.StartedAt != 0 {
		c.Status, c.StartedAt = TaskRunning, t.StartedAt
	}
	if c.Status == TaskRunning && !def.NotEssential && def.HealthCheck != nil {
		c.Health = t.Health
	}
	if at >= 0 || t.Stopped() {
		c.Status, c.Health, c.StoppedAt = TaskStopped, 0, t.StoppedAt
	}
	return c
}

// keepContainers is what the row has to keep of the containers that a host
// reports: nothing where the row says it all, which is so of a single container
// that was started as often as its task.
func keepContainers(r *TaskReport) []ContainerState {
	if len(r.Containers) == 1 && r.Containers[0].Attempt <= r.Attempt {
		return nil
	}
	kept := slices.Clone(r.Containers)
	for i := range kept {
		kept[i].Reason = clip(kept[i].Reason, MaxReason)
	}
	return kept
}

func sameContainer(a, b ContainerState) bool {
	return a.Name == b.Name && a.Status == b.Status && a.Health == b.Health && a.Attempt == b.Attempt &&
		a.Reason == b.Reason && a.StartedAt == b.StartedAt && a.StoppedAt == b.StoppedAt && sameCode(a.ExitCode, b.ExitCode)
}

func sameCode(a, b *int) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// SameContainers reports whether two lists say the same of the same containers.
func SameContainers(a, b []ContainerState) bool { return slices.EqualFunc(a, b, sameContainer) }

func checkContainerStates(path string, list []ContainerState) error {
	if len(list) > MaxContainers {
		return field(path, "has %d entries: at most %d are allowed", len(list), MaxContainers)
	}
	for i := range list {
		c, at := &list[i], fmt.Sprintf("%s[%d]", path, i)
		if err := checkName(at+".name", c.Name, MaxName); err != nil {
			return err
		}
		if c.Status != TaskPending && c.Status != TaskRunning && c.Status != TaskStopped {
			return field(at+".status", "is %s: PENDING, RUNNING and STOPPED are allowed", c.Status)
		}
		if c.Health > HealthUnhealthy || c.Attempt < 0 {
			return field(at, "has an unknown health (%d) or attempt (%d)", c.Health, c.Attempt)
		}
	}
	return nil
}
