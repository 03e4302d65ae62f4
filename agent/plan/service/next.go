package service

import (
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in decisions and waits.
const By = "service"

const (
	// MaxCreateRun bounds the ids of one CreateTasks: 160 KiB of ids.
	MaxCreateRun = fleet.MaxRun
	// MaxStopRun bounds the tasks of one StopTasks that expects generations: one
	// row that moved refuses the whole run, which is then planned again.
	MaxStopRun = 64
)

// Next plans the tasks of the services in scope, in the order of their names.
//
//   - No commands and no conditions means that every service is steady.
//   - It has no error: a State that breaks an invariant is a bug.
//
// Equal inputs give equal plans. Source: ECS API,
// DeploymentConfiguration; cmd/skein/DESIGN.md "Counts".
func Next(in plan.Input) plan.Plan { return new(Index).Next(in) }

// run visits the services in scope.
func (p *planner) run() {
	in := p.in
	for _, name := range in.Scope.Services() {
		if in.Scope.Full && name >= in.Scope.From {
			break
		}
		if !p.next(in.State.Service(name)) {
			return
		}
	}
	if !in.Scope.Full {
		return
	}
	for service := range in.State.Services() {
		if service.Name >= in.Scope.From && !p.next(service) {
			break
		}
	}
}

// next visits a service, nil for one that is gone; false says that the plan is
// full, and where the next one goes on.
func (p *planner) next(service *fleet.Service) bool {
	if service == nil {
		return true
	}
	if !p.out.Full() {
		p.out.Visited++
		p.visit(service)
	}
	if p.out.More {
		p.out.Next = service.Name
	}
	return !p.out.More
}

type planner struct {
	in    plan.Input
	out   plan.Plan
	index *Index
}

func (p *planner) visit(service *fleet.Service) {
	if service.Status == fleet.ServiceDraining {
		p.drain(service)
		return
	}
	goals := p.goals(service)
	if goals == nil {
		return
	}
	if usual(service, goals) && Steady(p.in.State, service) {
		p.index.drop(service.Name)
		return
	}
	n := inputsOf(p.in.State, service, goals, p.in.Now)
	m := decide(n)
	if m.stops() > 0 {
		p.stop(service, goals, p.index.of(p.in, service, goals), m)
	}
	for i, r := range n.revisions {
		p.create(service, r, m.revisions[i])
	}
	p.explain(service, goals, n, m)
	p.comeBack(service, n)
}

// Steady reports whether a service is as it should be and this planner has said so:
// as many healthy tasks run as are desired, all of the newest revision. Tasks that
// are stopping do not count. It reads counts alone, so that an event about one task
// of a large service costs nothing.
func Steady(s *fleet.State, service *fleet.Service) bool {
	all, current := s.Counts(service.Name, ""), s.Counts(service.Name, service.Revision)
	if service.Status != fleet.ServiceActive || all.Pending > 0 || all.ToReplace > 0 || all.Running != service.Desired ||
		current.Running != service.Desired {
		return false
	}
	revision := s.Revision(service.Revision)
	if revision == nil {
		return false
	}
	if def := s.TaskDef(revision.TaskDef); def == nil || def.Checked() && current.Healthy != service.Desired {
		return false
	}
	return s.Condition(fleet.ServiceSubject(service.Name), By) == nil
}

// drain stops what is left of a deleted service, wherever it is.
func (p *planner) drain(service *fleet.Service) {
	var left []*fleet.Task
	for task := range p.in.State.LiveTasksOfService(service.Name) {
		if task.Desired == fleet.TaskRunning {
			left = append(left, task)
		}
	}
	p.stopRuns(left, fleet.CauseScaleIn, "service "+service.Name+" was deleted", false)
	p.out.ClearCondition(p.in, By, fleet.ServiceSubject(service.Name))
}

func (p *planner) stop(service *fleet.Service, goals *fleet.Goals, t *serviceTasks, m adjustments) {
	for i, a := range m.revisions {
		if goals.Revisions[i].Idle {
			idle := t.takeOf(i, a.stops(), kindUnplaced, kindPending, kindStarting, kindUnhealthy, kindHealthy)
			p.stopRuns(idle, fleet.CauseRollout, "replaced by revision "+string(service.Revision), true)
			continue
		}
		scaled := surplus(goals, i)
		coming := t.takeOf(i, a.stopComing, kindUnplaced, kindPending, kindStarting)
		p.stopRuns(coming, fleet.CauseScaleIn, scaled, true)
		unhealthy := t.takeOf(i, a.stopUnhealthy, kindUnhealthy)
		p.stopRuns(unhealthy, fleet.CauseTaskFailed, "unhealthy, and replaced", true)
		p.stopRuns(t.takeOf(i, a.stopHealthy, kindHealthy), fleet.CauseScaleIn, scaled, true)
	}
	pending := t.takeOld(m.stopPending, oldPending)
	for i := range m.revisions {
		pending = append(pending, t.takeOf(i, m.stopPending-len(pending), oldPending)...)
	}
	p.stopOld(service, goals, pending, "replaced by ", " before it ran")
	replaced := t.takeOld(m.stopOld, oldUnhealthy, oldStarting, oldHealthy)
	for i, a := range m.revisions {
		replaced = append(replaced, t.takeOf(i, a.stopMoving, oldUnhealthy, oldStarting, oldHealthy)...)
	}
	p.stopOld(service, goals, replaced, "replaced by ", "")
	noRoom := bounds(service, goals) + " leaves no room to start its replacement first"
	for i, a := range m.revisions {
		unhealthy := t.takeOf(i, a.stopUnhealthyFirst, kindUnhealthy)
		p.stopRuns(unhealthy, fleet.CauseTaskFailed, "unhealthy; "+noRoom, true)
	}
	first := t.takeOld(m.stopOldFirst, oldUnhealthy, oldStarting, oldHealthy)
	p.stopOld(service, goals, first, "makes way for ", ": "+noRoom)
}

// surplus says why tasks of a revision in the goals are too many.
func surplus(goals *fleet.Goals, i int) string {
	of := goals.Service
	if len(goals.Revisions) > 1 {
		of = string(goals.Revisions[i].Revision)
	}
	return fmt.Sprintf("surplus: %d tasks of %s are wanted", goals.Revisions[i].Desired, of)
}

// bounds says what bounds a service's tasks from above.
func bounds(service *fleet.Service, goals *fleet.Goals) string {
	if usual(service, goals) {
		return fmt.Sprintf("maximumPercent %d of %d", service.MaxPercent, service.Desired)
	}
	return fmt.Sprintf("the bound of %s (%d tasks)", goals.By, goals.Max)
}

// stopOld stops tasks that others replace, each for its own cause: those of a revision
// that is not wanted for the roll-out, the others for that of their standing.
func (p *planner) stopOld(service *fleet.Service, goals *fleet.Goals, tasks []*fleet.Task, before, after string) {
	for cause := fleet.CauseOperator; cause.Known(); cause++ {
		var run []*fleet.Task
		for _, task := range tasks {
			if replacedFor(goals, task) == cause {
				run = append(run, task)
			}
		}
		by := "revision " + string(service.Revision)
		if cause != fleet.CauseRollout {
			by = "another task (" + cause.String() + ")"
		}
		p.stopRuns(run, cause, before+by+after, true)
	}
}

// replacedFor is why others replace a task.
func replacedFor(goals *fleet.Goals, task *fleet.Task) fleet.Cause {
	if _, listed := goals.Of(task.Revision); !listed || task.Replace == nil {
		return fleet.CauseRollout
	}
	return task.Replace.Cause
}

func (p *planner) stopRuns(tasks []*fleet.Task, cause fleet.Cause, reason string, expect bool) {
	for _, task := range tasks {
		p.index.taken = append(p.index.taken, task.ID)
	}
	for len(tasks) > 0 && !p.out.Full() {
		run := tasks[:min(len(tasks), MaxStopRun)]
		tasks = tasks[len(run):]
		c := fleet.StopTasks{Cause: cause, Reason: reason}
		for _, task := range run {
			c.Tasks = append(c.Tasks, task.ID)
			if expect {
				c.ExpectedModifyIndex = append(c.ExpectedModifyIndex, task.ModifyIndex)
			}
		}
		p.out.Add(fleet.Item{Command: c, By: By})
	}
}

func (p *planner) create(service *fleet.Service, r revisionInputs, a revisionAdjustments) {
	for left := a.create; left > 0 && !p.out.Full(); {
		c := fleet.CreateTasks{
			Revision: r.goal.Revision, Tasks: make([]fleet.TaskID, min(left, MaxCreateRun, p.out.TasksLeft())),
		}
		for i := range c.Tasks {
			c.Tasks[i] = p.in.NewID()
		}
		left -= len(c.Tasks)
		p.out.AddTasks(len(c.Tasks))
		p.out.Add(fleet.Item{Command: c, By: By,
			Reason: fmt.Sprintf("%s: started %d of %s; %d of %d were healthy or starting",
				service.Name, len(c.Tasks), r.goal.Revision, r.current.healthy+r.current.coming()-a.stopComing, r.goal.Desired)})
	}
}

// explain says why the service is not as it should be, or that it is.
func (p *planner) explain(service *fleet.Service, goals *fleet.Goals, n inputs, m adjustments) {
	subject := fleet.ServiceSubject(service.Name)
	failed, over := p.in.State.FailedStarts(service, p.in.Now)
	other := p.backingOff(service, n)
	desired := n.desired()
	met := n.missing() == 0 && n.present() == desired
	switch {
	case m.stuck:
		p.out.SetCondition(p.in, By, fleet.PutCondition{
			Subject: subject, Code: plan.CodeStuck, Message: stuckMessage(service, goals, n),
		})
	case met && !usual(service, goals):
		p.out.ClearCondition(p.in, By, subject) // whether it is steady is for that planner to say
	case met:
		p.out.EndCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeSteady,
			Message: fmt.Sprintf("%s has reached a steady state: %d of %d tasks of %s run",
				service.Name, desired, desired, service.Revision)})
	case n.cutOff > 0 && n.current.healthy+n.current.coming() < desired:
		p.out.SetCondition(p.in, By, cutOffCondition(service, n))
	case failed > 0:
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeBackOff,
			Message: backOffMessage(service), Until: service.NotBefore})
		if over > 0 {
			p.out.WakeAt(over, subject) // it says something else once the newest starts last
		}
	case other != nil:
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeBackOff,
			Message: fmt.Sprintf("unable to consistently start tasks of %s (failures in a row: %d), last: %s; next try at %s",
				other.ID, other.Starts.Failures, other.Starts.LastFailure, other.Starts.NotBefore.Std().Format(time.RFC3339)),
			Until: other.Starts.NotBefore})
	default:
		p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeStarting,
			Message: fmt.Sprintf("tasks of %s are starting or being replaced", service.Revision)})
	}
}

