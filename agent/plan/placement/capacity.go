package placement

import (
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// hostCapacity is a host as a pass sees it: its free room falls as tasks are placed.
type hostCapacity struct {
	host       *fleet.Host
	free       fleet.Resources
	score      int64
	given      []hostPort // ports given out since it was read
	at         int32      // place on its zone's heap; -1 for none
	zone       int32      // index in rooms.zones
	ineligible filter     // why it takes nothing at all, or open
	full       bool       // no dynamic port is left
	stale      bool       // to be read again: see Index
}

// fleetCapacity is the fleet's room. Making it costs O(hosts), see Index.
type fleetCapacity struct {
	state *fleet.State
	hosts []hostCapacity // by host id
	zones []*zoneCapacity
	byID  map[fleet.HostID]int32
	// unit is the largest capacity in each dimension: shares of it make cpu and
	// memory comparable.
	unit fleet.Resources
}

func readCapacity(in plan.Input) *fleetCapacity {
	r := &fleetCapacity{hosts: make([]hostCapacity, 0, in.State.HostCount()),
		byID: make(map[fleet.HostID]int32, in.State.HostCount())}
	zones := map[string]int32{}
	for host := range in.State.Hosts() {
		if host.State == fleet.HostForgotten {
			continue
		}
		r.unit.CPU = max(r.unit.CPU, host.Capacity.CPU)
		r.unit.Memory = max(r.unit.Memory, host.Capacity.Memory)
		zone, known := zones[host.Zone]
		if !known {
			zone = int32(len(r.zones))
			zones[host.Zone] = zone
			r.zones = append(r.zones, &zoneCapacity{name: host.Zone})
		}
		r.byID[host.ID] = int32(len(r.hosts))
		r.hosts = append(r.hosts, hostCapacity{host: host, zone: zone, at: -1})
	}
	for _, z := range r.zones {
		z.hosts = r.hosts
	}
	r.state = in.State
	for i := range r.hosts {
		r.read(in, int32(i), r.hosts[i].host)
	}
	return r
}

// read takes a host as State has it and puts it where it belongs.
func (r *fleetCapacity) read(in plan.Input, i int32, host *fleet.Host) {
	h := &r.hosts[i]
	z := r.zones[h.zone]
	if h.at >= 0 {
		z.remove(h.at)
	}
	h.host, h.given, h.full = host, nil, false
	h.ineligible = ineligible(host, in.Liveness.Hosts[host.ID].Liveness)
	if h.ineligible == open {
		h.free = host.Capacity.Sub(in.State.Reserved(host.ID))
		h.score = r.share(h.free)
		z.push(i)
	}
}

// ineligible tells why a host takes no task at all. One that this leader has not heard
// yet may be dead since long: the view of it becomes alive or suspect within a
// second, so little is lost by waiting.
func ineligible(host *fleet.Host, liveness plan.Liveness) filter {
	switch {
	case host.State != fleet.HostReady:
		return notReady
	case host.Cordon != nil:
		return cordoned
	case host.Draining():
		return draining
	case liveness == plan.LivenessUnknown:
		return unheard
	case liveness.Doubted():
		return agentDown
	default:
		return open
	}
}

// shareUnit is one whole of a share: integers, so that equal fleets compare equal.
const shareUnit = 1 << 20

// share is the smaller share of the unit that an amount is. A host whose share
// is below the share of a need does not fit it.
func (r *fleetCapacity) share(of fleet.Resources) int64 {
	return min(of.CPU*shareUnit/max(1, r.unit.CPU), of.Memory*shareUnit/max(1, r.unit.Memory))
}

// open is the number of hosts that take tasks.
func (r *fleetCapacity) open() int {
	n := 0
	for _, z := range r.zones {
		n += len(z.heap)
	}
	return n
}

// fits reports whether one more task of the class fits on a host.
func (r *fleetCapacity) fits(i int32, c *class) bool { return r.refusal(&r.hosts[i], c) == open }

// take puts a task of the class on a host that is off its heap.
func (r *fleetCapacity) take(i int32, c *class, ports []fleet.PortBinding) {
	h := &r.hosts[i]
	h.free = h.free.Sub(c.need)
	h.score = r.share(h.free)
	for _, b := range ports {
		h.given = append(h.given, hostPort{b.Protocol, b.HostPort})
	}
}
