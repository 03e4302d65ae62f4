package ingress

import (
	"cmp"
	"slices"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
)

// Status is what the engine does, at an instant.
type Status struct {
	Index       uint64 // of the routes that are served
	Connections int    // open, of all clients
	Refused     uint64 // connections above a limit
	Listeners   []ListenerStatus
	Rules       []RuleStatus
	Groups      []GroupStatus
	Series      []SeriesStatus
}

// ListenerStatus is of one listener.
type ListenerStatus struct {
	Name        fleet.ListenerName
	Port        int
	Alias       bool // tasks of this host alone reach it
	Bound       bool
	Failed      string // why it is not bound
	Connections int
	Accepted    uint64
	// Certificates names those that could not be read, and why.
	Certificates []string
}

// RuleStatus is of one rule.
type RuleStatus struct {
	ID       fleet.RuleID
	Requests uint64
	Broken   string // why this agent cannot ask it
}

// GroupStatus is of one target group.
type GroupStatus struct {
	Name     fleet.TargetGroupName
	FailOpen bool // over half looked bad, so that all get requests
	Near     int  // targets of this host's zone, while requests stay with them; 0: they do not
	Taking   int  // targets that are chosen among
	Targets  []TargetStatus
}

// TargetStatus is of one target.
type TargetStatus struct {
	Task     fleet.TaskID
	Revision fleet.RevisionID
	State    fleet.TargetState
	Open     int64 // requests and connections
	Requests uint64
	// Ejected says since when this host could not connect to it, and why; zero: it can.
	Ejected time.Time
	Reason  string
}

// SeriesStatus counts what a revision answered in a group; of no revision, requests for
// which the group had no target.
type SeriesStatus struct {
	Group    fleet.TargetGroupName
	Revision fleet.RevisionID
	// Open are requests and connections at its targets, also at those that have left the
	// routes.
	Open int64
	route.Totals
}

// Status says what the engine does. All lists are by name.
func (e *Engine) Status() Status {
	table := e.table.Load()
	s := Status{Index: table.Index, Connections: e.total.Open(), Refused: e.refused.Sum()}
	s.Listeners = e.listenerStatus()
	for _, l := range table.Listeners {
		for _, r := range l.Rules() {
			s.Rules = append(s.Rules, RuleStatus{ID: r.Noun.ID, Requests: r.Requests.Sum(), Broken: r.Broken()})
		}
	}
	for _, g := range table.Groups {
		s.Groups = append(s.Groups, statusOf(g))
	}
	open := map[*route.Series]int64{}
	for _, t := range e.memory.Targets() {
		open[t.Series] += t.Open()
	}
	e.memory.EachSeries(func(group fleet.TargetGroupName, revision fleet.RevisionID, series *route.Series) {
		s.Series = append(s.Series, SeriesStatus{group, revision, open[series], series.Totals()})
	})
	slices.SortFunc(s.Rules, func(a, b RuleStatus) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Groups, func(a, b GroupStatus) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Series, func(a, b SeriesStatus) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Revision, b.Revision))
	})
	return s
}

// Failing are the listeners that clients cannot reach here, or not with all of their
// certificates, by name. Unlike Status it costs little.
func (e *Engine) Failing() []ListenerStatus {
	return slices.DeleteFunc(e.listenerStatus(), func(s ListenerStatus) bool {
		return s.Bound && len(s.Certificates) == 0
	})
}

func (e *Engine) listenerStatus() (all []ListenerStatus) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, l := range e.listeners {
		all = append(all, l.status(name))
	}
	slices.SortFunc(all, func(a, b ListenerStatus) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (l *listener) status(name fleet.ListenerName) ListenerStatus {
	failed, bound := l.bound()
	s := ListenerStatus{
		Name: name, Port: l.noun.Port, Alias: l.noun.Alias != nil, Bound: bound, Failed: failed, Connections: l.connections(),
		Accepted: l.accepted.Sum(),
	}
	if l.certificates != nil {
		s.Certificates = l.certificates.failures()
	}
	return s
}

func statusOf(g *route.Group) GroupStatus {
	choice := g.Choice()
	s := GroupStatus{Name: g.Noun.Name, FailOpen: choice.FailOpen, Near: len(choice.Near), Taking: len(choice.All)}
	for i := range g.Members {
		m := &g.Members[i]
		t := TargetStatus{
			Task: m.Noun.Task, Revision: m.Noun.Revision, State: m.State, Open: m.Open(), Requests: m.Requests.Sum(),
		}
		if ejection := m.Ejected(); ejection != nil {
			t.Ejected, t.Reason = ejection.Since, ejection.Reason
		}
		s.Targets = append(s.Targets, t)
	}
	return s
}

// Traffic is what was counted in each of the groups since the engine began.
func (e *Engine) Traffic(groups []fleet.TargetGroupName) []fleet.GroupTraffic {
	return e.memory.Traffic(groups)
}
