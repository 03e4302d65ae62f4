package invariant

import (
	"fmt"

	"skein/raftfsm/fleet"
)

// graceOver says that a task is stopped for being unhealthy only once its grace period
// is over, by the service's settings that the planner saw. Source: ECS API,
// CreateService.
func (c *Checker) graceOver(t *task, cause fleet.Cause, planned uint64) {
	s := t.service
	if cause != fleet.CauseTaskFailed || s == nil || t.last != fleet.TaskRunning {
		return
	}
	grace := s.at(planned).grace
	c.hold(graceKept, c.model.now >= t.started+grace, func() string {
		return fmt.Sprintf("%s: task %s is stopped as unhealthy at %s; it runs since %s, and its grace period is %d ms",
			s.name, t.id, c.model.now, t.started, grace)
	})
}

// taken are the healthy tasks that an entry stops of a service for being surplus.
type taken struct {
	service *service
	tasks   []*task
	mixed   bool // others are stopped, too
}

// surplus judges where an entry stops healthy surplus tasks: in the zone that has most
// of the service's tasks, one after the other, so that no zone with a task of the same
// kind left has two more than one that gave up a task. Where tasks of other kinds stop
// in the same entry, or the service's tasks changed after the planner looked, the
// order cannot be told. Source: agent/plan/DESIGN.md "service".
func (c *Checker) surplus(e *Entry) {
	var all []*taken
	for i := range e.Entry.Items {
		cmd, ok := e.Entry.Items[i].Command.(fleet.StopTasks)
		if !ok || !isPlanner(e.Entry.Items[i].By) || e.Results[i].Err != nil {
			continue
		}
		for _, id := range cmd.Tasks {
			if t := c.model.tasks[id]; t != nil && t.service != nil {
				all = take(all, t, cmd.Cause == fleet.CauseScaleIn && c.surplusKind(t, e.Planned))
			}
		}
	}
	for _, s := range all {
		if !s.mixed && !s.service.draining && s.service.changedBefore <= e.Planned {
			c.fromFullest(s)
		}
	}
}

func take(all []*taken, t *task, surplus bool) []*taken {
	for _, s := range all {
		if s.service == t.service {
			s.tasks, s.mixed = append(s.tasks, t), s.mixed || !surplus
			return all
		}
	}
	return append(all, &taken{t.service, []*task{t}, !surplus})
}

// surplusKind reports whether a task, but for being stopped in this entry, is a healthy
// one of the present revision that is to stay.
func (c *Checker) surplusKind(t *task, planned uint64) bool {
	healthy := t.passes() && (t.judged() || c.model.now-planAge >= t.started+healthyAfter)
	return t.host != nil && t.reaches() && t.last == fleet.TaskRunning && healthy && t.healthyAt <= planned &&
		t.revision == t.service.revision && t.replace == 0
}

// fromFullest does not look at a service with two versions side by side: each is spread by itself.
func (c *Checker) fromFullest(s *taken) {
	for _, t := range s.service.live {
		if t.revision != s.service.revision {
			return
		}
	}
	count, left := map[string]int{}, map[string]bool{}
	for _, t := range s.service.live {
		if t.toRun && t.host != nil && t.reaches() {
			count[t.host.zone]++
			left[t.host.zone] = left[t.host.zone] || c.surplusKind(t, c.log.index)
		}
	}
	for _, t := range s.tasks {
		for _, zone := range sorted(left) {
			c.hold(surplusFromFullest, !left[zone] || count[zone] <= count[t.host.zone]+1, func() string {
				return fmt.Sprintf("%s: task %s was surplus in zone %s, which has %d left; zone %s has %d",
					s.service.name, t.id, t.host.zone, count[t.host.zone], zone, count[zone])
			})
		}
	}
}
