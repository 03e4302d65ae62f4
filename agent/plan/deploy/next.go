package deploy

import (
	"fmt"
	"slices"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in decisions and waits.
const By = "deploy"

// The codes of what a deployment waits for.
const (
	codeTasks  = plan.CodeDeployTasks
	codeRoutes = plan.CodeDeployRoutes
	codeHook   = plan.CodeDeployHook
	codePerson = plan.CodeDeployPerson
	codeAlarm  = plan.CodeDeployAlarm
	codeTime   = plan.CodeDeployTime
)

// Next plans the deployments of the services in scope, in the order of their names, and
// those for which something was seen that State does not say yet: routes that hosts serve,
// traffic, tasks of hooks that have ended.
//
// Equal inputs give equal plans.
func Next(in plan.Input) plan.Plan {
	p := planner{in: in}
	p.run()
	return p.out
}

type planner struct {
	in     plan.Input
	out    plan.Plan
	lowest *uint64 // see routes
	// watched are all groups to watch, sorted; nil: not asked for yet.
	watched []fleet.TargetGroupName
}

func (p *planner) run() {
	names := p.names()
	for i, name := range names {
		if p.out.Full() {
			if p.in.Scope.Full {
				p.out.Next = names[i]
			}
			return
		}
		p.out.Visited++
		p.visit(name)
	}
}

// names are the services to visit, sorted. All live deployments are looked at for it, and
// for the groups that they watch.
func (p *planner) names() (names []string) {
	scope := p.in.Scope
	names = append(names, scope.Services()...)
	if scope.Full {
		for v := range p.in.State.Services() {
			if v.Name >= scope.From && v.LastDeployment > 0 {
				names = append(names, v.Name)
			}
		}
	}
	for d := range p.in.State.LiveDeployments() {
		p.out.Watch = append(p.out.Watch, watches(p.in.State, d)...)
		if p.seen(d) {
			names = append(names, d.Service)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// seen reports whether there may be something to decide about a deployment though nothing
// in its service's rows changed.
func (p *planner) seen(d *fleet.Deployment) bool {
	if unshifted(d) && p.routes() >= d.WeightsIndex || d.Config.Analysis != nil {
		return true
	}
	for i := range d.Hooks {
		r := &d.Hooks[i]
		if !r.Open() || r.Task == "" {
			continue
		}
		if t := p.in.State.Task(r.Task); t == nil || t.Stopped() {
			return true
		}
	}
	return false
}

func (p *planner) visit(name string) {
	service := p.in.State.Service(name)
	if service == nil {
		return
	}
	d := p.in.State.LiveDeployment(name)
	if d == nil || service.Status != fleet.ServiceActive {
		p.rest(service)
		return
	}
	n := p.gather(d, service)
	next := decide(n)
	if next.stalls {
		p.put(n.stopped(), service)
	} else {
		p.put(n.goals(), service)
	}
	p.carryOut(n, next)
}

// rest is about a service of which no deployment is under way. One that ended with its
// target as what the service is of, and without success, leaves it as it is.
func (p *planner) rest(service *fleet.Service) {
	subject := fleet.ServiceSubject(service.Name)
	d := p.in.State.StalledDeployment(service)
	if d == nil || service.Status != fleet.ServiceActive {
		p.out.ClearCondition(p.in, By, subject)
		return
	}
	p.put(p.gather(d, service).stopped(), service)
	p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeDeployStopped, Message: fmt.Sprintf(
		"%s is %s: %s; no task of %s starts until the next deployment", d.ID, d.Status, d.Reason, d.Target)})
}

// put puts goals, unless they stand.
func (p *planner) put(goals fleet.PutGoals, service *fleet.Service) {
	if stand := p.in.State.Goals(service.Name); stand == nil || stand.By != By || !stand.Say(goals) {
		p.out.Add(fleet.Item{Command: goals, By: By})
	}
}

func (p *planner) carryOut(n *inputs, d decision) {
	subject := fleet.ServiceSubject(n.service.Name)
	if d.command != nil {
		p.out.Add(fleet.Item{Command: d.command, By: By})
	}
	for _, at := range d.wakes {
		p.out.WakeAt(at, subject)
	}
	_, ends := d.command.(fleet.FinishDeployment)
	switch {
	case d.command != nil && !ends: // what it waits for is said by the next pass
	case ends || d.waits == nil:
		p.out.ClearCondition(p.in, By, subject)
	case p.in.Now < d.waits.after:
		p.out.WakeAt(d.waits.after, subject)
	default:
		say := p.out.SetCondition
		if d.waits.counts {
			say = p.out.SetConditionCounts
		}
		say(p.in, By, fleet.PutCondition{Subject: subject, Code: d.waits.code, Message: d.waits.message})
	}
}

// startedBy is how the task of a hook shows who started it. Source: ECS API, RunTask.
func startedBy(d *fleet.Deployment) string {
	const most = 128
	id := string(d.ID)
	return "deployment " + id[max(0, len(id)-most+len("deployment ")):]
}
