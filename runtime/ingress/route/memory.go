package route

import (
	"net/netip"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/upstream"
)

// Memory is what outlives tables. Whoever compiles must do so alone; all else may be
// called from any goroutine.
type Memory struct {
	zone   string
	random func() uint64
	dial   upstream.DialFunc
	last   map[fleet.TargetGroupName]*Group // of the last table; of whoever compiles

	mu      sync.Mutex
	targets map[targetKey]*Target
	rules   map[fleet.RuleID]*ruleMemory
	series  map[seriesKey]*Series
	woken   chan struct{} // closed when the last request of a leaving target ends
}

// ruleMemory is what outlives a rule's compilation.
type ruleMemory struct {
	turn     *Turn
	requests Counter
}

type targetKey struct {
	group fleet.TargetGroupName
	task  fleet.TaskID
	addr  netip.AddrPort
}

type seriesKey struct {
	group    fleet.TargetGroupName
	revision fleet.RevisionID
}

// NewMemory makes an empty memory of a host in the zone.
func NewMemory(zone string, random func() uint64, dial upstream.DialFunc) *Memory {
	return &Memory{
		zone: zone, random: random, dial: dial,
		targets: map[targetKey]*Target{}, rules: map[fleet.RuleID]*ruleMemory{}, series: map[seriesKey]*Series{},
		woken: make(chan struct{}),
	}
}

// target returns the target of the key, which it makes if it is new. One that was leaving
// and is wanted again may be chosen as soon as requests read the table.
func (m *Memory) target(group fleet.TargetGroupName, noun fleet.Target) *Target {
	key := targetKey{group, noun.Task, noun.Addr}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.targets[key]; t != nil {
		if noun.State != fleet.TargetDraining && t.leaving.Swap(false) {
			t.Pool.Open()
		}
		return t
	}
	t := &Target{
		Group: group, Noun: noun, Pool: upstream.NewPool(noun.Addr.String(), m.dial),
		Series: m.seriesLocked(seriesKey{group, noun.Revision}),
		Cookie: CookieValue(string(noun.Task)), memory: m, wellFrom: -2 * ejectForget,
	}
	m.targets[key] = t
	return t
}

// unserved is the series of requests for which the group has no target.
func (m *Memory) unserved(group fleet.TargetGroupName) *Series {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seriesLocked(seriesKey{group: group})
}

func (m *Memory) seriesLocked(key seriesKey) *Series {
	s := m.series[key]
	if s == nil {
		s = &Series{}
		m.series[key] = s
	}
	return s
}

func (m *Memory) rule(id fleet.RuleID) *ruleMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rules[id] == nil {
		m.rules[id] = &ruleMemory{turn: newTurn(m.random())}
	}
	return m.rules[id]
}

// Retire marks what drains in the table, or is not in it, as leaving, once the table is
// what requests read; and forgets what is not in it and has nothing open.
func (m *Memory) Retire(table *Table) {
	stays := map[*Target]bool{} // false: it drains
	for _, g := range table.Groups {
		for i := range g.Members {
			stays[g.Members[i].Target] = g.Members[i].State != fleet.TargetDraining
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	used := map[seriesKey]bool{}
	for name := range table.Groups {
		used[seriesKey{group: name}] = true
	}
	for key, t := range m.targets {
		stay, in := stays[t]
		leaving := !stay
		if leaving && !t.leaving.Swap(true) {
			t.Pool.Close()
		}
		if !in && t.Open() == 0 {
			delete(m.targets, key)
			continue
		}
		used[seriesKey{t.Group, t.Noun.Revision}] = true
	}
	for key := range m.series {
		if !used[key] {
			delete(m.series, key)
		}
	}
	for id := range m.rules {
		if !table.hasRule(id) {
			delete(m.rules, id)
		}
	}
	m.wakeLocked()
}

// Drained reports whether the task gets nothing new and has nothing open. A task that was
// never a target is drained.
func (m *Memory) Drained(task fleet.TaskID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drainedLocked(task)
}

func (m *Memory) drainedLocked(task fleet.TaskID) bool {
	for key, t := range m.targets {
		if key.task == task && (!t.Leaving() || t.Open() > 0) {
			return false
		}
	}
	return true
}

// AwaitDrained is Drained, and a channel that is closed when it is worth asking again.
func (m *Memory) AwaitDrained(task fleet.TaskID) (bool, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.drainedLocked(task), m.woken
}

func (m *Memory) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wakeLocked()
}

func (m *Memory) wakeLocked() {
	close(m.woken)
	m.woken = make(chan struct{})
}

// Targets are all that are in tables or have something open.
func (m *Memory) Targets() []*Target {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Target, 0, len(m.targets))
	for _, t := range m.targets {
		all = append(all, t)
	}
	return all
}

// EachSeries calls each with every series; one of no revision is of requests for which the
// group had no target.
func (m *Memory) EachSeries(each func(fleet.TargetGroupName, fleet.RevisionID, *Series)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, s := range m.series {
		each(key.group, key.revision, s)
	}
}

// Trim closes connections that have lain idle for too long, and reports whether any are left.
func (m *Memory) Trim(mono time.Duration) (left bool) {
	for _, t := range m.Targets() {
		left = t.Pool.Trim(mono) > 0 || left
	}
	return left
}
