package fleet

import (
	"iter"
	"net/netip"
)

// EntryAddress returns an entry address by its text, or nil.
func (s *State) EntryAddress(name string) *EntryAddress { return get(s.entries, name) }

// EntryAddresses yields entry addresses by name.
func (s *State) EntryAddresses() iter.Seq[*EntryAddress] { return values(s.entries) }

// HasEntryAddresses reports whether there are any.
func (s *State) HasEntryAddresses() bool { return s.entries.Len() > 0 }

func (s *State) putEntryAddress(x *applyContext, e EntryAddress) {
	e.ModifyIndex = x.index
	old := s.EntryAddress(e.Name())
	s.entries.Set(e.Name(), &e)
	s.touchEntriesOf(x, old, &e)
	x.touch(EntryAddressSubject(e.Name()))
}

func (s *State) removeEntryAddress(x *applyContext, old *EntryAddress) {
	s.entries.Delete(old.Name())
	s.touchEntriesOf(x, old, nil)
	s.removeConditions(x, EntryAddressSubject(old.Name()))
	x.touch(EntryAddressSubject(old.Name()))
}

// checkEntryPrefix refuses what no host could answer for.
func checkEntryPrefix(path string, p netip.Prefix) error {
	a := p.Addr()
	bits := a.BitLen() - p.Bits()
	switch {
	case !p.IsValid() || a.Is4In6() || a.Zone() != "" || !a.IsGlobalUnicast():
		return field(path, "%s is no address of a host with the length of its subnet, such as 10.0.0.100/24", p)
	case bits < 2:
		return field(path, "%s is a subnet without room for a host beside the address", p)
	case a == p.Masked().Addr():
		return field(path, "%s is the subnet's own address", p)
	case a.Is4() && !netip.PrefixFrom(a.Next(), p.Bits()).Masked().Contains(a):
		return field(path, "%s is the subnet's broadcast address", p)
	}
	return nil
}

// checkEntryAddress: its parts agree. A holder may have been forgotten meanwhile.
func (s *State) checkEntryAddress(b *violations, e *EntryAddress) {
	err := checkEntryPrefix("prefix", e.Prefix)
	b.must(err == nil, "entry address %s: %v", e.Prefix, err)
	b.must((e.Holder != "") == (e.Assignment > 0) && e.Assignment <= s.Index(),
		"entry address %s: held by %q since entry %d", e.Name(), e.Holder, e.Assignment)
	b.must((e.Former != "") == (e.FormerUntil > 0), "entry address %s: former holder %q until %d", e.Name(), e.Former,
		e.FormerUntil)
	b.must(e.Former == "" || e.Holder != "" && e.Former != e.Holder, "entry address %s: held by %q, formerly by %q",
		e.Name(), e.Holder, e.Former)
}

// checkEntriesChanged checks what an entry touched of entry addresses.
func (s *State) checkEntriesChanged(b *violations, t ChangeSet) {
	for subject := range t.Subjects(SubjectEntryAddress) {
		if e := s.EntryAddress(subject.Name); e != nil {
			s.checkEntryAddress(b, e)
		}
	}
}
