package peer

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

// leased is a fleet of three voters with an entry address, h1 leading, and the host of h4,
// which asks for its lease on each beat.
func leased(t *testing.T) (*rig, []*rigAgent, *rigHost) {
	r, agents := three(t)
	for _, a := range agents {
		a.host().up()
	}
	h := r.join("h4", agents[0]).host().up()
	r.must(fleet.RaiseFormat{Format: fleet.FormatVersion, Force: true})
	r.must(fleet.PutEntryAddress{Prefix: netip.MustParsePrefix("10.9.0.200/24")})
	h.note(func() { h.beat = 1_000 })
	return r, agents, h
}

// told waits for a word on the lease.
func (h *rigHost) told(what string, ok func(age time.Duration, known, noLeader bool) bool) {
	h.a.r.t.Helper()
	eventually(h.a.r.t, what, func() (last string) {
		h.note(func() { last = fmt.Sprintf("%+v, asked with %d", h.lease, h.beat) })
		return last
	}, func() (found bool) {
		h.note(func() {
			age, known := h.lease.Age()
			found = h.lease.Beat > 1_000 && ok(age, known, h.lease.NoLeader)
		})
		return found
	})
}

func TestAHostIsToldHowOldWhatItGoesByIs(t *testing.T) {
	r, agents, h := leased(t)
	h.told("a quorum confirmed the leader a moment ago", func(age time.Duration, known, noLeader bool) bool {
		return known && age < confirmWithin && !noLeader
	})
	var at uint64
	h.note(func() { at = h.beat + 3 })
	h.told("later beats are answered too", func(time.Duration, bool, bool) bool { return h.lease.Beat > at })

	// The leader believes that it leads, and answers voters: that is worth nothing.
	agents[0].log.Load().deposed.Store(true)
	h.told("no quorum confirms the leader", func(age time.Duration, known, noLeader bool) bool {
		return known && age > 2*confirmWithin && !noLeader
	})
	agents[0].log.Load().deposed.Store(false)
	h.told("the leader is confirmed again", func(age time.Duration, known, _ bool) bool {
		return known && age < confirmWithin
	})

	r.cluster.lead("")
	h.told("there is no leader", func(age time.Duration, known, noLeader bool) bool { return known && noLeader })
}

// A voter that is behind does not vouch for what it has.
func TestALeaseIsOfTheStateThatCameWithIt(t *testing.T) {
	r, agents, h := leased(t)
	h.told("a quorum confirmed the leader a moment ago", func(age time.Duration, known, _ bool) bool {
		return known && age < confirmWithin
	})
	held, voter := r.cluster.state(), h.link.Status().Voter
	for _, a := range agents {
		if a.id() == voter {
			a.log.Load().held.Store(held)
		} else {
			r.cluster.lead(a.id())
		}
	}
	r.must(fleet.PutEntryAddress{Prefix: netip.MustParsePrefix("10.9.0.201/24")})
	h.told("the State of its voter grows old", func(age time.Duration, known, _ bool) bool {
		return known && age > 2*confirmWithin
	})
}
