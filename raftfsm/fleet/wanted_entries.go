package fleet

import "net/netip"

// WantedEntries are the entry addresses that concern a host, all of them.
type WantedEntries struct {
	Addresses []EntryDuty `cbor:"1,keyasint,omitempty"` // sorted as EntryAddresses are
}

// EntryDuty is what a host has to do with one entry address.
type EntryDuty struct {
	Prefix     netip.Prefix `cbor:"1,keyasint"`
	Assignment uint64       `cbor:"2,keyasint"` // see EntryAddress
	// Former: another host holds it now. This one still takes what comes for the address,
	// and does not answer for it.
	Former bool `cbor:"3,keyasint,omitempty"`
	// RelayTo is the own address in the subnet of the former holder, or for that of the
	// holder: connections that are not known here are sent on to it. Zero: there is none.
	RelayTo netip.Addr `cbor:"4,keyasint,omitempty"`
}

// Equal reports whether two hosts, or one at two times, have the same to do.
func (w *WantedEntries) Equal(o *WantedEntries) bool {
	if w == nil || o == nil {
		return w == o
	}
	if len(w.Addresses) != len(o.Addresses) {
		return false
	}
	for i := range w.Addresses {
		if w.Addresses[i] != o.Addresses[i] {
			return false
		}
	}
	return true
}

// entriesMarkOf is the mark of what a host is sent of entry addresses; 0 for nothing.
func (s *State) entriesMarkOf(h *Host) uint64 {
	if h.ReadsFormat() < formatOfRoutes {
		return 0
	}
	return h.EntriesModifyIndex
}

// wantedEntries are the entry addresses that concern a host; nil where none ever did, or
// the host does not read them. O(entry addresses), which are few.
func (s *State) wantedEntries(h *Host) *WantedEntries {
	if s.entriesMarkOf(h) == 0 {
		return nil
	}
	w := &WantedEntries{}
	for e := range s.EntryAddresses() {
		switch h.ID {
		case e.Holder:
			w.Addresses = append(w.Addresses, EntryDuty{Prefix: e.Prefix, Assignment: e.Assignment,
				RelayTo: s.relayTo(e, e.Former)})
		case e.Former:
			w.Addresses = append(w.Addresses, EntryDuty{Prefix: e.Prefix, Assignment: e.Assignment, Former: true,
				RelayTo: s.relayTo(e, e.Holder)})
		}
	}
	return w
}

// relayTo is the own address of a host, where it can be reached by the subnet.
func (s *State) relayTo(e *EntryAddress, id HostID) netip.Addr {
	host := s.Host(id)
	if host == nil || !e.CanHold(host) {
		return netip.Addr{}
	}
	return host.Addr.Addr().Unmap()
}

// touchEntries notes that the entry addresses of a host changed. As touchWanted, it leaves
// the row's ModifyIndex alone.
func (s *State) touchEntries(x *applyContext, id HostID) {
	old := s.Host(id)
	if old == nil {
		return
	}
	x.touch(Subject{SubjectWanted, string(id)})
	if old.EntriesModifyIndex != x.index {
		h := *old
		h.EntriesModifyIndex = x.index
		s.hosts.Set(id, &h)
	}
}

// touchEntriesOf notes that an entry address is another than it was for the hosts that it
// concerns or concerned; either may be nil.
func (s *State) touchEntriesOf(x *applyContext, old, e *EntryAddress) {
	for _, row := range []*EntryAddress{old, e} {
		if row != nil {
			s.touchEntries(x, row.Holder)
			s.touchEntries(x, row.Former)
		}
	}
}

// touchRelaysTo notes that a holder, or a former one, has another address, or another agent,
// or is gone (h is nil), which the other of the two is told.
func (s *State) touchRelaysTo(x *applyContext, old, h *Host) {
	if old == nil || h != nil && old.Addr.Addr() == h.Addr.Addr() && old.Runs(formatOfRoutes) == h.Runs(formatOfRoutes) {
		return
	}
	for e := range s.EntryAddresses() {
		switch old.ID {
		case e.Former:
			s.touchEntries(x, e.Holder)
		case e.Holder:
			s.touchEntries(x, e.Former)
		}
	}
}
