package peer

import (
	"errors"
	"fmt"
	"testing"

	"skein/raftfsm/fleet"
)

func TestTheLeaderHearsWhenEachHostServesWhatItAwaits(t *testing.T) {
	r, agents := three(t)
	h := r.join("h4", agents[0]).host().up()
	r.ready(h)
	for _, a := range agents[:3] {
		r.ready(a.host().up())
	}
	detector := agents[0].port.FailureDetector()
	here := func() fleet.Served {
		state := r.cluster.state()
		return fleet.Served{Epoch: state.Fleet().Epoch, Tasks: state.Index(), Orders: state.Index()}
	}
	come := func(asked fleet.Served, but fleet.HostID) bool {
		seen := detector.Liveness().Hosts
		for _, a := range r.agents {
			if a.id() != but && !seen[a.id()].Served.Reached(asked) {
				return false
			}
		}
		return true
	}
	view := func() string { return fmt.Sprintf("%+v", detector.Liveness().Hosts) }
	for id, host := range detector.Liveness().Hosts {
		if host.Served != (fleet.Served{}) {
			t.Errorf("nothing is awaited, and of %s is told %+v", id, host.Served)
		}
	}
	asked := here()
	detector.Await(asked)
	eventually(t, "all hosts serve it", view, func() bool { return come(asked, "") })

	h.note(func() { h.refuse = errors.New("no room") })
	r.run(h, 1)
	asked = here()
	detector.Await(asked)
	eventually(t, "all others serve what came next", view, func() bool { return come(asked, h.a.id()) })
	if come(asked, "") {
		t.Error("a host that refuses what it is sent is said to serve it")
	}
	h.note(func() { h.refuse = nil })
	eventually(t, "the last serves it too", view, func() bool { return come(asked, "") })

	// Another leader knows nothing until it asks, and then hears it from all.
	r.cluster.lead(agents[1].id())
	detector = agents[1].port.FailureDetector()
	eventually(t, "the next leader sees all", view, func() bool { return len(detector.Liveness().Hosts) == len(r.agents) })
	detector.Await(asked)
	eventually(t, "all serve it for the next leader", view, func() bool { return come(asked, "") })
}
