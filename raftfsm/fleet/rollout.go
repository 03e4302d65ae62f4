package fleet

import (
	"cmp"
	"fmt"
	"slices"
)

// What commands do to a deployment and to what it rolls out: it begins with a new
// revision, writes the shares of the rules that it holds, goes back, and ends.

// beginDeployment makes the deployment of a service's new revision, of which the rows
// are written. Blue is what beforeDeployment said.
func (s *State) beginDeployment(x *applyContext, v *Service, blue RevisionID, sources []RevisionID) {
	d := Deployment{
		ID: MakeDeploymentID(v.Name, v.LastDeployment), Service: v.Name, Target: v.Revision, Blue: blue, Sources: sources,
		Config: v.Deployment, Status: DeploymentPending, CreatedAt: x.now,
	}
	d.Config.Strategy = cmp.Or(d.Config.Strategy, Rolling)
	for _, name := range d.Config.Alarms.Names {
		d.Alarms = append(d.Alarms, AlarmState{Name: name, Status: AlarmInsufficientData, Since: x.now})
	}
	if d.Config.Analysis != nil {
		d.Alarms = append(d.Alarms, AlarmState{Name: AnalysisAlarm, Status: AlarmInsufficientData, Since: x.now})
	}
	d.Wrote = s.sharesBefore(x, v, &d)
	s.shift(x, &d, 0, 0)
	d.WeightsIndex, d.ShiftedAt = 0, 0
	s.putDeployment(x, d)
	s.keepDeployments(x, v.Name)
}

// beforeDeployment ends the live deployment of a service, which another takes over from,
// and returns what the new one begins with: the revision that it goes back to, and those
// that have tasks. v is the service as it will be; its revision is still the old one.
func (s *State) beforeDeployment(x *applyContext, v *Service) (blue RevisionID, sources []RevisionID) {
	v.LastDeployment++
	next := MakeDeploymentID(v.Name, v.LastDeployment)
	d := s.LiveDeployment(v.Name)
	if d != nil {
		n := *d
		if n.Status == DeploymentInProgress && n.Stage == StageCleanUp {
			v.Good = n.Target
			s.endDeployment(x, &n, DeploymentSuccessful, fmt.Sprintf("%s began while it cleaned up", next))
		} else {
			s.endDeployment(x, &n, DeploymentStopped, fmt.Sprintf("replaced by %s", next))
		}
	}
	for r := range s.Revisions(v.Name) {
		if s.Counts(v.Name, r.ID).Total > 0 {
			sources = append(sources, r.ID)
		}
	}
	if blue = s.goodRevision(v); v.Good == "" && d != nil && d.Blue != "" {
		blue = d.Blue
	}
	return blue, sources
}

// goodRevision is what a service's next deployment goes back to: the target of the last
// that succeeded, or the present revision where all its tasks are healthy though no
// deployment has said so. Empty: nothing is known to be good.
func (s *State) goodRevision(v *Service) RevisionID {
	if v.Good != "" && s.Revision(v.Good) != nil {
		return v.Good
	}
	whole := s.Counts(v.Name, v.Revision).Serving >= v.Desired
	if v.Revision == "" || !whole || v.Desired == 0 && v.LastDeployment > 1 {
		return ""
	}
	return v.Revision
}

// bindGroups are the target groups of a new revision's tasks: those that blue is not in,
// where traffic is shifted between both; else those that blue is in.
func (v *Service) bindGroups(blue *Revision) []GroupBinding {
	var groups []GroupBinding
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		group := lb.Group
		if blue != nil && lb.AlternateGroup != "" && v.Deployment.Strategy.Shifts() != blue.isIn(lb.AlternateGroup) {
			group = lb.AlternateGroup
		}
		groups = append(groups, GroupBinding{Group: group, Container: lb.Container, ContainerPort: lb.ContainerPort})
	}
	return groups
}

