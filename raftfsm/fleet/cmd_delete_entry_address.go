package fleet

import "net/netip"

// DeleteEntryAddress takes an entry address away; its holder falls silent.
type DeleteEntryAddress struct {
	Addr netip.Addr `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (DeleteEntryAddress) Kind() Kind { return KindDeleteEntryAddress }

func (c DeleteEntryAddress) apply(s *State, x *applyContext) ([]string, error) {
	old := s.EntryAddress(c.Addr.String())
	if old == nil {
		return nil, refuse(ErrNotFound, "delete entry address %s", c.Addr)
	}
	s.removeEntryAddress(x, old)
	s.recordEvent(x, Event{Code: "entry-address-deleted", Subject: EntryAddressSubject(old.Name()),
		Message: old.Prefix.String() + ": deleted"})
	return nil, nil
}
