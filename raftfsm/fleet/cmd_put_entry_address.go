package fleet

import "net/netip"

// PutEntryAddress adds an entry address, which nobody holds yet, or corrects the length of
// its subnet. IDs: the address. Refused when the address is one of a host.
type PutEntryAddress struct {
	Prefix netip.Prefix `cbor:"1,keyasint"` // the address, with the length of its subnet
}

// Kind is the command's number in the log.
func (PutEntryAddress) Kind() Kind { return KindPutEntryAddress }

func (c PutEntryAddress) apply(s *State, x *applyContext) ([]string, error) {
	if err := checkEntryPrefix("prefix", c.Prefix); err != nil {
		return nil, err
	}
	for h := range s.Hosts() {
		if h.State != HostForgotten && h.Addr.Addr().Unmap() == c.Prefix.Addr() {
			return nil, field("prefix", "%s is the address of host %s itself", c.Prefix.Addr(), h.Name)
		}
	}
	e := EntryAddress{Prefix: c.Prefix}
	old := s.EntryAddress(e.Name())
	switch {
	case old == nil && s.entries.Len() >= MaxEntryAddresses:
		return nil, refuse(ErrLimit, "add entry address %s: the fleet has %d", e.Name(), MaxEntryAddresses)
	case old != nil && old.Prefix == c.Prefix:
		return []string{e.Name()}, nil
	case old != nil:
		e = *old
		e.Prefix = c.Prefix
	}
	s.putEntryAddress(x, e)
	s.recordEvent(x, putEvent(EntryAddressSubject(e.Name()), "entry-address", old == nil, c.Prefix.String()))
	return []string{e.Name()}, nil
}
