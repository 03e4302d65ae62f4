package placement

import (
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Index is a placement planner that keeps the fleet's room between passes, so
// that a pass costs by what changed and not by the number of hosts. It is only a
// cache: its plans are those of Next (proven by test). The zero value is ready;
// not for concurrent use.
//
// It relies on the scope: Scope.Hosts names every host whose row, tasks or liveness
// changed since the last pass, and a new leader begins with a full one.
type Index struct {
	capacity *fleetCapacity
	// stale are the hosts to be read again before use, by their place in capacity; each is
	// in it once, see hostCapacity.stale. unknown are the hosts to be read that have no
	// place yet.
	stale   []int32
	unknown []fleet.HostID
	// again are hosts that are stale from the next pass on: they were given tasks in this
	// pass, or were read from a State with commands that may never commit.
	again []int32
	scope plan.Scope // of this pass
}

// Next is [Next] for a leader that plans again and again.
func (x *Index) Next(in plan.Input) plan.Plan {
	x.note(in.Scope)
	p := newPlanner(in, x)
	if until, ok := listening(in); ok {
		// What is in scope now must be visited then: all that is unassigned is.
		p.out.WakeAt(until, fleet.CapacitySubject())
		return p.out
	}
	p.run()
	return p.out
}

// ListenFor is how long a new leader waits for hosts that it has not heard before it
// places tasks on those that it has. Hosts are heard one after the other within some 300
// ms; if tasks were placed at once, all work of a cold start would go to the zone that
// was heard first. Afterwards a host that is not heard takes no task.
const ListenFor = time.Second

// listening reports whether a new leader still waits for hosts, and until when at
// the latest.
func listening(in plan.Input) (until fleet.Time, ok bool) {
	left := ListenFor - in.Liveness.LeaderAge
	if left <= 0 {
		return 0, false
	}
	for host := range in.State.Hosts() {
		if host.Placeable() && in.Liveness.Hosts[host.ID].Liveness == plan.LivenessUnknown {
			return in.Now.Add(left), true
		}
	}
	return 0, false
}

// note marks what may have changed since the last pass.
func (x *Index) note(scope plan.Scope) {
	if x.capacity == nil || scope.Full {
		*x = Index{scope: scope}
		return
	}
	x.scope = scope
	again := x.again
	x.again = nil
	for _, i := range again {
		x.mark(i)
	}
	scope.EachHost(func(id fleet.HostID) {
		if i, known := x.capacity.byID[id]; known {
			x.mark(i)
			x.again = append(x.again, i)
		} else {
			x.unknown = append(x.unknown, id)
		}
	})
}

func (x *Index) mark(i int32) {
	if h := &x.capacity.hosts[i]; !h.stale {
		h.stale = true
		x.stale = append(x.stale, i)
	}
}

// open returns the fleet's room as the input has it.
func (x *Index) open(in plan.Input) *fleetCapacity {
	if x.capacity == nil || !x.refresh(in) {
		x.capacity, x.again = readCapacity(in), nil
		x.scope.EachHost(func(id fleet.HostID) {
			if i, known := x.capacity.byID[id]; known {
				x.again = append(x.again, i)
			}
		})
	}
	x.stale, x.unknown = x.stale[:0], nil
	return x.capacity
}

// refresh reads stale hosts again; false says that hosts came, went or changed
// what all are measured by, so that all must be read.
func (x *Index) refresh(in plan.Input) bool {
	r := x.capacity
	r.state = in.State
	for _, id := range x.unknown {
		if host := in.State.Host(id); host != nil && host.State != fleet.HostForgotten {
			return false
		}
	}
	for _, i := range x.stale {
		was := r.hosts[i].host
		host := in.State.Host(was.ID)
		if host == nil || host.State == fleet.HostForgotten || host.Capacity != was.Capacity || host.Zone != was.Zone {
			return false
		}
		r.hosts[i].stale = false
		r.read(in, i, host)
	}
	return true
}

// took notes that a pass gave tasks to a host.
func (x *Index) took(i int32) { x.again = append(x.again, i) }