// backingOff is a revision that lacks tasks and is not started yet, other than the service's
// current one. It is looked at again when it may be.
func (p *planner) backingOff(service *fleet.Service, n inputs) (waits *fleet.Revision) {
	for _, r := range n.revisions {
		if r.backOff && r.goal.Revision != service.Revision && r.missing() > 0 {
			waits = p.in.State.Revision(r.goal.Revision)
			p.out.WakeAt(waits.Starts.NotBefore, fleet.ServiceSubject(service.Name))
		}
	}
	return waits
}

func stuckMessage(service *fleet.Service, goals *fleet.Goals, n inputs) string {
	if !usual(service, goals) {
		return fmt.Sprintf("unable to start or stop tasks: %s allows no more, minimumHealthyPercent %d keeps %d; "+
			"lower minimumHealthyPercent", bounds(service, goals), service.MinPercent, n.minHealthy)
	}
	return fmt.Sprintf("unable to start or stop tasks because of the deployment configuration: "+
		"maximumPercent %d allows %d tasks of %d, minimumHealthyPercent %d keeps %d; raise maximumPercent or lower "+
		"minimumHealthyPercent",
		service.MaxPercent, n.most, n.desired(), service.MinPercent, n.minHealthy)
}

func backOffMessage(service *fleet.Service) string {
	next := "a new try is under way"
	if service.NotBefore > 0 {
		next = "next try at " + service.NotBefore.Std().Format(time.RFC3339)
	}
	return fmt.Sprintf("unable to consistently start tasks (failures in a row: %d), last: %s; %s", service.Failures,
		service.LastFailure, next)
}
