// Package fence keeps the log of a copied disk away from the fleet: one RaftID must
// not vote on two machines. A machine counts as the copy while the fleet says so, and
// while its host answers at the address that State has for it, which is not its own.
//
// It holds the rules only: when the other address is asked, and for how long each word
// counts. The peer port asks, and ends the log's connections; the simulator does so over
// simulated time. Whether a session is opened for a copy is decided in package intake.
package fence

import (
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// AskEvery is how often a voter at another address than State has for its host
	// asks that address whether its host answers there, and AskFor bounds one try.
	AskEvery = time.Second
	AskFor   = time.Second
	// FormerKept is how long the last answer counts: a few failed tries on a busy machine do
	// not mean that it is dead. A voter that has moved waits this long before it votes.
	FormerKept = 5 * time.Second
	// RefusedKept is how long the fleet's word counts that another machine has this
	// host's identity: several of the tries that the link makes meanwhile.
	RefusedKept = 30 * time.Second
)

// Fence is what a machine knows of whether it is a copy. A machine at the address that
// State has never is one by the address, so that an agent that restarts, or a fleet that
// was switched off, waits for nobody.
//
// Not safe for concurrent use. The zero value knows nothing.
type Fence struct {
	refusedUntil time.Duration  // the fleet's word counts until then
	former       netip.AddrPort // the other address
	formerUntil  time.Duration  // its last answer counts until then
	again        time.Duration  // not to ask before
	asking       bool
}

// Former is where State has a host, if that is another address than this machine's own;
// else the zero address. Own is zero where it is not to be looked at.
func Former(st *fleet.State, host fleet.HostID, own netip.AddrPort) netip.AddrPort {
	row := st.Host(host)
	if !own.IsValid() || row == nil || row.Addr == own {
		return netip.AddrPort{}
	}
	return row.Addr
}

// Refused notes the fleet's word that another machine has this identity.
func (f *Fence) Refused(now time.Duration) { f.refusedUntil = now + RefusedKept }

// Accepted notes that the fleet has opened a session for this machine.
func (f *Fence) Accepted() { f.refusedUntil = 0 }

// Fenced reports whether this machine is, as far as is known, a copy of another that is
// alive: its log neither votes nor answers for the fleet. A former address that is new
// counts as having answered.
func (f *Fence) Fenced(now time.Duration, former netip.AddrPort) bool {
	if now < f.refusedUntil {
		return true
	}
	if !former.IsValid() {
		return false
	}
	if f.former != former {
		f.former, f.formerUntil = former, now+FormerKept
	}
	return now < f.formerUntil
}

// Ask reports whether the former address is to be asked now who answers there. Answered
// is to follow.
func (f *Fence) Ask(now time.Duration, former netip.AddrPort) bool {
	if !former.IsValid() || f.asking || now < f.again {
		return false
	}
	f.asking, f.again = true, now+AskEvery
	return true
}

// Answered notes whether another agent with this host's identity answered at the former
// address.
func (f *Fence) Answered(now time.Duration, former netip.AddrPort, answers bool) {
	f.asking = false
	if answers {
		f.former, f.formerUntil = former, now+FormerKept
	}
}
