package deploy

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"skein/agent/deployment"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// inputs is all that is decided by about one deployment, gathered from State once.
type inputs struct {
	now        fleet.Time
	deployment *fleet.Deployment
	service    *fleet.Service
	stand      *fleet.Goals // nil: none
	target     revision
	blue       revision   // zero: there is none
	rest       []revision // other revisions with tasks, in the order of their numbers
	hooks      []hook     // that have no verdict yet
	leaderAge  time.Duration
	alarms     []alarm // in the order of the deployment's
	served     bool    // by every host that is not known to be dead, the weights of the deployment
	missing    []fleet.HostID
	traffic    seen
	failures   func() int                  // of the target's tasks in a row; it may look at all tasks of the service
	stands     func() bool                 // the target may be left alone: see fleet.State.MayCleanUp; as failures
	idle       func(fleet.RevisionID) bool // no host gives its tasks traffic; it looks at all rules
	mayGoBack  bool                        // see fleet.State.MayRollBack
	testRules  bool                        // there is one, or no balancer at all: then weights are only numbers
	probe      func() ([]byte, error)
	newID      func() fleet.TaskID
}

// revision is a revision with its tasks.
type revision struct {
	id fleet.RevisionID
	fleet.Counts
}

// present are tasks that are to run and reachable, or not placed yet.
func (r revision) present() int { return r.Pending + r.Running }

// hook is a call of a hook that has no verdict, with what is known of it.
type hook struct {
	run    *fleet.HookRun
	config *fleet.Hook   // nil: the probe
	effect *fleet.Effect // the newest call; nil: none, or forgotten
	task   *fleet.Task   // nil: none, or forgotten
	code   *int          // that the task ended with; nil: it has not, or nobody knows
}

// alarm is an alarm that the deployment names.
type alarm struct {
	state  *fleet.AlarmState
	row    *fleet.Alarm  // nil: there is no such alarm
	effect *fleet.Effect // the question under way; nil: none, or forgotten
}

// seen is what ingress counted of both revisions over the window of the analysis.
type seen struct {
	known        bool // it is no older than staleTraffic
	beyond       bool // nobody is asked, since too many groups are to be watched
	target, blue fleet.TrafficCounts
	// unserved are those of target's that its groups had no target for. Each is a failure.
	unserved uint64
}

func (n *inputs) shifts() bool { return n.deployment.Config.Strategy.Shifts() }

// left is how many tasks there are of revisions other than the target and blue, wherever
// they are.
func (n *inputs) left() int {
	sum := 0
	for _, r := range n.rest {
		sum += r.Total
	}
	return sum
}

// before is how many tasks there are of all revisions but the target.
func (n *inputs) before() int { return n.left() + n.blue.Total }

// gather reads what is decided by.
func (p *planner) gather(d *fleet.Deployment, service *fleet.Service) *inputs {
	s := p.in.State
	n := &inputs{
		now: p.in.Now, deployment: d, service: service, stand: s.Goals(service.Name), newID: p.in.NewID,
		target: p.revision(service, d.Target), blue: p.revision(service, d.Blue), rest: p.otherRevisions(service, d),
		testRules: len(service.LoadBalancers) == 0, leaderAge: p.in.Liveness.LeaderAge,
	}
	for i := range service.LoadBalancers {
		n.testRules = n.testRules || service.LoadBalancers[i].TestRule != ""
	}
	for i := range d.Hooks {
		if r := &d.Hooks[i]; r.Open() {
			n.hooks = append(n.hooks, hookOf(s, d, r))
		}
	}
	for i := range d.Alarms {
		a := &d.Alarms[i]
		n.alarms = append(n.alarms, alarm{state: a, row: s.Alarm(a.Name), effect: s.Effect(a.Effect)})
	}
	if unshifted(d) {
		n.served = p.routes() >= d.WeightsIndex
		if !n.served {
			n.missing = p.in.RoutesServed(d.WeightsIndex).Missing
		}
	}
	n.traffic = p.traffic(d)
	n.failures = func() int { return s.BreakerFailures(d) }
	n.stands = func() bool { return s.MayCleanUp(d, p.in.Now) }
	n.idle = p.idle
	n.mayGoBack = s.MayRollBack(d)
	n.probe = func() ([]byte, error) { return probeInput(s, service, d) }
	return n
}

func hookOf(s *fleet.State, d *fleet.Deployment, r *fleet.HookRun) hook {
	h := hook{run: r, config: d.Config.Hook(r.Hook), effect: s.Effect(r.Effect), task: s.Task(r.Task)}
	if h.task != nil && h.task.Stopped() {
		h.code = exitCode(h.task, s.TaskDef(h.task.TaskDef))
	}
	return h
}

func (p *planner) revision(service *fleet.Service, id fleet.RevisionID) revision {
	if id == "" {
		return revision{}
	}
	return revision{id, p.in.State.CountsAt(service.Name, id, p.in.Now)}
}

func (p *planner) otherRevisions(service *fleet.Service, d *fleet.Deployment) (all []revision) {
	for id := range p.in.State.LiveRevisions(service.Name) {
		if d == nil || id != d.Target && id != d.Blue {
			all = append(all, p.revision(service, id))
		}
	}
	slices.SortFunc(all, func(a, b revision) int { return cmp.Compare(number(a.id), number(b.id)) })
	return all
}

