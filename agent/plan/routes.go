package plan

import (
	"math"

	"skein/raftfsm/fleet"
)

// RoutesServed is which hosts serve routes that hold all that was committed up to an index
// of the log. All lists are by id.
type RoutesServed struct {
	Reached []fleet.HostID
	// Missing are ready hosts that have not come so far, or are not known to have. However
	// they are seen they count: one that is suspect may serve the routes before for ever.
	Missing []fleet.HostID
	// Silent are hosts that State holds to be silent. Nobody reaches them, so nobody waits
	// for them; one that lives serves the routes before to those who reach it.
	Silent []fleet.HostID
}

// All reports whether every host that is not known to be dead serves the routes. Where all
// are silent, none is known to.
func (r RoutesServed) All() bool {
	return len(r.Missing) == 0 && (len(r.Reached) > 0 || len(r.Silent) == 0)
}

// RoutesServed is how far hosts have come with routes. Hosts that never had a session, are
// lost or forgotten do not count, nor do those whose agents know of no routes. It is heard
// only while some planner watches a group (Plan.Watch): before that all hosts are missing.
func (in Input) RoutesServed(index uint64) RoutesServed {
	var r RoutesServed
	asked := fleet.Served{Epoch: in.State.Fleet().Epoch, Routes: index}
	for h := range in.State.Hosts() {
		switch {
		case !h.ServesRoutes():
		case h.State == fleet.HostSilent:
			r.Silent = append(r.Silent, h.ID)
		case h.State != fleet.HostReady:
		case in.Liveness.Of(h.ID).Served.Reached(asked):
			r.Reached = append(r.Reached, h.ID)
		default:
			r.Missing = append(r.Missing, h.ID)
		}
	}
	return r
}

// RoutesServedByAll is up to which index of the log every host that counts for
// RoutesServed serves routes: RoutesServed(index).All() of all indices up to it.
func (in Input) RoutesServedByAll() uint64 {
	lowest, epoch := uint64(math.MaxUint64), in.State.Fleet().Epoch
	ready, silent := false, false
	for h := range in.State.Hosts() {
		if !h.ServesRoutes() {
			continue
		}
		silent = silent || h.State == fleet.HostSilent
		if h.State != fleet.HostReady {
			continue
		}
		ready = true
		served := in.Liveness.Of(h.ID).Served
		switch {
		case served.Epoch < epoch:
			return 0
		case served.Epoch == epoch:
			lowest = min(lowest, served.Routes)
		}
	}
	if silent && !ready {
		return 0
	}
	return lowest
}
