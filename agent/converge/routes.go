package converge

import (
	"reflect"
	"time"

	"skein/raftfsm/fleet"
)

// RoutesServer is what serves traffic on this host.
type RoutesServer interface {
	// ServeRoutes replaces what is served. It returns once everything new (a request, a
	// connection, a check) is treated by r, and waits for nothing that is open: the host
	// says with its next beat that it serves (epoch, index). Calls come one after
	// another, and r is not written to by either side afterwards.
	ServeRoutes(epoch, index uint64, r fleet.Routes)
}

// SavedRoutes are the routes that a host last kept on its disk.
type SavedRoutes struct {
	Host         fleet.HostID
	Fleet        fleet.FleetID
	Epoch, Index uint64 // as of which they were accepted
	Routes       fleet.Routes
}

const (
	// routesSaveGap is how far apart two writes of the routes are at least, but for the last
	// of an agent: targets change all the time, and what is on disk serves only until a voter
	// is heard.
	routesSaveGap = 10 * time.Second
	// rulesSaveGap is that gap where rules changed, shares among them: they change seldom, and
	// an agent that comes back with shares of before sends requests to a revision that was
	// taken back. Each target adds what writing it takes, up to routesSaveGap.
	rulesSaveGap     = time.Second
	rulesSaveGapEach = 100 * time.Microsecond
	// savedRoutesAfter is how long an agent that starts waits for a voter's word before it
	// serves the routes on its disk. A voter that can be reached answers in a tenth of that.
	// Served at once, they would send requests to targets that are gone, while clients that
	// connect to a socket which was kept open can wait a moment (runtime/ingress/DESIGN.md).
	savedRoutesAfter = 2 * time.Second
)

// routing is what was accepted of routes.
type routing struct {
	at      order // of the last change
	routes  fleet.Routes
	untold  bool // nobody was told to serve them
	told    bool // somebody was told to serve some, or that there are none
	old     bool // they are of before the agent started
	gen     uint64
	ruled   uint64 // gen of the last change of listeners or rules
	targets int    // as of then
	saved   uint64 // gen that is on disk
	saving  uint64 // gen in flight
	writing bool
	savedAt time.Duration // of the last write; no other begins before the gap is over
	tries   int
}

// rememberRoutes takes up what was served before the agent started.
func (m *Machine) rememberRoutes(s SavedRoutes) {
	if s.Host != m.cfg.Host || m.cfg.Fleet != "" && s.Fleet != m.cfg.Fleet {
		return
	}
	m.routing = routing{at: order{s.Epoch, s.Index}, routes: s.Routes, untold: true, old: true}
	m.wants.acceptedAt(m.routing.at)
}

// acceptRoutes takes up what a frame that was accepted says of routes, and has it served
// before the frame is answered.
func (m *Machine) acceptRoutes(f Frame) {
	defer m.tellRoutes()
	if f.Routes == nil {
		return
	}
	r := &m.routing
	routes := r.routes.With(f.Routes)
	r.at = order{f.Epoch, f.Index}
	if routes.Empty() && r.routes.Empty() {
		r.untold = r.untold || !r.told // that there are none is told once: some wait for it
		return
	}
	r.gen++
	if f.Routes.Rules != nil && !reflect.DeepEqual(r.routes.RuleTable(), routes.RuleTable()) {
		r.ruled, r.targets = r.gen, 0
		for i := range routes.Groups {
			r.targets += len(routes.Groups[i].Targets)
		}
	}
	r.routes, r.untold = routes, true
}

// tellRoutes has the routes served that were accepted last.
func (m *Machine) tellRoutes() {
	r := &m.routing
	if !r.untold || m.now.Mono < m.savedRoutesDue() {
		return
	}
	r.untold, r.old, r.told = false, false, true
	m.post("", ServeRoutes{Epoch: r.at.epoch, Index: r.at.index, Routes: r.routes})
}

// savedRoutesDue is when routes of before the agent started may be served; the past where
// they are of no such.
func (m *Machine) savedRoutesDue() time.Duration {
	if !m.routing.untold || !m.routing.old || m.voters.word {
		return 0
	}
	return m.began + savedRoutesAfter
}

// saveRoutes writes the routes, now and then.
func (m *Machine) saveRoutes() {
	r := &m.routing
	if r.saved == r.gen || r.writing || m.now.Mono < m.routesDue() {
		return
	}
	r.writing, r.saving, r.savedAt = true, r.gen, m.stamp()
	m.emit("", withinDisk, SaveRoutes{SavedRoutes{
		Host: m.cfg.Host, Fleet: m.cfg.Fleet, Epoch: r.at.epoch, Index: r.at.index, Routes: r.routes,
	}})
}

func (m *Machine) routesSaved(err error) {
	r := &m.routing
	r.writing = false
	if err != nil {
		r.tries++
		m.recordNote("", NoteRoutesUnsaved, err.Error())
		return
	}
	r.tries, r.saved = 0, r.saving
}

// routesDue is when the routes may be written next.
func (m *Machine) routesDue() time.Duration {
	r := &m.routing
	if r.saved == r.gen || r.writing {
		return noTime
	}
	if r.savedAt == 0 || m.starts.closing {
		return 0
	}
	return r.savedAt + max(r.gap(), backOff(wantedRetry, retryBackOffCap, r.tries))
}

// gap is how long after the last write the next one may begin.
func (r *routing) gap() time.Duration {
	if r.ruled <= r.saved || r.tries > 0 {
		return routesSaveGap
	}
	return min(routesSaveGap, rulesSaveGap+time.Duration(r.targets)*rulesSaveGapEach)
}
