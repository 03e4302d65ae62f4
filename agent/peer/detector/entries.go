package detector

import (
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// EntryWord is what a host says that concerns its entry addresses.
type EntryWord struct {
	Host     fleet.HostID        `cbor:"1,keyasint"`
	Leaving  bool                `cbor:"2,keyasint,omitempty"`
	Troubles []plan.EntryTrouble `cbor:"3,keyasint,omitempty"`
}

func (e EntryWord) says() bool { return e.Leaving || len(e.Troubles) > 0 }

func (e EntryWord) equal(o EntryWord) bool {
	return e.Leaving == o.Leaving && slices.Equal(e.Troubles, o.Troubles)
}

// takeEntries notes what hosts say by their open streams with a voter. A host of which the
// voter tells nothing any more has nothing to say.
func (w *Watch) takeEntries(now time.Duration, v *view, voter fleet.HostID, a Ages) {
	if len(v.entries)+len(a.Entries) == 0 {
		return
	}
	before := make(map[fleet.HostID]EntryWord, len(v.entries))
	for _, host := range v.entries {
		before[host] = EntryWord{}
		if s := w.hosts[host]; s != nil {
			if e := s.from(voter, v); e.entries != nil {
				before[host], e.entries = *e.entries, nil
			}
		}
	}
	v.entries = v.entries[:0]
	for _, told := range a.Entries {
		if !v.open[told.Host] {
			continue
		}
		w.told(now, told.Host).from(voter, v).entries = &told
		v.entries = append(v.entries, told.Host)
		if was, ok := before[told.Host]; !ok || !was.equal(told) {
			w.changed = true
		}
		delete(before, told.Host)
	}
	if len(before) > 0 {
		w.changed = true
	}
}

// entryWord is what the host says by the newest of its open streams; nil for nothing.
func (s *watchedHost) entryWord() *EntryWord {
	var newest *evidence
	for i := range s.evidence {
		if e := &s.evidence[i]; e.open && (newest == nil || e.session > newest.session) {
			newest = e
		}
	}
	if newest == nil {
		return nil
	}
	return newest.entries
}
