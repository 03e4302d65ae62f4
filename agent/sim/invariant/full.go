package invariant

import (
	"errors"
	"fmt"
	"maps"

	"skein/raftfsm/fleet"
)

// Full compares the model with every row of State, both ways, and all that is
// summed on either side: the model's own running sums, and the counts and
// reservations that State derives. It costs a look at everything.
func (c *Checker) Full(s *fleet.State) error {
	return errors.Join(c.fullTasks(s), c.fullHosts(s), c.fullServices(s), c.effectsAgree(s))
}

func (c *Checker) fullTasks(s *fleet.State) error {
	for row := range s.Tasks() {
		t := c.model.tasks[row.ID]
		if t == nil {
			return fmt.Errorf("task %s: no command made it", row.ID)
		}
		if why := differs(t, row); why != "" {
			return fmt.Errorf("task %s: %s", t.id, why)
		}
		if t.reaches() != s.Reachable(row) || t.isHealthy(c.model.now) != s.Healthy(row, c.model.now) {
			return fmt.Errorf("task %s: State counts it as reachable %v, healthy %v; want %v, %v", t.id,
				s.Reachable(row), s.Healthy(row, c.model.now), t.reaches(), t.isHealthy(c.model.now))
		}
	}
	if n := s.TaskCount(); n != len(c.model.tasks) {
		return fmt.Errorf("%d tasks in State, its commands make %d", n, len(c.model.tasks))
	}
	return nil
}

func (c *Checker) fullHosts(s *fleet.State) error {
	n := 0
	for row := range s.Hosts() {
		n++
		h := c.model.hosts[row.ID]
		if h == nil {
			return fmt.Errorf("host %s: no command admitted it", row.Name)
		}
		if why := hostDiffers(h, row); why != "" {
			return fmt.Errorf("host %s: %s", h.name, why)
		}
		var reserved fleet.Resources
		for _, t := range h.held {
			reserved = plus(reserved, t.def.need)
		}
		if reserved != h.reserved || reserved != s.Reserved(h.id) {
			return fmt.Errorf("host %s: its tasks need %+v, State has reserved %+v, this checker %+v", h.name, reserved,
				s.Reserved(h.id), h.reserved)
		}
	}
	if n != len(c.model.hosts) {
		return fmt.Errorf("%d hosts in State, its commands make %d", n, len(c.model.hosts))
	}
	return nil
}

func (c *Checker) fullServices(s *fleet.State) error {
	if n := s.ServiceCount(); n != len(c.model.services) {
		return fmt.Errorf("%d services in State, its commands make %d", n, len(c.model.services))
	}
	for row := range s.Services() {
		v := c.model.services[row.Name]
		if v == nil {
			return fmt.Errorf("service %s: no command made it", row.Name)
		}
		want := v.newest()
		if row.Desired != want.desired || row.Revision != v.revision || row.MinPercent != want.minPer ||
			row.MaxPercent != want.maxPer || (row.Status == fleet.ServiceDraining) != v.draining {
			return fmt.Errorf("service %s: State has %+v, want %+v of %s, draining: %v", v.name, *row, want, v.revision,
				v.draining)
		}
		if why := v.deploymentDiffers(s.LastDeployment(v.name)); why != "" {
			return fmt.Errorf("service %s: %s", v.name, why)
		}
		if why := v.goals.differs(s.Goals(v.name)); why != "" {
			return fmt.Errorf("service %s: %s", v.name, why)
		}
		if err := v.sums(c.model.now, s.Counts(v.name, "")); err != nil {
			return err
		}
	}
	return nil
}

// sums counts a service's tasks anew.
func (v *service) sums(now fleet.Time, state fleet.Counts) error {
	var own fleet.Counts
	healthy, present := 0, map[fleet.RevisionID]int{}
	for _, t := range v.live {
		own.Total++
		healthy += one(t.isHealthy(now))
		if t.toRun && t.reaches() {
			present[t.revision]++
		}
		own.ToReplace += one(t.replace != 0 && t.toRun && t.reaches())
		switch {
		case !t.toRun:
			own.Stopping++
		case !t.reaches():
			own.Unreachable++
		case t.last == fleet.TaskRunning:
			own.Running++
			own.Healthy += one(t.health == fleet.HealthHealthy)
			own.Serving += one(t.isHealthy(now))
			own.Failing += one(t.isUnhealthy(now))
		default:
			own.Pending++
		}
	}
	if !maps.Equal(present, v.present) {
		return fmt.Errorf("service %s: present are %v, this checker counted %v", v.name, present, v.present)
	}
	if own != state || own.Running != v.running || healthy != v.healthy {
		return fmt.Errorf("service %s: there are %+v, %d healthy; State counts %+v, this checker %d running, %d healthy",
			v.name, own, healthy, state, v.running, v.healthy)
	}
	return nil
}