func (r *Revision) isIn(group TargetGroupName) bool {
	return slices.ContainsFunc(r.Groups, func(b GroupBinding) bool { return b.Group == group })
}

// Holds reports whether the deployment alone may write the shares of its service's
// rules: one that shifts traffic from blue.
func (d *Deployment) Holds() bool { return d.Live() && d.Config.Strategy.Shifts() && d.Blue != "" }

// HolderOf returns the live deployment that holds a rule, or nil.
func (s *State) HolderOf(r *Rule) *Deployment {
	service, named := s.ruleUsers.Get(r.ID)
	if !named && r.Action.Forward != nil {
		for _, w := range r.Action.Forward.Groups {
			if service, named = s.groupUsers.Get(w.Group); named {
				break
			}
		}
	}
	d := s.LiveDeployment(service)
	if !named || d == nil || !d.Holds() {
		return nil
	}
	return d
}

// refuseHeld refuses people a change of shares that a live deployment writes.
func (s *State) refuseHeld(verb string, r *Rule) error {
	if d := s.HolderOf(r); d != nil {
		return refuse(ErrConflict, "%s rule %s: deployment %s holds it until it ends; stop it (skein deployment stop %s)",
			verb, r.ID, d.ID, d.ID)
	}
	return nil
}

// pair is a load balancer of a service with the groups that its revisions have of it.
type pair struct {
	lb          *LoadBalancer
	blue, green TargetGroupName
}

// pairs are the load balancers that a deployment shifts traffic of.
func (s *State) pairs(v *Service, d *Deployment) []pair {
	target := s.Revision(d.Target)
	if target == nil || d.Blue == "" || !d.Config.Strategy.Shifts() {
		return nil
	}
	var all []pair
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		switch {
		case lb.AlternateGroup == "":
		case target.isIn(lb.AlternateGroup):
			all = append(all, pair{lb, lb.Group, lb.AlternateGroup})
		default:
			all = append(all, pair{lb, lb.AlternateGroup, lb.Group})
		}
	}
	return all
}

// production yields the production rules of a load balancer.
func (s *State) production(lb *LoadBalancer) []*Rule {
	if lb.ProductionRule != "" {
		return []*Rule{s.Rule(lb.ProductionRule)}
	}
	var all []*Rule
	for r := range s.Rules() {
		if r.ID != lb.TestRule && (r.Action.forwardsTo(lb.Group) || lb.AlternateGroup != "" &&
			r.Action.forwardsTo(lb.AlternateGroup)) {
			all = append(all, r)
		}
	}
	return all
}

// sharesBefore are the shares of the rules that a new deployment holds, as people wrote
// them: those that the one before it has not given back, or what they are.
func (s *State) sharesBefore(x *applyContext, v *Service, d *Deployment) []RuleShares {
	var kept []RuleShares
	for before := range s.Deployments(v.Name) {
		if kept = before.Wrote; kept != nil {
			n := *before
			n.Wrote = nil
			s.putDeployment(x, n)
		}
		break
	}
	var all []RuleShares
	add := func(r *Rule) {
		if r == nil || r.Action.Forward == nil ||
			slices.ContainsFunc(all, func(o RuleShares) bool { return o.Rule == r.ID }) {
			return
		}
		wrote := RuleShares{r.ID, r.Action.Forward.Groups}
		for _, k := range kept {
			if k.Rule == r.ID {
				wrote = k
			}
		}
		all = append(all, wrote)
	}
	for i := range v.LoadBalancers {
		lb := &v.LoadBalancers[i]
		if lb.AlternateGroup == "" {
			continue
		}
		for _, r := range s.production(lb) {
			add(r)
		}
		if lb.TestRule != "" {
			add(s.Rule(lb.TestRule))
		}
	}
	if kept == nil && len(s.pairs(v, d)) == 0 {
		return nil // it writes none
	}
	return all
}

