package placement

import (
	"slices"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in events and conditions.
const By = "placement"

const (
	// MaxClass bounds the tasks of one class in one pass: more than a plan may place.
	MaxClass = 2 * plan.MaxTasks
	// MaxTaskConditions bounds the standalone tasks of one class that carry the reason
	// themselves; the rest shares it and is not written down a million times.
	MaxTaskConditions = 100
)

// Next gives hosts to unassigned tasks.
//
//   - A full pass, and one in which room may have changed, looks at all that is
//     unassigned; any other at the services and tasks in scope.
//   - A class that stays pending gets a condition: of its service, or of each
//     standalone task. The condition of a service is cleared when none of its tasks
//     is pending.
//   - A plan without commands, and no condition, mean that every task has a host.
//
// Equal inputs give equal plans. Source: ECS guide, task placement.
func Next(in plan.Input) plan.Plan { return new(Index).Next(in) }

type planner struct {
	in       plan.Input
	out      plan.Plan
	index    *Index
	capacity *fleetCapacity         // opened when first needed
	small    bool                   // few enough hosts for another arrangement to be looked for
	batches  []*batch               // in the order in which they were placed; if not small, the last
	held     map[fleet.Subject]bool // services that stay pending
	done     []string               // services of which something was looked at
}

// batch is a class under way.
type batch struct {
	class  class
	spread *spread
	placed int           // of class.tasks, from the front
	quota  map[int32]int // tasks a host may still take; nil: as many as fit
}

func newPlanner(in plan.Input, x *Index) *planner {
	return &planner{in: in, index: x, held: map[fleet.Subject]bool{}}
}

// run places class by class, and takes another arrangement where classes of this
// pass stand in each other's way and there is a better one.
func (p *planner) run() {
	if !p.greedy() {
		return
	}
	if better := p.rearranged(); better != nil {
		*p = *better
	}
	p.settle()
}

// greedy places each class as far as there is room, in the order of
// State.Unassigned; false says that the plan is full.
func (p *planner) greedy() bool {
	for run := range p.runs() {
		for _, part := range split(run) {
			if p.out.Full() {
				return false
			}
			b := p.batch(part)
			if p.place(b) {
				p.report(b)
			}
		}
	}
	return true
}

// batch begins with the next class.
func (p *planner) batch(tasks []*fleet.Task) *batch {
	if p.capacity == nil {
		p.capacity = p.index.open(p.in)
		p.small = 2*p.capacity.open() <= MaxSearchCells
	}
	var before *spread
	if n := len(p.batches); n > 0 {
		before = p.batches[n-1].spread
	}
	b := &batch{class: newClass(p.in.State, tasks)}
	b.spread = p.capacity.spreadOf(&b.class, before)
	if !p.small {
		p.batches = p.batches[:0]
	}
	p.batches = append(p.batches, b)
	return b
}

// place gives hosts to the tasks of one class as far as there is room; false
// says that the plan is full and some are left to the next pass.
func (p *planner) place(b *batch) bool {
	c := &b.class
	runs := assignment{limit: p.out.TasksLeft()}
	search := p.capacity.search(b)
	for b.placed < len(c.tasks) && !runs.full() {
		i, ok := search.best()
		if !ok {
			break
		}
		h, task := &p.capacity.hosts[i], c.tasks[b.placed].ID
		if ports, ok := p.capacity.bind(h, c, task); ok {
			p.capacity.take(i, c, ports)
			p.index.took(i)
			b.take(i, h)
			runs.add(i, h.host.ID, task, ports)
		} else {
			h.full = true
		}
		search.again(i)
	}
	search.end()
	p.out.Add(runs.items()...)
	p.out.AddTasks(runs.tasks)
	if b.placed < len(c.tasks) && runs.full() {
		p.out.More = true
		return false
	}
	return true
}

// take counts a task that went to a host.
func (b *batch) take(i int32, h *hostCapacity) {
	b.placed++
	b.spread.take(h)
	if b.quota != nil {
		b.quota[i]--
	}
}

// mayTake reports whether a host's share of the class is not used up.
func (b *batch) mayTake(i int32) bool { return b.quota == nil || b.quota[i] > 0 }

// report writes why the tasks that are left of a class have no host. State drops the
// condition of a standalone task when the task gets a host.
func (p *planner) report(b *batch) {
	c, left := &b.class, b.class.tasks[b.placed:]
	if c.service == "" {
		for _, task := range left[:min(len(left), MaxTaskConditions)] {
			p.setCondition(c, fleet.TaskSubject(task.ID), 1)
		}
		return
	}
	p.done = append(p.done, c.service)
	if subject := fleet.ServiceSubject(c.service); len(left) > 0 && !p.held[subject] {
		p.held[subject] = true
		p.setCondition(c, subject, len(left))
	}
}

// setCondition writes the reason, unless the present condition is too young to be
// rewritten. Finding the reason costs a look at every host.
func (p *planner) setCondition(c *class, subject fleet.Subject, n int) {
	row := p.in.State.Condition(subject, By)
	if row != nil && row.Code == plan.CodeNoHost && row.Until > p.in.Now {
		return
	}
	w := p.capacity.why(c)
	p.out.SetConditionCounts(p.in, By,
		fleet.PutCondition{Subject: subject, Code: plan.CodeNoHost, Message: w.message(c, n), Counts: w.counts()})
}

// settle clears the conditions of services that were visited and have no pending task
// any more, in the order of names.
func (p *planner) settle() {
	for _, name := range p.visited() {
		if p.out.Full() {
			return
		}
		if subject := fleet.ServiceSubject(name); !p.held[subject] {
			p.out.ClearCondition(p.in, By, subject)
		}
	}
}

func (p *planner) visited() []string {
	if !p.in.Scope.Full {
		names := slices.Concat(p.done, p.in.Scope.Services())
		slices.Sort(names)
		return slices.Compact(names)
	}
	var names []string
	for row := range p.in.State.Conditions() {
		if row.Subject.Kind == fleet.SubjectService && row.By == By {
			names = append(names, row.Subject.Name)
		}
	}
	return names
}
