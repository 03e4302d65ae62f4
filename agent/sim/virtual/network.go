package virtual

import (
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// Condition is what a machine is for the others.
type Condition uint8

// The conditions, from worst to best.
const (
	Off    Condition = iota // without power, or never heard of: nothing answers
	Frozen                  // stands still: its kernel accepts, nobody answers
	Down                    // the machine runs, its agent does not: dials are refused
	Up
)

func (c Condition) String() string {
	return [...]string{"off", "frozen", "agent down", "up"}[c]
}

// Reply is what a dial finds.
type Reply uint8

// The replies.
const (
	Silent Reply = iota
	Refused
	Connected
)

// NetworkConditions is how messages fare; the zero value is a still network.
type NetworkConditions struct {
	Delay     time.Duration // of each message
	Jitter    time.Duration // up to so much more
	SlowTail  float64       // share of messages that take ten times as long
	Loss      float64       // share of messages that get lost
	Duplicate float64       // share that comes twice
}

// Network carries messages between machines.
type Network struct {
	time       *Time
	chance     *Chance
	conditions NetworkConditions
	machines   map[fleet.HostID]*machine
	cuts       []*cut
	watchers   []func(fleet.HostID)
}

type machine struct {
	condition Condition
	slow      float64
	life      *Run // of its agent
	power     *Run // of the machine itself
}

// cut is traffic that is dropped, one way.
type cut struct{ from, to map[fleet.HostID]bool }

// NewNetwork makes a network without machines.
func NewNetwork(t *Time, seed uint64, w NetworkConditions) *Network {
	return &Network{time: t, chance: NewChance(seed, "network"), conditions: w, machines: map[fleet.HostID]*machine{}}
}

// SetConditions changes how messages fare from now on.
func (n *Network) SetConditions(w NetworkConditions) { n.conditions = w }

// Watch calls after every change of a machine's condition with its name, and
// with an empty one after a cut or its end.
func (n *Network) Watch(changed func(fleet.HostID)) { n.watchers = append(n.watchers, changed) }

func (n *Network) tell(id fleet.HostID) {
	for _, w := range n.watchers {
		w(id)
	}
}

func (n *Network) machine(id fleet.HostID) *machine {
	m := n.machines[id]
	if m == nil {
		m = &machine{slow: 1}
		n.machines[id] = m
	}
	return m
}

// Condition is what a machine is now.
func (n *Network) Condition(id fleet.HostID) Condition {
	if m := n.machines[id]; m != nil {
		return m.condition
	}
	return Off
}

// Set changes what a machine is. Off and Down end the life of its agent, Off also
// that of the machine. A machine that stood still goes on where its agent ends: what
// else waited on it is not held back by an agent that is gone.
func (n *Network) Set(id fleet.HostID, c Condition) {
	m := n.machine(id)
	if m.condition == c {
		return
	}
	m.condition = c
	switch {
	case c == Off:
		m.power.End()
		m.life.End()
		m.power, m.life = nil, nil
	case c == Down:
		m.power.thaw()
		m.life.End()
		m.life = nil
	case c == Up:
		m.power.thaw()
		m.life.thaw()
	}
	n.tell(id)
}

// Slow has a machine take so many times as long for everything; 1 is normal.
func (n *Network) Slow(id fleet.HostID, factor float64) { n.machine(id).slow = factor }

// Takes is how long a machine needs for what takes d elsewhere.
func (n *Network) Takes(id fleet.HostID, d time.Duration) time.Duration {
	return time.Duration(float64(d) * n.machine(id).slow)
}

// Cut drops what is sent from some machines to others, until heal is called.
func (n *Network) Cut(from, to []fleet.HostID) (heal func()) {
	c := &cut{from: set(from), to: set(to)}
	n.cuts = append(n.cuts, c)
	n.tell("")
	return func() {
		n.cuts = slices.DeleteFunc(n.cuts, func(o *cut) bool { return o == c })
		n.tell("")
	}
}

func set(ids []fleet.HostID) map[fleet.HostID]bool {
	s := make(map[fleet.HostID]bool, len(ids))
	for _, id := range ids {
		s[id] = true
	}
	return s
}

// Heal ends all cuts.
func (n *Network) Heal() {
	if len(n.cuts) > 0 {
		n.cuts = nil
		n.tell("")
	}
}

// Passes reports whether a packet from one machine arrives at another, if that
// has power.
func (n *Network) Passes(from, to fleet.HostID) bool {
	for _, c := range n.cuts {
		if c.from[from] && c.to[to] {
			return false
		}
	}
	return true
}

// Linked reports whether two agents hear each other. A host is linked to itself
// while its agent is up.
func (n *Network) Linked(a, b fleet.HostID) bool {
	return n.Condition(a) == Up && n.Condition(b) == Up && (a == b || n.Passes(a, b) && n.Passes(b, a))
}

// Dial is what a dial from one agent to another finds.
func (n *Network) Dial(from, to fleet.HostID) Reply {
	switch c := n.Condition(to); {
	case from != to && !(n.Passes(from, to) && n.Passes(to, from)), c == Off:
		return Silent
	case c == Down:
		return Refused
	default:
		return Connected
	}
}

// Send runs f on the other side after a delay: never, if the message is lost, or
// if the agent there is not the one that was there when it was sent.
func (n *Network) Send(from, to fleet.HostID, f func()) {
	run := n.machine(to).life
	if run == nil || from != to && (!n.Passes(from, to) || n.chance.Is(n.conditions.Loss)) {
		return
	}
	n.deliver(from, to, run, f)
	if from != to && n.chance.Is(n.conditions.Duplicate) {
		n.deliver(from, to, run, f)
	}
}

// resendAfter and resendFor are how long a connection waits before it sends a
// packet again that was lost, and after how long it gives up.
const (
	resendAfter = 250 * time.Millisecond
	resendFor   = 2 * time.Second
)

// Carry runs f on the other side as Send does, over a connection: what gets lost
// is sent again for a while, and comes once.
func (n *Network) Carry(from, to fleet.HostID, f func()) {
	run := n.machine(to).life
	if run != nil {
		n.carry(from, to, run, n.time.Now()+resendFor, f)
	}
}

func (n *Network) carry(from, to fleet.HostID, run *Run, until time.Duration, f func()) {
	again := func() {
		if n.time.Now() < until {
			run.After(resendAfter, func() { n.carry(from, to, run, until, f) })
		}
	}
	if from != to && (!n.Passes(from, to) || n.chance.Is(n.conditions.Loss)) {
		again()
		return
	}
	run.After(n.delay(from, to), func() {
		if from != to && !n.Passes(from, to) {
			again()
			return
		}
		f()
	})
}

func (n *Network) deliver(from, to fleet.HostID, run *Run, f func()) {
	run.After(n.delay(from, to), func() {
		if from == to || n.Passes(from, to) {
			f()
		}
	})
}

func (n *Network) delay(from, to fleet.HostID) time.Duration {
	if from == to {
		return 10 * time.Microsecond
	}
	d := n.chance.Between(n.conditions.Delay, n.conditions.Delay+n.conditions.Jitter)
	if n.chance.Is(n.conditions.SlowTail) {
		d *= 10
	}
	return time.Duration(float64(d) * max(n.machine(from).slow, n.machine(to).slow))
}
