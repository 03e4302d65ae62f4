package service

import (
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

const (
	// KeepFrom is how many tasks a service has whose tasks are kept sorted: those of a
	// smaller one are sorted in some 100 us.
	KeepFrom = 200
	// MaxKept bounds the tasks kept sorted, of all services together, to some 60 MB.
	MaxKept = 400_000
	// keptFor is how long what is kept may go without a pass: State forgets deadlines
	// after twice the time.
	keptFor = 5 * time.Minute
)

// Index is a service planner that keeps the tasks of large services sorted between
// passes once some must stop, so that an event of such a service costs by what changed
// and not by its tasks. It is only a cache: its plans are those of Next (proven by
// test). The zero value is ready; not for concurrent use.
//
// It relies on the scope: it names every task and host whose row changed since the last
// pass, and a new leader begins with a full one.
type Index struct {
	kept  map[string]*serviceTasks
	tasks int // kept
	// least is how many tasks a service has that is kept; zero for KeepFrom.
	least int
	at    fleet.Time // of the last pass
	// scope is that of the last pass, which may have been about commands that never
	// commit, and taken are tasks that it had stop: all of them are looked at again.
	scope plan.Scope
	taken []fleet.TaskID
}

// Next is [Next] for a leader that plans again and again.
func (x *Index) Next(in plan.Input) plan.Plan {
	x.refresh(in)
	p := planner{in: in, index: x}
	p.run()
	return p.out
}

// refresh takes in what may have changed since the last pass.
func (x *Index) refresh(in plan.Input) {
	if in.Scope.Full || in.Now < x.at || in.Now.Sub(x.at) > keptFor {
		x.forget()
	}
	if len(x.kept) > 0 {
		for _, t := range x.kept {
			t.now = in.Now
		}
		for _, scope := range []*plan.Scope{&x.scope, &in.Scope} {
			for id := range scope.HostRows() {
				x.refreshHost(in.State, id)
			}
			for id := range scope.Tasks() {
				x.refreshTask(in.State, id)
			}
		}
		for _, id := range x.taken {
			x.refreshTask(in.State, id)
		}
		for id := range in.State.DueTasks(x.at, in.Now) {
			x.refreshTask(in.State, id)
		}
	}
	x.at, x.scope, x.taken = in.Now, in.Scope, x.taken[:0]
}

func (x *Index) forget() { x.kept, x.tasks = nil, 0 }

func (x *Index) refreshTask(s *fleet.State, id fleet.TaskID) {
	for _, t := range x.kept {
		t.remove(id)
	}
	if task := s.Task(id); task != nil && !task.Stopped() {
		if t := x.kept[task.Service]; t != nil {
			t.add(s, task)
		}
	}
}

func (x *Index) refreshHost(s *fleet.State, id fleet.HostID) {
	for _, t := range x.kept {
		t.removeHost(id)
	}
	for task := range s.HeldBy(id) {
		if t := x.kept[task.Service]; t != nil && !task.Stopped() {
			t.remove(task.ID) // it stood elsewhere
			t.add(s, task)
		}
	}
}

// of returns the tasks of a service of which some must stop.
func (x *Index) of(in plan.Input, service *fleet.Service, goals *fleet.Goals) *serviceTasks {
	t := x.kept[service.Name]
	if t != nil && t.sortedAs(service, goals) {
		return t
	}
	x.drop(service.Name)
	t = sorted(in.State, service, goals, in.Now)
	n := len(t.members)
	least := x.least
	if least == 0 {
		least = KeepFrom
	}
	if n < least || n > MaxKept {
		return t
	}
	if x.tasks+n > MaxKept {
		x.forget()
	}
	if x.kept == nil {
		x.kept = map[string]*serviceTasks{}
	}
	x.kept[service.Name], t.keptAs = t, n
	x.tasks += n
	return t
}

// drop forgets the tasks of a service of which none must stop any more.
func (x *Index) drop(service string) {
	if t := x.kept[service]; t != nil {
		x.tasks -= t.keptAs
		delete(x.kept, service)
	}
}
