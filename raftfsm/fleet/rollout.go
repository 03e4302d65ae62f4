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
	d.Wrote = s.sharesBefore(v, &d)
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

// Unrouted reports whether no rule gives traffic to any target group that a revision's
// tasks are in, and since which index of the log. Tasks that are in no group are found in
// other ways. O(rules).
func (s *State) Unrouted(r *Revision) (since uint64, yes bool) {
	for _, b := range r.Groups {
		for rule := range s.RulesTo(b.Group) {
			for _, w := range rule.Action.Forward.Groups {
				if w.Group == b.Group && w.Weight > 0 {
					return 0, false
				}
			}
			since = max(since, rule.ModifyIndex)
		}
	}
	return since, len(r.Groups) > 0
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

// sharesBefore are the shares of the rules that a new deployment writes, as people wrote
// them.
func (s *State) sharesBefore(v *Service, d *Deployment) []RuleShares {
	var all []RuleShares
	add := func(r *Rule) {
		if r != nil && r.Action.Forward != nil &&
			!slices.ContainsFunc(all, func(o RuleShares) bool { return o.Rule == r.ID }) {
			all = append(all, RuleShares{r.ID, r.Action.Forward.Groups})
		}
	}
	for _, p := range s.pairs(v, d) {
		for _, r := range s.production(p.lb) {
			add(r)
		}
		if p.lb.TestRule != "" {
			add(s.Rule(p.lb.TestRule))
		}
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

// endDeployment ends a deployment. The revision that serves from now on, blue but where
// the target took its place, is in the groups that people sent traffic to, and rules have
// again what people wrote.
func (s *State) endDeployment(x *applyContext, d *Deployment, status DeploymentStatus, reason string) {
	s.endRuns(x, d, reason)
	serves := d.serves()
	if serves != d.Target && serves != "" {
		s.shift(x, d, 0, 0)
	}
	s.settle(x, d, serves)
	d.leave(reason, x.now)
	d.Status, d.Reason, d.EndedAt, d.Pause = status, clip(reason, MaxReason), x.now, nil
	for i := range d.Hooks {
		d.Hooks[i].Details = nil
	}
	s.putDeployment(x, *d)
	if d.Config.Strategy.Shifts() && (status == DeploymentSuccessful || d.Blue != "") {
		s.goals.Delete(d.Service) // they were for two revisions, and one alone is left
	}
}

// serves is the revision that has the traffic of a live deployment if it ends now: the
// target once it cleans up, since blue goes then.
func (d *Deployment) serves() RevisionID {
	if d.Stage == StageCleanUp && d.Status == DeploymentInProgress {
		return d.Target
	}
	return d.Blue
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
		const nothing = "; there is no revision to go back to, since no deployment of the service has succeeded yet"
		s.endDeployment(x, d, DeploymentRollbackFailed, clip(reason, MaxReason-len(nothing))+nothing)
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

// settle brings the revision that serves into the groups that people sent traffic to, and
// gives rules what people wrote, all at once, so that every host sees both together.
func (s *State) settle(x *applyContext, d *Deployment, id RevisionID) {
	if d.Wrote == nil {
		return
	}
	s.bringHome(x, s.Service(d.Service), s.Revision(id))
	s.restoreShares(x, d)
	d.WeightsIndex = x.index
}

// bringHome takes a revision that is in alternate groups to the main ones. What other
// revisions still have there, which stops, changes places with it: no group has tasks of
// two. What is known of tasks as targets stays.
func (s *State) bringHome(x *applyContext, v *Service, r *Revision) {
	to := map[TargetGroupName]TargetGroupName{}
	for i := range v.LoadBalancers {
		if lb := &v.LoadBalancers[i]; lb.AlternateGroup != "" && r.isIn(lb.AlternateGroup) {
			to[lb.AlternateGroup], to[lb.Group] = lb.Group, lb.AlternateGroup
		}
	}
	if len(to) == 0 {
		return
	}
	s.rebindRevision(x, r, to)
	for id := range s.LiveRevisions(v.Name) {
		if id != r.ID {
			s.rebindRevision(x, s.Revision(id), to)
		}
	}
	s.rebindTasks(x, v.Name, to)
}

func (s *State) rebindRevision(x *applyContext, old *Revision, to map[TargetGroupName]TargetGroupName) {
	r := *old
	r.ModifyIndex = x.index
	r.Groups = slices.Clone(old.Groups)
	for i := range r.Groups {
		if group := to[r.Groups[i].Group]; group != "" {
			r.Groups[i].Group = group
		}
	}
	s.revisions.Set(itemOfRevision(&r))
}

// rebindTasks takes a service's tasks from groups to others, host by host.
func (s *State) rebindTasks(x *applyContext, service string, to map[TargetGroupName]TargetGroupName) {
	var olds, rows []*Task
	for old := range s.LiveTasksOfService(service) {
		if slices.ContainsFunc(old.Targets, func(v TaskTarget) bool { return to[v.Group] != "" }) {
			olds = append(olds, old)
		}
	}
	slices.SortFunc(olds, func(a, b *Task) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.TaskDef, b.TaskDef), cmp.Compare(a.ID, b.ID))
	})
	for _, old := range olds {
		t := *old
		t.Targets = slices.Clone(old.Targets)
		for i := range t.Targets {
			if group := to[t.Targets[i].Group]; group != "" {
				t.Targets[i].Group = group
			}
		}
		rows = append(rows, &t)
	}
	for from, until := 0, 0; from < len(olds); from = until {
		for until < len(olds) && olds[until].Host == olds[from].Host && olds[until].TaskDef == olds[from].TaskDef {
			until++
		}
		s.putRun(x, olds[from:until], rows[from:until])
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
		oldest := s.oldestReplaced()
		if oldest == nil {
			return
		}
		s.removeDeployment(x, oldest)
	}
}

// oldestReplaced is the deployment that ended first of those that are not the newest of
// their service, or nil: the newest says whether tasks of its target may start.
func (s *State) oldestReplaced() (oldest *Deployment) {
	s.endedDeployments.Scan(func(d *Deployment) bool {
		if s.LastDeployment(d.Service) != d {
			oldest = d
		}
		return oldest == nil
	})
	return oldest
}
