package fleet

// WantedPart is a part of what a host is sent.
type WantedPart uint8

// The parts.
const (
	WantedTasks   WantedPart = iota // its tasks, with their definitions
	WantedOrders                    // what the host itself is to do
	WantedRouting                   // what its ingress serves
	WantedEntry                     // the entry addresses that it answers for, or did
)

// wantedPart describes a part: its content in Wanted, the mark of it in State and its
// index in Served. A part is added here, with a field in each of the two.
type wantedPart struct {
	name string
	// mark moves whenever what put gives may have changed, within a session of the host
	// and an epoch. It costs little: it is asked whenever State changed for the host.
	mark func(*State, *Host) uint64
	// put adds all of the part.
	put func(*State, *Host, *Wanted)
	// since adds what of the part changed since a mark; nil where put is all there is.
	since func(*State, *Host, uint64, *Wanted)
	// again: it is small and stands in each frame, since a host may not be able to follow
	// it yet.
	again  bool
	served func(*Served) *uint64
}

var wantedParts = [...]wantedPart{
	// Last aside: what the host said itself does not wake its stream.
	WantedTasks: {
		name:   "tasks",
		mark:   func(_ *State, h *Host) uint64 { return h.WantedModifyIndex },
		put:    (*State).putWantedTasks,
		served: func(i *Served) *uint64 { return &i.Tasks },
	},
	WantedOrders: {
		name:   "orders",
		mark:   func(s *State, h *Host) uint64 { return uint64(s.LogsOut(h.ID)) },
		put:    func(s *State, h *Host, w *Wanted) { w.LogsOut = s.LogsOut(h.ID) },
		again:  true,
		served: func(i *Served) *uint64 { return &i.Orders },
	},
	WantedRouting: {
		name:   "routes",
		mark:   (*State).routesMarkOf,
		put:    func(s *State, h *Host, w *Wanted) { w.Routes = s.wantedRoutes(h) },
		since:  func(s *State, _ *Host, mark uint64, w *Wanted) { w.Routes = s.wantedRoutesSince(mark) },
		served: func(i *Served) *uint64 { return &i.Routes },
	},
	WantedEntry: {
		name:   "entry addresses",
		mark:   (*State).entriesMarkOf,
		put:    func(s *State, h *Host, w *Wanted) { w.Entries = s.wantedEntries(h) },
		served: func(i *Served) *uint64 { return &i.Entries },
	},
}

func (p WantedPart) String() string { return wantedParts[p].name }

// WantedMarks are the marks of all parts of what a host is sent. Where they are as they
// were, in the same session and epoch, the host lacks nothing. Each entry that moves
// one has the host in its ChangeSet (SubjectWanted), or SubjectRoutes, which is all hosts.
type WantedMarks [len(wantedParts)]uint64

// WantedMarks are those of a host now.
func (s *State) WantedMarks(h *Host) (marks WantedMarks) {
	for i := range wantedParts {
		marks[i] = wantedParts[i].mark(s, h)
	}
	return marks
}

// WantedSameSince reports whether a host that took all it was sent up to an index, in
// its session and the fleet's epoch, lacks nothing of its tasks. What it lacks of other
// parts, the marks of MarksSince tell.
func (h *Host) WantedSameSince(index uint64) bool { return h.WantedModifyIndex <= index }

// MarksSince are the marks of a host that lacks nothing of its tasks and took all else up
// to an index.
func (s *State) MarksSince(h *Host, index uint64) WantedMarks {
	marks := s.WantedMarks(h)
	marks[WantedRouting] = min(marks[WantedRouting], index)
	marks[WantedEntry] = min(marks[WantedEntry], index)
	return marks
}
