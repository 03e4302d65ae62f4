package fleet

import (
	"cmp"
	"slices"
)

// ChangeSet is what an entry changed, so that streams and planners visit only
// that. Each list is sorted, without repetition, and names removed rows too.
type ChangeSet struct {
	Wanted   []HostID // hosts whose wanted tasks changed
	Hosts    []HostID // host rows changed
	Services []string // services whose own row, tasks or waits changed
	Tasks    []TaskID
	Voters   bool
	Fleet    bool // settings, format or keys
	Events   bool // at least one decision was recorded
	Effects  bool // at least one effect was intended, handed, or ended
}

// FullChangeSet says that everything may have changed, as where a snapshot has taken
// the place of entries.
func FullChangeSet(s *State) ChangeSet {
	t := ChangeSet{Voters: true, Fleet: true, Events: true, Effects: true}
	for h := range s.Hosts() {
		t.Hosts = append(t.Hosts, h.ID)
	}
	t.Wanted = slices.Clone(t.Hosts)
	for v := range s.Services() {
		t.Services = append(t.Services, v.Name)
	}
	for v := range s.Tasks() {
		t.Tasks = append(t.Tasks, v.ID)
	}
	return t
}

// Merge adds what another entry touched. The lists are no longer sorted then, and
// may name a row twice. It writes to the lists of t alone: begin with a zero t,
// since those of an Outcome are shared by all who are told of it.
func (t *ChangeSet) Merge(o ChangeSet) {
	t.Wanted = append(t.Wanted, o.Wanted...)
	t.Hosts = append(t.Hosts, o.Hosts...)
	t.Services = append(t.Services, o.Services...)
	t.Tasks = append(t.Tasks, o.Tasks...)
	t.Voters = t.Voters || o.Voters
	t.Fleet = t.Fleet || o.Fleet
	t.Events = t.Events || o.Events
	t.Effects = t.Effects || o.Effects
}

// tidy sorts the lists and drops repetitions.
func (t *ChangeSet) tidy() {
	t.Wanted = sortedSet(t.Wanted)
	t.Hosts = sortedSet(t.Hosts)
	t.Services = sortedSet(t.Services)
	t.Tasks = sortedSet(t.Tasks)
}

func sortedSet[K cmp.Ordered](keys []K) []K {
	slices.Sort(keys)
	return slices.Compact(keys)
}
