package fleet

import (
	"iter"
	"slices"
)

// ChangeSet is a set of subjects: what an entry changed, what several did, or what a
// pass of planners must visit, so that nobody looks at more. It names removed rows
// too. Subjects come out by kind and name, each once, however they were added.
//
// Adding costs an append, and merging notes the other set's lists: what was gathered is
// put together and sorted when it is read. The zero value is empty. A copy shares its
// lists with the original: of the two only one may be added to, and whoever gathers
// begins with an empty set and Merge. Reading one that Apply returned, or a copy of it,
// writes nothing, so any number may read it at a time.
type ChangeSet struct {
	kinds [subjectKindCount]changedNames
}

// changedNames are the subjects of one kind.
type changedNames struct {
	all      []string
	merged   [][]string // lists of other sets, of which none is written to
	unsorted bool       // all must be sorted, and may name one twice
	one      bool       // the kind's subject that has no name
}

func (n *changedNames) empty() bool { return !n.one && len(n.all) == 0 && len(n.merged) == 0 }

// ChangeSetOf is a set of the subjects given.
func ChangeSetOf(subjects ...Subject) (c ChangeSet) {
	for _, s := range subjects {
		c.Add(s)
	}
	return c
}

// FullChangeSet says that everything may have changed, as where a snapshot has taken
// the place of entries.
func FullChangeSet(s *State) ChangeSet {
	c := ChangeSetOf(FleetSubject(), Subject{Kind: SubjectVoters}, Subject{Kind: SubjectEvents},
		Subject{Kind: SubjectEffects}, CapacitySubject(), Subject{Kind: SubjectRoutes})
	for h := range s.Hosts() {
		c.Add(HostSubject(h.ID))
		c.Add(Subject{SubjectWanted, string(h.ID)})
	}
	for v := range s.Services() {
		c.Add(ServiceSubject(v.Name))
	}
	for t := range s.Tasks() {
		c.Add(TaskSubject(t.ID))
	}
	for l := range s.Listeners() {
		c.Add(Subject{SubjectListener, string(l.Name)})
	}
	for r := range s.Rules() {
		c.Add(Subject{SubjectRule, string(r.ID)})
	}
	for g := range s.TargetGroups() {
		c.Add(Subject{SubjectTargetGroup, string(g.Name)})
	}
	for e := range s.EntryAddresses() {
		c.Add(EntryAddressSubject(e.Name()))
	}
	c.sort()
	return c
}

// Add adds a subject.
func (c *ChangeSet) Add(s Subject) {
	n := &c.kinds[s.Kind]
	if s.Name == "" && subjectKinds[s.Kind].one {
		n.one = true
		return
	}
	if last := len(n.all) - 1; last >= 0 {
		if n.all[last] == s.Name {
			return
		}
		n.unsorted = n.unsorted || s.Name < n.all[last]
	}
	n.all = append(n.all, s.Name)
}

// Merge adds all subjects of another set, whose lists stay as they are.
func (c *ChangeSet) Merge(o ChangeSet) {
	for k := range c.kinds {
		n, more := &c.kinds[k], &o.kinds[k]
		n.one = n.one || more.one
		n.merged = append(n.merged, more.merged...)
		switch {
		case len(more.all) == 0:
		case len(n.all) == 0 && len(n.merged) == 0:
			n.all, n.unsorted = slices.Clip(more.all), more.unsorted
		default:
			n.merged = append(n.merged, slices.Clip(more.all))
		}
	}
}

// Has reports whether a subject is in the set.
func (c *ChangeSet) Has(s Subject) bool {
	if s.Name == "" && subjectKinds[s.Kind].one {
		return c.kinds[s.Kind].one
	}
	_, found := slices.BinarySearch(c.names(s.Kind), s.Name)
	return found
}

// Any reports whether the set has a subject of one of the kinds.
func (c *ChangeSet) Any(kinds ...SubjectKind) bool {
	for _, k := range kinds {
		if !c.kinds[k].empty() {
			return true
		}
	}
	return false
}

// Subjects yields the subjects of the kinds, or of all kinds where none is given.
func (c *ChangeSet) Subjects(kinds ...SubjectKind) iter.Seq[Subject] {
	if len(kinds) == 0 {
		kinds = append(SubjectKinds(), SubjectUnknown)
	}
	return func(yield func(Subject) bool) {
		for _, k := range kinds {
			if c.kinds[k].one && !yield(Subject{Kind: k}) {
				return
			}
			for _, name := range c.names(k) {
				if !yield(Subject{k, name}) {
					return
				}
			}
		}
	}
}

// Services are the names of the services, sorted: those whose own row, tasks or
// conditions changed. The list is the set's own.
func (c *ChangeSet) Services() []string { return c.names(SubjectService) }

// Tasks yields the tasks, in the order of their ids.
func (c *ChangeSet) Tasks() iter.Seq[TaskID] { return idsOf[TaskID](c, SubjectTask) }

// HostRows yields the hosts whose row changed, in the order of their ids.
func (c *ChangeSet) HostRows() iter.Seq[HostID] { return idsOf[HostID](c, SubjectHost) }

// WantedHosts yields the hosts of which what they are sent changed, in the order of
// their ids.
func (c *ChangeSet) WantedHosts() iter.Seq[HostID] { return idsOf[HostID](c, SubjectWanted) }

// Hosts yields HostRows and WantedHosts together, in the order of their ids.
func (c *ChangeSet) Hosts() iter.Seq[HostID] {
	return func(yield func(HostID) bool) {
		rows, wanted := c.names(SubjectHost), c.names(SubjectWanted)
		for len(rows)+len(wanted) > 0 {
			var id string
			switch {
			case len(wanted) == 0 || len(rows) > 0 && rows[0] < wanted[0]:
				id, rows = rows[0], rows[1:]
			case len(rows) > 0 && rows[0] == wanted[0]:
				id, rows, wanted = rows[0], rows[1:], wanted[1:]
			default:
				id, wanted = wanted[0], wanted[1:]
			}
			if !yield(HostID(id)) {
				return
			}
		}
	}
}

// EachHost calls with the hosts of Hosts in any order, some more than once: for who
// only marks them.
func (c *ChangeSet) EachHost(call func(HostID)) {
	for _, k := range []SubjectKind{SubjectHost, SubjectWanted} {
		for _, names := range append(slices.Clip(c.kinds[k].merged), c.kinds[k].all) {
			for _, name := range names {
				call(HostID(name))
			}
		}
	}
}

func idsOf[ID ~string](c *ChangeSet, k SubjectKind) iter.Seq[ID] {
	return func(yield func(ID) bool) {
		for _, name := range c.names(k) {
			if !yield(ID(name)) {
				return
			}
		}
	}
}

// names are the names of a kind, sorted, each once.
func (c *ChangeSet) names(k SubjectKind) []string {
	n := &c.kinds[k]
	if n.unsorted || len(n.merged) > 0 {
		n.all = slices.Concat(append(slices.Clip(n.merged), n.all)...) // another set may have the lists too
		slices.Sort(n.all)
		n.all, n.merged, n.unsorted = slices.Compact(n.all), nil, false
	}
	return n.all
}

// sort leaves a set that reading does not write to, nor adding to a copy of it.
func (c *ChangeSet) sort() {
	for k := range c.kinds {
		c.kinds[k].all = slices.Clip(c.names(SubjectKind(k)))
	}
}
