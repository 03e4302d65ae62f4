package placement

import (
	"cmp"
	"iter"
	"slices"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in decisions and waits.
const By = "placement"

// CodeNoHost is the code of a wait for room.
const CodeNoHost = "no-host-fits"

const (
	// MaxAssignRun bounds the tasks of one AssignTasks: 16 KiB of ids, and ports.
	MaxAssignRun = 512
	// MaxClass bounds the tasks of one class in one pass: a full plan of full runs.
	MaxClass = plan.MaxItems * MaxAssignRun
	// MaxTaskWaits bounds the standalone tasks of one class that carry the reason
	// themselves; the rest shares it and is not written down a million times.
	MaxTaskWaits = 100
)

// Next gives hosts to unassigned tasks.
//
//   - A full pass, and one in which room may have changed, looks at all that is
//     unassigned; any other at the services and tasks in scope.
//   - A class that stays pending holds a wait: about its service, or about each
//     standalone task. A service's is cleared when nothing of it is pending.
//   - No commands and no waits means that every task has a host.
//
// Equal inputs give equal plans. Source: ecs.md 3.4, performance.md 2.3.
func Next(in plan.Input) plan.Plan { return new(Index).Next(in) }

type planner struct {
	in     plan.Input
	out    plan.Plan
	index  *Index
	rooms  *rooms // opened when first needed
	spread *spread
	held   map[string]bool // services that stay pending, as subjects
	done   []string        // services of which something was looked at
}

func (p *planner) run() {
	for run := range p.runs() {
		for _, part := range split(run) {
			if p.out.Full() {
				return
			}
			p.place(part)
		}
	}
	p.settle()
}

// runs yields what is to be placed, a run of one task definition at a time, in
// the order of State.Unassigned.
func (p *planner) runs() iter.Seq[[]*fleet.Task] {
	return func(yield func([]*fleet.Task) bool) {
		var run []*fleet.Task
		for task := range p.unassigned() {
			if len(run) > 0 && (!sameRun(run[0], task) || len(run) == MaxClass) {
				if !yield(run) {
					return
				}
				run = nil
			}
			run = append(run, task)
		}
		if len(run) > 0 {
			yield(run)
		}
	}
}

func (p *planner) unassigned() iter.Seq[*fleet.Task] {
	if p.in.Scope.Full || p.in.Scope.Room {
		return p.in.State.Unassigned()
	}
	return p.scoped
}

// scoped yields the unassigned tasks in scope, in the order of State.Unassigned.
func (p *planner) scoped(yield func(*fleet.Task) bool) {
	for _, name := range p.in.Scope.Services {
		if p.in.State.Counts(name, "").Pending == 0 {
			continue
		}
		var found []*fleet.Task
		for task := range p.in.State.LiveTasksOfService(name) {
			if waits(task) {
				found = append(found, task)
			}
		}
		slices.SortStableFunc(found, byDefinition)
		for _, task := range found {
			if !yield(task) {
				return
			}
		}
	}
	p.scopedStandalone(yield)
}

// scopedStandalone yields whole classes of standalone tasks of which one is in
// scope, since only the first of a class carry its reason.
func (p *planner) scopedStandalone(yield func(*fleet.Task) bool) {
	defs := map[fleet.TaskDefID]bool{}
	for _, id := range p.in.Scope.Tasks {
		if task := p.in.State.Task(id); task != nil && task.Standalone() && waits(task) {
			defs[task.TaskDef] = true
		}
	}
	if len(defs) == 0 {
		return
	}
	for task := range p.in.State.Unassigned() {
		if task.Standalone() && defs[task.TaskDef] && !yield(task) {
			return
		}
	}
}

// waits reports whether a task is to run and has no host.
func waits(task *fleet.Task) bool {
	return task.Host == "" && task.Desired == fleet.TaskRunning && !task.Stopped()
}

// place gives hosts to the tasks of one class as far as there is room.
func (p *planner) place(run []*fleet.Task) {
	def := p.in.State.TaskDef(run[0].TaskDef)
	if p.rooms == nil {
		p.rooms = p.index.open(p.in)
	}
	c := newClass(def, run)
	p.spread = p.rooms.spreadOf(&c, p.spread)
	runs := assignment{limit: plan.MaxItems - len(p.out.Items), last: map[int32]int{}}
	search := p.rooms.search(&c, p.spread)
	placed := 0
	for placed < len(run) && !runs.full() {
		i, ok := search.best()
		if !ok {
			break
		}
		h := &p.rooms.hosts[i]
		if ports, ok := p.rooms.bind(h, &c, run[placed].ID); ok {
			p.rooms.take(i, &c, ports)
			p.spread.take(h)
			p.index.took(h.host.ID)
			runs.add(i, h.host.ID, run[placed].ID, ports)
			placed++
		} else {
			h.full = true
		}
		search.again(i)
	}
	search.end()
	p.out.Add(runs.items()...)
	if placed < len(run) && runs.full() {
		p.out.More = true
		return
	}
	p.report(&c, run, placed)
}

// report says why what is left of a class waits. A standalone task's wait goes
// by itself when the task gets a host.
func (p *planner) report(c *class, run []*fleet.Task, placed int) {
	if c.service == "" {
		for _, task := range run[placed:min(len(run), placed+MaxTaskWaits)] {
			p.hold(c, fleet.AboutTask(task.ID), 1)
		}
		return
	}
	p.done = append(p.done, c.service)
	if about := fleet.AboutService(c.service); placed < len(run) && !p.held[about] {
		p.held[about] = true
		p.hold(c, about, len(run)-placed)
	}
}

// hold writes the reason, which costs a look at every host, unless the wait
// that stands is too young to be rewritten.
func (p *planner) hold(c *class, about string, n int) {
	row := p.in.State.Wait(about)
	if row != nil && row.By == By && row.Code == CodeNoHost && row.Until > p.in.Now {
		return
	}
	w := p.rooms.why(c)
	p.out.HoldNumbers(p.in, By, fleet.PutWait{About: about, Code: CodeNoHost, Message: w.message(c, n), Counts: w.counts()})
}

// settle clears the waits of services that were visited and have nothing
// pending any more, in the order of names.
func (p *planner) settle() {
	for _, name := range p.visited() {
		if p.out.Full() {
			return
		}
		if about := fleet.AboutService(name); !p.held[about] {
			p.out.Release(p.in, By, about)
		}
	}
}

func (p *planner) visited() []string {
	if !p.in.Scope.Full {
		names := slices.Concat(p.done, p.in.Scope.Services)
		slices.Sort(names)
		return slices.Compact(names)
	}
	var names []string
	for row := range p.in.State.Waits() {
		if name, ok := plan.ServiceOf(row.About); ok {
			names = append(names, name)
		}
	}
	return names
}

// byDefinition is the order of State.Unassigned within a service.
func byDefinition(a, b *fleet.Task) int { return cmp.Compare(a.TaskDef, b.TaskDef) }
