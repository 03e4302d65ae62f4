package fleet

import (
	"fmt"
	"net/netip"
)

// AssignEntryAddress gives an entry address to a host, or to nobody. It is refused when
// another holds it than is expected, and unless the host is ready and can hold it. With
// FormerUntil the host that held it becomes the former holder until then; refused while
// there is one already, whose connections would be cut, unless it has the address again. The
// same holder again ends what is left of a former one.
type AssignEntryAddress struct {
	Addr           netip.Addr `cbor:"1,keyasint"`
	ExpectedHolder HostID     `cbor:"2,keyasint,omitempty"` // empty: nobody
	Holder         HostID     `cbor:"3,keyasint,omitempty"` // empty: nobody
	FormerUntil    Time       `cbor:"4,keyasint,omitempty"` // at most MaxEntryRelay from now
	Why            string     `cbor:"5,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (AssignEntryAddress) Kind() Kind { return KindAssignEntryAddress }

func (c AssignEntryAddress) apply(s *State, x *applyContext) ([]string, error) {
	old := s.EntryAddress(c.Addr.String())
	if old == nil {
		return nil, refuse(ErrNotFound, "assign entry address %s", c.Addr)
	}
	if old.Holder != c.ExpectedHolder {
		return nil, refuse(ErrMoved, "assign entry address %s: %s holds it, not %s", c.Addr, nameOrNobody(s, old.Holder),
			nameOrNobody(s, c.ExpectedHolder))
	}
	if err := first(c.checkHolder(s, old), c.checkFormer(old, x.now)); err != nil {
		return nil, err
	}
	c.Why = tidy(c.Why, maxMessage)
	e := *old
	e.Former, e.FormerUntil = "", 0
	if c.FormerUntil > 0 {
		e.Former, e.FormerUntil = old.Holder, c.FormerUntil
	}
	if c.Holder != old.Holder {
		e.Holder, e.Since, e.Why = c.Holder, x.now, c.Why
		e.Assignment = x.index
		if c.Holder == "" {
			e.Assignment = 0
		}
	} else if e == *old {
		return nil, nil
	}
	s.putEntryAddress(x, e)
	if c.Holder != old.Holder {
		s.recordEvent(x, Event{By: "entry", Code: "entry-address-assigned", Subject: EntryAddressSubject(e.Name()),
			Message: fmt.Sprintf("%s: from %s to %s: %s", e.Name(), nameOrNobody(s, old.Holder),
				nameOrNobody(s, e.Holder), c.Why)})
	}
	return nil, nil
}

func (c AssignEntryAddress) checkHolder(s *State, old *EntryAddress) error {
	if c.Holder == "" || c.Holder == old.Holder {
		return nil
	}
	h := s.Host(c.Holder)
	switch {
	case h == nil:
		return refuse(ErrNotFound, "assign entry address %s: host %s", c.Addr, quoted(string(c.Holder)))
	case h.State != HostReady:
		return refuse(ErrConflict, "assign entry address %s: host %s is %s", c.Addr, h.Name, h.State)
	case !old.CanHold(h):
		return refuse(ErrConflict, "assign entry address %s: host %s (%s) is not in %s, or its agent is too old", c.Addr,
			h.Name, h.Addr.Addr(), old.Prefix.Masked())
	}
	return nil
}

func (c AssignEntryAddress) checkFormer(old *EntryAddress, now Time) error {
	switch {
	case c.FormerUntil == 0:
		return nil
	case c.FormerUntil <= now || c.FormerUntil.Sub(now) > MaxEntryRelay:
		return field("formerUntil", "want a time within %s from now", MaxEntryRelay)
	case old.Holder == "" || c.Holder == "" || c.Holder == old.Holder:
		return field("formerUntil", "is of a move from one host to another")
	case old.Former != "" && old.Former != c.Holder && now < old.FormerUntil:
		return refuse(ErrConflict, "assign entry address %s: connections of the former move are still relayed", c.Addr)
	}
	return nil
}

func nameOrNobody(s *State, id HostID) string {
	switch h := s.Host(id); {
	case h != nil:
		return h.Name
	case id == "":
		return "nobody"
	}
	return quoted(string(id))
}
