package route

import (
	"sync"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
)

// Group is a target group of one table, or of several in a row if it does not change.
type Group struct {
	Noun    fleet.TargetGroup
	Members []Member // by task
	// Unserved counts requests for which there was no target.
	Unserved *Series
	nouns    []fleet.Target
	zone     string
	cookie   string // the name of the cookie that keeps a client with its target
	sticky   bool
	colour   colour

	mu     sync.Mutex // of whoever makes a choice
	choice atomic.Pointer[Choice]
}

// Member is a target as the table has it.
type Member struct {
	*Target
	State fleet.TargetState
	// warm is when the target takes its full share, on the monotonic clock.
	warm time.Duration
	// warming is for how long its share grows.
	warming time.Duration
}

// Choice is who of a group gets requests now.
type Choice struct {
	Near []*Member // of the asking host's zone, where they are enough; else nil
	All  []*Member
	// FailOpen says that more than half looked bad, so that those that do get requests too:
	// more likely the look is wrong than so many targets.
	FailOpen bool
}

// nearShare of an even share is what a zone's own targets must make up for its requests to
// stay there: 3/4, so that none gets more than a third above the rest.
const nearNumerator, nearDenominator = 3, 4

// Refresh makes the choice anew of the members' states and ejections.
func (g *Group) Refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	known := g.known()
	c := &Choice{}
	for _, m := range known {
		if m.State != fleet.TargetUnhealthy && m.Ejected() == nil {
			c.All = append(c.All, m)
		}
	}
	if bad := len(known) - len(c.All); 2*bad > len(known) {
		c.All, c.FailOpen = known, true
	}
	if !g.Noun.AnyZone {
		c.Near = g.near(c.All)
	}
	g.choice.Store(c)
}

// known are the members that have been checked; where none has, those that have not.
func (g *Group) known() []*Member {
	var checked, unchecked []*Member
	for i := range g.Members {
		switch m := &g.Members[i]; m.State {
		case fleet.TargetHealthy, fleet.TargetUnhealthy:
			checked = append(checked, m)
		case fleet.TargetInitial:
			unchecked = append(unchecked, m)
		case fleet.TargetDraining:
		}
	}
	if len(checked) == 0 {
		return unchecked
	}
	return checked
}

func (g *Group) near(all []*Member) []*Member {
	zones := map[string]int{}
	var near []*Member
	for _, m := range all {
		zones[m.Noun.Zone]++
		if m.Noun.Zone == g.zone {
			near = append(near, m)
		}
	}
	if len(zones) < 2 || len(near)*len(zones)*nearDenominator < len(all)*nearNumerator {
		return nil
	}
	return near
}

// Choice is the current one.
func (g *Group) Choice() *Choice { return g.choice.Load() }

// Tried are the targets that a request has been to, so that a retry goes elsewhere.
type Tried struct {
	targets [4]*Target
	n       int
}

// Add notes a target.
func (t *Tried) Add(target *Target) {
	t.targets[t.n%len(t.targets)] = target
	t.n++
}

// Len is how many were noted.
func (t *Tried) Len() int { return t.n }

func (t *Tried) has(target *Target) bool {
	for _, other := range t.targets[:min(t.n, len(t.targets))] {
		if other == target {
			return true
		}
	}
	return false
}

// draws is how often two are drawn at random before all are looked at.
const draws = 3

// Take chooses a target and counts a request at it, which ends with Release. Line, if not
// nil, is to be added to the answer. A nil target: none may be chosen.
func (g *Group) Take(random func() uint64, mono time.Duration, tried *Tried, cookies Cookies) (*Target, []byte) {
	c := g.choice.Load()
	if g.sticky && cookies != nil && tried.n == 0 {
		if t := c.given(cookies.Cookie(g.cookie)); t != nil && t.take() {
			return t, nil
		}
	}
	from := c.All
	if len(c.Near) > 0 && tried.n == 0 {
		from = c.Near
	}
	t := draw(from, random, mono, tried)
	if t == nil && len(from) != len(c.All) {
		t = draw(c.All, random, mono, tried)
	}
	if t == nil || !g.sticky {
		return t, nil
	}
	return t, cookieLine(g.cookie, t.Cookie, g.Noun.StickyS)
}

// given is the target that a cookie names.
func (c *Choice) given(value []byte) *Target {
	if len(value) == 0 {
		return nil
	}
	for _, m := range c.All {
		if m.Cookie == string(value) && m.Ejected() == nil {
			return m.Target
		}
	}
	return nil
}

// draw takes the less busy of two that are drawn at random. Source: Mitzenmacher, The power
// of two choices in randomized load balancing.
func draw(from []*Member, random func() uint64, mono time.Duration, tried *Tried) *Target {
	n := uint64(len(from))
	if n == 0 {
		return nil
	}
	for range draws {
		r := random()
		a, b := from[(r>>32)*n>>32], from[(r&0xffffffff)*n>>32]
		if m := better(a, b, tried); m != nil && m.isWarm(random, mono) && m.take() {
			return m.Target
		}
	}
	start := random() % n
	for i := range n {
		if m := from[(start+i)%n]; !tried.has(m.Target) && m.take() {
			return m.Target
		}
	}
	return nil
}

// better is the one of two that is not ejected, then the one with less open. One that the
// request has been to is no choice.
func better(a, b *Member, tried *Tried) *Member {
	switch {
	case tried.has(a.Target) && tried.has(b.Target):
		return nil
	case tried.has(a.Target):
		return b
	case tried.has(b.Target):
		return a
	case (a.Ejected() == nil) != (b.Ejected() == nil):
		if a.Ejected() == nil {
			return a
		}
		return b
	case b.Open() < a.Open():
		return b
	default:
		return a
	}
}

// isWarm draws whether a target whose share still grows takes a request.
func (m *Member) isWarm(random func() uint64, mono time.Duration) bool {
	left := m.warm - mono
	if left <= 0 || m.warming <= 0 {
		return true
	}
	// At least a tenth: else the target would not warm.
	share := max(1-float64(left)/float64(m.warming), 0.1)
	return float64(random()>>11)/(1<<53) < share
}
