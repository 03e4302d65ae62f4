package entry

import (
	"net/netip"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// LeaseFor is how long after a State that was the newest a host may go by it. See
	// DESIGN.md.
	LeaseFor = 700 * time.Millisecond
	// clockMargin is for clocks that do not run alike: 1 % of a lease, and room.
	clockMargin = 50 * time.Millisecond
)

// Duties make of what a host is sent what it has to hold. They are pure; the zero value
// is a host that was sent nothing. Not safe for concurrent use.
type Duties struct {
	wanted  *fleet.WantedEntries // nil: nothing was sent yet
	learned map[netip.Addr]learned
}

// learned is when this host was told of an assignment.
type learned struct {
	assignment uint64
	at         time.Duration
}

// Take takes what is sent, all of it, and reports whether it is something new.
func (d *Duties) Take(now time.Duration, w *fleet.WantedEntries) bool {
	if d.wanted != nil && d.wanted.Equal(w) {
		return false
	}
	all := map[netip.Addr]learned{}
	for _, e := range w.Addresses {
		addr := e.Prefix.Addr()
		was, known := d.learned[addr]
		if !known || was.assignment != e.Assignment {
			was = learned{e.Assignment, now}
		}
		all[addr] = was
	}
	d.wanted, d.learned = w, all
	return true
}

// Any reports whether the host is to answer for an address, and so needs a lease.
func (d *Duties) Any() bool {
	if d.wanted != nil {
		for _, e := range d.wanted.Addresses {
			if !e.Former {
				return true
			}
		}
	}
	return false
}

// Addresses are what is to be held.
func (d *Duties) Addresses() []Address {
	if d.wanted == nil {
		return nil
	}
	all := make([]Address, 0, len(d.wanted.Addresses))
	for _, e := range d.wanted.Addresses {
		a := Address{Addr: e.Prefix.Addr(), Bits: e.Prefix.Bits(), Role: Former, Assignment: e.Assignment,
			RelayTo: e.RelayTo}
		if !e.Former {
			a.Role = Holding
			a.NotBefore = d.learned[a.Addr].at + LeaseFor + clockMargin
		}
		all = append(all, a)
	}
	return all
}

// Beat is what a host's beat says, so that the answer to it tells when it was sent.
func Beat(now time.Duration) uint64 { return uint64(now.Microseconds()) + 1 }

// Word is what a voter answers to a beat.
type Word struct {
	Beat uint64
	// Age is how long before the answer the State that came with it was confirmed to be the
	// newest; negative: never.
	Age      time.Duration
	NoLeader bool // the voter hears none
}

// LeaseOf is the lease that a voter's word gives at a time; none where the word answers
// nothing that was said here. It counts from when the beat was sent, however late the answer is.
func LeaseOf(now time.Duration, w Word) (l Lease) {
	if w.Beat == 0 || w.Beat > Beat(now) {
		return Lease{}
	}
	sent := time.Duration(w.Beat-1) * time.Microsecond
	if w.Age >= 0 {
		l.Until = sent + LeaseFor - w.Age
	}
	if w.NoLeader {
		l.WithoutLeader = sent + LeaseFor
	}
	return l
}
