package invariant

import (
	"strings"

	"skein/raftfsm/fleet"
)

// settingsKept bounds what is remembered of a service's earlier settings: a plan
// is a few entries old at most.
const settingsKept = 16

func serviceOf(id fleet.RevisionID) string {
	at := strings.LastIndexByte(string(id), '/')
	return string(id)[:max(at, 0)]
}

func (c *Checker) putService(cmd fleet.PutService, revision fleet.RevisionID) {
	s := c.model.services[cmd.Name]
	if s == nil {
		s = &service{
			name: cmd.Name, defs: map[fleet.RevisionID]*definition{},
			live: map[fleet.TaskID]*task{}, present: map[fleet.RevisionID]int{},
			groups: map[fleet.RevisionID][]fleet.TargetGroupName{},
		}
		c.model.services[cmd.Name] = s
	}
	if revision != s.revision {
		s.failures, s.notBefore, s.roundFrom = 0, 0, 0
	}
	s.revision, s.grace = revision, fleet.Time(cmd.GraceS)*1000
	if after := fleet.Time(cmd.OnDisconnect.StopAfterMs); after != s.stopAfter {
		s.stopAfter, s.stopAfterAt = after, c.now()
	}
	s.defs[revision] = c.model.defs[cmd.TaskDef]
	if d := fleet.Time(cmd.OnDisconnect.StopAfterMs); d > 0 && (s.cutOff == 0 || d < s.cutOff) {
		s.cutOff = d
	}
	s.set(c.log.index, cmd.Desired, cmd.MinPercent, cmd.MaxPercent)
}

// scale notes another desired count; the same one is no change.
func (s *service) scale(index uint64, desired int) {
	if now := s.newest(); desired != now.desired {
		s.set(index, desired, now.minPer, now.maxPer)
	}
}

// set notes what is wanted of a service from now on; goals were for what it was.
// Source of the arithmetic: ECS API, DeploymentConfiguration.
func (s *service) set(index uint64, desired, minPer, maxPer int) {
	s.goals = nil
	lower := desired * minPer / 100
	if lower*100 < desired*minPer {
		lower++
	}
	s.settings = append(s.settings, setting{index, desired, lower, desired * maxPer / 100, minPer, maxPer, s.grace})
	if len(s.settings) > settingsKept {
		s.settings = append(s.settings[:0], s.settings[1:]...)
	}
}

func (s *service) newest() setting {
	if len(s.settings) == 0 {
		return setting{}
	}
	return s.settings[len(s.settings)-1]
}

// at is what was wanted of the service at an index; 0 is now.
func (s *service) at(index uint64) setting {
	found := s.newest()
	for i := len(s.settings) - 1; i >= 0 && index > 0; i-- {
		if found = s.settings[i]; found.from <= index {
			break
		}
	}
	return found
}

func (c *Checker) deleteService(cmd fleet.DeleteService) {
	s := c.model.services[cmd.Name]
	if s == nil || s.draining {
		return
	}
	s.draining = true
	if s.deployment != nil {
		s.deployment.ended = true
	}
	now := s.newest()
	s.set(c.log.index, 0, now.minPer, now.maxPer)
	c.dropDrained(s)
}

// dropDrained removes a service that was deleted once its last task is over.
func (c *Checker) dropDrained(s *service) {
	if s.draining && len(s.live) == 0 && c.model.services[s.name] == s {
		delete(c.model.services, s.name)
	}
}