func number(id fleet.RevisionID) int {
	_, n := id.Split()
	return n
}

// unshifted reports whether hosts may still serve the weights before those of the
// deployment.
func unshifted(d *fleet.Deployment) bool {
	return d.WeightsIndex != 0 && d.ShiftedAt == 0
}

// routes is up to which index of the log every host that is not known to be dead serves
// routes.
func (p *planner) routes() uint64 {
	if p.lowest == nil {
		lowest := p.in.RoutesServedByAll()
		p.lowest = &lowest
	}
	return *p.lowest
}

// idle reports whether no rule that a host may still serve gives traffic to a revision.
func (p *planner) idle(id fleet.RevisionID) bool {
	row := p.in.State.Revision(id)
	if row == nil {
		return false
	}
	since, unrouted := p.in.State.Unrouted(row)
	return unrouted && p.routes() >= since
}

// traffic is what ingress counted of both revisions in their groups.
func (p *planner) traffic(d *fleet.Deployment) (all seen) {
	a := d.Config.Analysis
	if a == nil || d.Status != fleet.DeploymentInProgress {
		return seen{}
	}
	all.beyond = p.beyond(d)
	all.target, all.known = p.counted(d.Target, a)
	all.blue, _ = p.counted(d.Blue, a)
	target, blue := p.unserved(d)
	all.target.Add(target)
	all.blue.Add(blue)
	all.unserved = target.Requests
	return all
}

// beyond reports whether groups of a deployment are too many to be watched: see Plan.Watch.
func (p *planner) beyond(d *fleet.Deployment) bool {
	if len(p.out.Watch) <= plan.MaxWatched {
		return false
	}
	if p.watched == nil {
		p.watched = slices.Clone(p.out.Watch)
		slices.Sort(p.watched)
		p.watched = slices.Compact(p.watched)
	}
	if len(p.watched) <= plan.MaxWatched {
		return false
	}
	last := p.watched[plan.MaxWatched-1]
	return slices.ContainsFunc(watches(p.in.State, d), func(g fleet.TargetGroupName) bool { return g > last })
}

// pointsApart is how much longer than asked for what is counted may look back, with room.
const pointsApart = 3 * time.Second

// unserved is what was counted of requests for which the groups of a revision had no target:
// a version all of whose tasks have gone fails its clients, and must not be judged by their
// silence. Until the target is scaled up nobody can expect it to serve. A group that both
// revisions have is the target's, which alone has tasks there by then.
func (p *planner) unserved(d *fleet.Deployment) (target, blue fleet.TrafficCounts) {
	var scaled fleet.Time
	for _, r := range d.Stages {
		if r.Stage == fleet.StageScaleUp {
			scaled = r.EndedAt
		}
	}
	window := min(seconds(d.Config.Analysis.WindowS), p.in.Now.Sub(scaled)-pointsApart)
	if scaled == 0 || window <= 0 {
		return target, blue
	}
	own := map[fleet.TargetGroupName]bool{}
	for _, side := range []struct {
		id  fleet.RevisionID
		sum *fleet.TrafficCounts
	}{{d.Target, &target}, {d.Blue, &blue}} {
		row := p.in.State.Revision(side.id)
		if row == nil {
			continue
		}
		for _, g := range row.Groups {
			if w := p.in.Traffic.Unserved(g.Group, window); !own[g.Group] && w.Age < staleTraffic {
				side.sum.Add(w.TrafficCounts)
			}
			own[g.Group] = true
		}
	}
	return target, blue
}

func (p *planner) counted(id fleet.RevisionID, a *fleet.Analysis) (sum fleet.TrafficCounts, known bool) {
	row := p.in.State.Revision(id)
	if row == nil {
		return sum, false
	}
	for _, g := range row.Groups {
		w := p.in.Traffic.Over(g.Group, id, seconds(a.WindowS))
		if w.Over > 0 && w.Age < staleTraffic {
			known = true
			sum.Add(w.TrafficCounts)
		}
	}
	return sum, known
}

// watches are the target groups of a deployment whose traffic, or whose weights, matter.
func watches(s *fleet.State, d *fleet.Deployment) []fleet.TargetGroupName {
	if d.Stage < fleet.StageScaleUp || d.Stage == fleet.StageCleanUp || d.Config.Analysis == nil && !unshifted(d) {
		return nil
	}
	var groups []fleet.TargetGroupName
	for _, id := range []fleet.RevisionID{d.Target, d.Blue} {
		if row := s.Revision(id); row != nil {
			for _, g := range row.Groups {
				groups = append(groups, g.Group)
			}
		}
	}
	return groups
}

// probeInput is what the probe asks for, by the first test rule that the service has.
func probeInput(s *fleet.State, service *fleet.Service, d *fleet.Deployment) ([]byte, error) {
	for i := range service.LoadBalancers {
		rule := s.Rule(service.LoadBalancers[i].TestRule)
		if rule == nil {
			continue
		}
		return deployment.ProbeInput(d.Config.Probe, s.Listener(rule.Listener), rule)
	}
	return nil, errors.New("there is no test rule")
}
