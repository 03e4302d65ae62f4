package invariant

import (
	"fmt"
	"maps"
	"slices"

	"skein/raftfsm/fleet"
)

// shareAt is what a rule gave to target groups from an index of the log on.
type shareAt struct {
	index  uint64
	groups []fleet.GroupWeight
}

// rollouts judges, after an entry about traffic or deployments, the shares that rules give:
// those of people, but for what a live deployment divides between blue and green, and those
// of people again once a deployment has ended with one revision alone.
func (c *Checker) rollouts(e *Entry) {
	if !c.model.traffic {
		return
	}
	c.model.traffic = false
	for row := range e.After.Rules() {
		if row.Action.Forward == nil {
			continue
		}
		history := c.shares[row.ID]
		if n := len(history); n == 0 || !slices.Equal(history[n-1].groups, row.Action.Forward.Groups) {
			c.shares[row.ID] = append(history, shareAt{c.log.index, slices.Clone(row.Action.Forward.Groups)})
		}
	}
	for id, history := range c.shares {
		if e.After.Rule(id) == nil && history[len(history)-1].groups != nil {
			c.shares[id] = append(history, shareAt{c.log.index, nil})
		}
	}
	for _, name := range sorted(c.model.services) {
		c.divided(c.model.services[name], e.After)
	}
}

// unwanted reports whether a revision is one that a deployment which shifts traffic wants
// gone, and no rule gave traffic to its groups at an index of the log, 0 for now. Tasks that
// are in no group are found in other ways.
func (c *Checker) unwanted(s *service, revision fleet.RevisionID, at uint64) bool {
	d, groups := s.deployment, s.groups[revision]
	if d == nil || d.ended || d.blue == "" || !d.config.Strategy.Shifts() || revision == d.blue ||
		!d.back && (revision == d.target || d.stage >= fleet.StageScaleUp) {
		return false
	}
	for _, history := range c.shares {
		i := len(history) - 1
		for i > 0 && at > 0 && history[i].index > at {
			i--
		}
		for _, group := range groups {
			if weightOf(history[i].groups, group) > 0 {
				return false
			}
		}
	}
	return len(groups) > 0
}

// written notes what people wrote into rules. They cannot where a live deployment holds them.
func (c *Checker) written(after *fleet.State, ids ...fleet.RuleID) {
	c.model.traffic = true
	for _, id := range ids {
		delete(c.model.wrote, id)
		if row := after.Rule(id); row != nil && row.Action.Forward != nil {
			c.model.wrote[id] = slices.Clone(row.Action.Forward.Groups)
		}
	}
}

func (c *Checker) divided(s *service, after *fleet.State) {
	v := after.Service(s.name)
	if v == nil || s.deployment == nil {
		return
	}
	d := s.deployment
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		if lb.AlternateGroup == "" || lb.ProductionRule != "" {
			continue
		}
		for row := range after.Rules() {
			wrote := c.model.wrote[row.ID]
			if row.Action.Forward == nil || wrote == nil || weightOf(wrote, lb.Group)+weightOf(wrote, lb.AlternateGroup) == 0 {
				continue
			}
			c.dividedRule(d, lb, row, wrote, after)
		}
	}
}

func (c *Checker) dividedRule(
	d *deployment, lb *fleet.LoadBalancer, row *fleet.Rule, wrote []fleet.GroupWeight, after *fleet.State,
) {
	s, groups := d.service, row.Action.Forward.Groups
	both := weightOf(groups, lb.Group) + weightOf(groups, lb.AlternateGroup)
	c.hold(weightsAddUp, both == weightOf(wrote, lb.Group)+weightOf(wrote, lb.AlternateGroup), func() string {
		return fmt.Sprintf("%s: rule %s gives %v, and people wrote %v", d.id, row.ID, groups, wrote)
	})
	if s.shifting() == d {
		points := d.production
		if row.ID == lb.TestRule {
			points = d.test
		}
		green := 0
		for _, group := range s.groups[d.target] {
			green += weightOf(groups, group)
		}
		c.hold(weightsAddUp, green == both*points/fleet.TotalWeight, func() string {
			return fmt.Sprintf("%s: rule %s gives %d of %d to %s, by the deployment it has %d basis points", d.id, row.ID, green,
				both, d.target, points)
		})
		return
	}
	if !d.ended || len(s.live) == 0 || !s.alone() {
		return
	}
	if last := after.Deployment(d.id); last == nil ||
		last.Status != fleet.DeploymentSuccessful && last.Status != fleet.DeploymentRolledBack {
		return
	}
	in := s.groups[s.revision] // none of one that was made before people gave the service groups
	c.hold(asWritten, slices.Equal(groups, wrote) && (len(in) == 0 || slices.Contains(in, lb.Group)), func() string {
		return fmt.Sprintf("%s has ended: rule %s gives %v, people wrote %v; %s is in %v", d.id, row.ID, groups, wrote,
			s.revision, in)
	})
}

// alone reports whether all tasks of a service are of its present revision.
func (s *service) alone() bool {
	for _, t := range s.live {
		if t.revision != s.revision {
			return false
		}
	}
	return true
}

func weightOf(groups []fleet.GroupWeight, name fleet.TargetGroupName) int {
	for _, w := range groups {
		if w.Group == name {
			return w.Weight
		}
	}
	return 0
}

// RoutesServed says what a host serves from now on: the shares of each rule are those that
// were committed at the index that it serves, or of a rule that has gone since.
func (c *Checker) RoutesServed(host fleet.HostID, index uint64, rules []fleet.Rule) {
	c.routes[host] = max(c.routes[host], index)
	for i := range rules {
		r := &rules[i]
		if r.Action.Forward == nil {
			continue
		}
		history := c.shares[r.ID]
		at := len(history) - 1
		for at >= 0 && history[at].index > index {
			at--
		}
		c.hold(servesShares, at >= 0 && slices.Equal(history[at].groups, r.Action.Forward.Groups), func() string {
			return fmt.Sprintf(
				"%s serves %v by rule %s at index %d, and committed were %+v",
				host,
				r.Action.Forward.Groups,
				r.ID,
				index,
				history,
			)
		})
	}
}

// forgetShares begins the history of shares anew: the log was cut.
func (c *Checker) forgetShares(s *fleet.State) {
	maps.DeleteFunc(c.shares, func(fleet.RuleID, []shareAt) bool { return true })
	for row := range s.Rules() {
		if row.Action.Forward != nil {
			c.shares[row.ID] = []shareAt{{0, slices.Clone(row.Action.Forward.Groups)}}
		}
	}
}
