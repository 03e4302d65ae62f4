package fleet

import "net/netip"

// EntryAddress is a floating address that one host at a time answers for, so that
// clients have one place to go. Who holds it is decided here and nowhere else.
type EntryAddress struct {
	// Prefix is the address, with the length of the subnet that it is in. Hosts of that
	// subnet can hold it.
	Prefix      netip.Prefix `cbor:"1,keyasint"`
	ModifyIndex uint64       `cbor:"2,keyasint"`
	Holder      HostID       `cbor:"3,keyasint,omitempty"` // empty: nobody
	// Assignment is the log index at which the holder was given the address: a host tells
	// by it whether others may have held it meanwhile. Source: runtime/entry/DESIGN.md.
	Assignment uint64 `cbor:"4,keyasint,omitempty"`
	Since      Time   `cbor:"5,keyasint,omitempty"` // of the holder
	// Former held it before, and still takes what comes for it: connections that began
	// there are relayed to it, until FormerUntil at most. Empty: nobody does.
	Former      HostID `cbor:"6,keyasint,omitempty"`
	FormerUntil Time   `cbor:"7,keyasint,omitempty"`
	Why         string `cbor:"8,keyasint,omitempty"` // it is where it is
}

// Name is the address as text, by which its row is found.
func (e *EntryAddress) Name() string { return e.Prefix.Addr().String() }

// EntryAddressSubject is an entry address.
func EntryAddressSubject(name string) Subject { return Subject{SubjectEntryAddress, name} }

// CanHold reports whether a host is in the subnet of the address, and has an agent that
// knows of entry addresses.
func (e *EntryAddress) CanHold(h *Host) bool {
	return e.Prefix.Contains(h.Addr.Addr().Unmap()) && h.Addr.Addr().Unmap() != e.Prefix.Addr() &&
		h.Runs(formatOfRoutes)
}