// shift writes the target's shares of traffic into the deployment and the rules that it
// holds.
func (s *State) shift(x *applyContext, d *Deployment, production, test int) {
	if production == d.Production && test == d.Test && d.UpdatedAt != 0 {
		return
	}
	wrote := false
	for _, p := range s.pairs(s.Service(d.Service), d) {
		for _, r := range s.production(p.lb) {
			wrote = s.divide(x, r, p, production) || wrote
		}
		if p.lb.TestRule != "" {
			wrote = s.divide(x, s.Rule(p.lb.TestRule), p, test) || wrote
		}
	}
	d.Production, d.Test = production, test
	if wrote {
		d.WeightsIndex, d.ShiftedAt = x.index, 0
	} else {
		d.ShiftedAt = x.now // no host has anything to serve for it
	}
}

// divide gives green its share of what blue and green have of a rule together. What the
// rule gives to other groups stays.
func (s *State) divide(x *applyContext, r *Rule, p pair, points int) bool {
	if r == nil || r.Action.Forward == nil {
		return false
	}
	return s.setShares(x, r, divided(r.Action.Forward.Groups, p, points))
}

func divided(groups []GroupWeight, p pair, points int) []GroupWeight {
	both := 0
	for _, w := range groups {
		if w.Group == p.blue || w.Group == p.green {
			both += w.Weight
		}
	}
	green := both * points / TotalWeight
	shares := slices.Clone(groups)
	set := func(group TargetGroupName, weight int) {
		i := slices.IndexFunc(shares, func(w GroupWeight) bool { return w.Group == group })
		switch {
		case i >= 0:
			shares[i].Weight = weight
		case weight > 0:
			shares = append(shares, GroupWeight{group, weight})
		}
	}
	set(p.blue, both-green)
	set(p.green, green)
	return shares
}

// setShares writes the shares of a rule; false where they are so already.
func (s *State) setShares(x *applyContext, r *Rule, shares []GroupWeight) bool {
	if slices.Equal(r.Action.Forward.Groups, shares) {
		return false
	}
	n := *r
	n.Action.Forward = r.Action.Forward.with(shares)
	s.putRule(x, n)
	return true
}

// endDeployment ends a deployment. One that is stopped gives traffic back to blue, and
// what people wrote back to the rules where blue is where they sent traffic.
func (s *State) endDeployment(x *applyContext, d *Deployment, status DeploymentStatus, reason string) {
	s.endRuns(x, d, reason)
	if status == DeploymentStopped {
		s.shift(x, d, 0, 0)
		if d.Blue != "" && s.atHome(d.Service, d.Blue) {
			s.restoreShares(x, d)
		}
	}
	d.leave(reason, x.now)
	d.Status, d.Reason, d.EndedAt, d.Pause = status, clip(reason, MaxReason), x.now, nil
	for i := range d.Hooks {
		d.Hooks[i].Details = nil
	}
	s.putDeployment(x, *d)
}

// atHome reports whether a revision's tasks are in the groups that traffic goes to as
// people wrote it, not in the alternate ones.
func (s *State) atHome(service string, id RevisionID) bool {
	r, v := s.Revision(id), s.Service(service)
	return r != nil && !slices.ContainsFunc(v.LoadBalancers, func(lb LoadBalancer) bool {
		return lb.AlternateGroup != "" && r.isIn(lb.AlternateGroup)
	})
}

// restoreShares gives the rules that a deployment held what people wrote, with one
// difference: production goes to the main group, since the alternate one is empty.
func (s *State) restoreShares(x *applyContext, d *Deployment) {
	v := s.Service(d.Service)
	for _, wrote := range d.Wrote {
		r := s.Rule(wrote.Rule)
		if r == nil || r.Action.Forward == nil {
			continue
		}
		shares := wrote.Groups
		for i := range v.LoadBalancers {
			if lb := &v.LoadBalancers[i]; lb.AlternateGroup != "" && lb.TestRule != r.ID {
				shares = divided(shares, pair{lb, lb.Group, lb.AlternateGroup}, 0)
			}
		}
		if s.checkWeights("", s.Listener(r.Listener).Protocol, shares) == nil { // else a group is gone
			s.setShares(x, r, shares)
		}
	}
	d.Wrote = nil
}

