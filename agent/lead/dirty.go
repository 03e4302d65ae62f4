package lead

import (
	"iter"
	"maps"
	"slices"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// dirty gathers what the next pass must visit.
type dirty struct {
	services map[string]struct{}
	hosts    map[fleet.HostID]struct{}
	tasks    map[fleet.TaskID]struct{}
	room     bool
}

func newDirty() *dirty {
	return &dirty{services: map[string]struct{}{}, hosts: map[fleet.HostID]struct{}{}, tasks: map[fleet.TaskID]struct{}{}}
}

func (d *dirty) empty() bool {
	return !d.room && len(d.services) == 0 && len(d.hosts) == 0 && len(d.tasks) == 0
}

// merge adds all of another.
func (d *dirty) merge(o *dirty) {
	maps.Copy(d.services, o.services)
	maps.Copy(d.hosts, o.hosts)
	maps.Copy(d.tasks, o.tasks)
	d.room = d.room || o.room
}

// subjects yields what mark took, in no order.
func (d *dirty) subjects() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range d.services {
			if !yield(fleet.AboutService(name)) {
				return
			}
		}
		for id := range d.hosts {
			if !yield(fleet.AboutHost(id)) {
				return
			}
		}
		for id := range d.tasks {
			if !yield(fleet.AboutTask(id)) {
				return
			}
		}
		if d.room {
			yield(plan.AboutRoom)
		}
	}
}

// mark adds a subject.
func (d *dirty) mark(about string) {
	if name, ok := plan.ServiceOf(about); ok {
		d.services[name] = struct{}{}
	} else if id, ok := plan.HostOf(about); ok {
		d.hosts[id] = struct{}{}
	} else if id, ok := plan.TaskOf(about); ok {
		d.tasks[id] = struct{}{}
	} else if about == plan.AboutRoom {
		d.room = true
	}
}

// touch adds what an entry changed, and whether there may be new room for it.
// (Services that count differently because of a host are among the touched.)
func (d *dirty) touch(t fleet.Touched, before, after *fleet.State) {
	for _, name := range t.Services {
		d.services[name] = struct{}{}
	}
	for _, id := range t.Tasks {
		task := after.Task(id)
		if task == nil {
			continue
		}
		if task.Standalone() {
			d.tasks[id] = struct{}{}
		}
		if task.Stopped() && task.Host != "" {
			d.room = true
		}
	}
	for _, id := range t.Hosts {
		d.hosts[id] = struct{}{}
		if roomier(before.Host(id), after.Host(id)) {
			d.room = true
		}
	}
	for _, id := range t.Wanted { // what is reserved there changed
		d.hosts[id] = struct{}{}
	}
}

// roomier reports whether a host's row changed in what placement asks of it.
func roomier(before, after *fleet.Host) bool {
	if before == nil || after == nil {
		return true
	}
	return before.Life != after.Life || before.Capacity != after.Capacity || before.Zone != after.Zone ||
		(before.Cordon == nil) != (after.Cordon == nil) || before.Draining != after.Draining
}

// scope is what planners see, sorted.
func (d *dirty) scope(full bool) plan.Scope {
	return plan.Scope{
		Full:     full,
		Services: slices.Sorted(maps.Keys(d.services)),
		Hosts:    slices.Sorted(maps.Keys(d.hosts)),
		Tasks:    slices.Sorted(maps.Keys(d.tasks)),
		Room:     d.room,
	}
}
