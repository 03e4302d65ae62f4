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
	capacity bool
}

func newDirty() *dirty {
	return &dirty{services: map[string]struct{}{}, hosts: map[fleet.HostID]struct{}{}, tasks: map[fleet.TaskID]struct{}{}}
}

func (d *dirty) empty() bool {
	return !d.capacity && len(d.services) == 0 && len(d.hosts) == 0 && len(d.tasks) == 0
}

// merge adds all of another.
func (d *dirty) merge(o *dirty) {
	maps.Copy(d.services, o.services)
	maps.Copy(d.hosts, o.hosts)
	maps.Copy(d.tasks, o.tasks)
	d.capacity = d.capacity || o.capacity
}

// servicesFrom is the services from a name on.
func (d *dirty) servicesFrom(name string) *dirty {
	from := newDirty()
	for service := range d.services {
		if service >= name {
			from.services[service] = struct{}{}
		}
	}
	return from
}

// subjects yields what mark took, in no order.
func (d *dirty) subjects() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range d.services {
			if !yield(fleet.ServiceSubject(name)) {
				return
			}
		}
		for id := range d.hosts {
			if !yield(fleet.HostSubject(id)) {
				return
			}
		}
		for id := range d.tasks {
			if !yield(fleet.TaskSubject(id)) {
				return
			}
		}
		if d.capacity {
			yield(plan.SubjectCapacity)
		}
	}
}

// mark adds a subject.
func (d *dirty) mark(subject string) {
	if name, ok := plan.ServiceOf(subject); ok {
		d.services[name] = struct{}{}
	} else if id, ok := plan.HostOf(subject); ok {
		d.hosts[id] = struct{}{}
	} else if id, ok := plan.TaskOf(subject); ok {
		d.tasks[id] = struct{}{}
	} else if subject == plan.SubjectCapacity {
		d.capacity = true
	}
}

// touch adds what an entry changed, and whether there may be new room for it.
// (Services that count differently because of a host are among the touched.)
func (d *dirty) touch(t fleet.ChangeSet, before, after *fleet.State) {
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
			d.capacity = true
		}
	}
	for _, id := range t.Hosts {
		d.hosts[id] = struct{}{}
		if capacityGrew(before.Host(id), after.Host(id)) {
			d.capacity = true
		}
	}
	for _, id := range t.Wanted { // what is reserved there changed
		d.hosts[id] = struct{}{}
	}
}

// capacityGrew reports whether a host's row changed in what placement asks of it.
func capacityGrew(before, after *fleet.Host) bool {
	if before == nil || after == nil {
		return true
	}
	return before.State != after.State || before.Capacity != after.Capacity || before.Zone != after.Zone ||
		(before.Cordon == nil) != (after.Cordon == nil) || before.Draining() != after.Draining()
}

// scope is what planners see, sorted.
func (d *dirty) scope(full bool) plan.Scope {
	return plan.Scope{
		Full:     full,
		Services: slices.Sorted(maps.Keys(d.services)),
		Hosts:    slices.Sorted(maps.Keys(d.hosts)),
		Tasks:    slices.Sorted(maps.Keys(d.tasks)),
		Capacity: d.capacity,
	}
}