// goBack begins a rollback. Without a revision to go back to, the deployment has failed.
func (s *State) goBack(x *applyContext, d *Deployment, reason string) {
	reason = clip(reason, MaxReason)
	d.Rollback = &Rollback{Reason: reason, StartedAt: x.now, Revision: d.Blue, By: clip(x.item.By, MaxID)}
	if d.Blue == "" || s.Revision(d.Blue) == nil {
		s.endDeployment(x, d, DeploymentRollbackFailed, reason+"; there is no revision to go back to")
		return
	}
	s.endRuns(x, d, reason)
	s.shift(x, d, 0, 0)
	d.leave(reason, x.now)
	d.Status, d.Reason, d.Pause = DeploymentRollingBack, reason, nil
	s.putDeployment(x, *d)
	s.returnTo(x, d.Service, d.Blue)
}

// returnTo makes a former revision a service's present one again.
func (s *State) returnTo(x *applyContext, service string, revision RevisionID) {
	old := s.Service(service)
	if old.Revision == revision || s.Revision(revision) == nil {
		return
	}
	v := *old
	v.Revision, v.UpdatedAt = revision, x.now
	v.Failures, v.NotBefore, v.LastFailure = 0, 0, ""
	s.putService(x, v)
}

// settle makes one revision's groups those that people wrote, once it alone has tasks:
// it, and its tasks, change from the alternate groups to the main ones, and the rules
// with them, so that every host sees both at once.
func (s *State) settle(x *applyContext, d *Deployment, id RevisionID) {
	if d.Wrote == nil || s.Counts(d.Service, "").Total > s.Counts(d.Service, id).Total {
		return
	}
	s.rebind(x, s.Service(d.Service), s.Revision(id))
	s.restoreShares(x, d)
	d.WeightsIndex = x.index
}

// rebind takes a revision and its tasks from alternate groups to the main ones. What is
// known of them as targets stays.
func (s *State) rebind(x *applyContext, v *Service, old *Revision) {
	home := map[TargetGroupName]TargetGroupName{}
	for i := range v.LoadBalancers {
		if lb := &v.LoadBalancers[i]; lb.AlternateGroup != "" && old.isIn(lb.AlternateGroup) {
			home[lb.AlternateGroup] = lb.Group
		}
	}
	if len(home) == 0 {
		return
	}
	r := *old
	r.ModifyIndex = x.index
	r.Groups = slices.Clone(old.Groups)
	for i := range r.Groups {
		if to := home[r.Groups[i].Group]; to != "" {
			r.Groups[i].Group = to
		}
	}
	s.revisions.Set(itemOfRevision(&r))
	for _, t := range slices.Collect(s.LiveTasksOfService(v.Name)) {
		if t.Revision != r.ID {
			continue
		}
		n := *t
		n.Targets = slices.Clone(t.Targets)
		for i := range n.Targets {
			if to := home[n.Targets[i].Group]; to != "" {
				n.Targets[i].Group = to
			}
		}
		s.putTask(x, n)
	}
}

// keepDeployments removes the oldest deployments of a service, and of the fleet, where
// there are too many.
func (s *State) keepDeployments(x *applyContext, service string) {
	n := 0
	var over []*Deployment
	for d := range s.Deployments(service) {
		if n++; n > MaxServiceDeployments && !d.Live() {
			over = append(over, d)
		}
	}
	for _, d := range over {
		s.removeDeployment(x, d)
	}
	for s.deployments.Len() > MaxDeployments {
		oldest, ok := s.endedDeployments.Min()
		if !ok {
			return
		}
		s.removeDeployment(x, oldest)
	}
}
