package virtual

import (
	"maps"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// Run is one life of an agent, or of a machine: what it waits for ends with it,
// and stands still while the machine does.
type Run struct {
	net   *Network
	host  fleet.HostID
	over  bool
	late  []func() // came while the machine stood still
	onEnd map[uint64]func()
	asked uint64 // how often OnEnd was called
}

// PowerOn begins the life of a machine, without an agent.
func (n *Network) PowerOn(id fleet.HostID) *Run {
	n.Set(id, Off)
	n.machine(id).power = &Run{net: n, host: id}
	n.Set(id, Down)
	return n.machine(id).power
}

// Begin starts an agent on a machine that has power; the machine is Up then. An
// agent that was there ends first.
func (n *Network) Begin(id fleet.HostID) *Run {
	m := n.machine(id)
	m.life.End()
	m.life = &Run{net: n, host: id}
	if m.condition != Up {
		m.condition = Up
		m.power.thaw()
		n.tell(id)
	}
	return m.life
}

// Over reports whether the agent has ended.
func (l *Run) Over() bool { return l == nil || l.over }

// OnEnd runs f when the agent ends, however it does, unless forget was called before.
func (l *Run) OnEnd(f func()) (forget func()) {
	if l.onEnd == nil {
		l.onEnd = map[uint64]func(){}
	}
	l.asked++
	n := l.asked
	l.onEnd[n] = f
	return func() { delete(l.onEnd, n) }
}

// After runs f in this life, after a while; never once it is over, and not
// before the machine moves again where it stands still.
func (l *Run) After(d time.Duration, f func()) *Timer {
	return l.net.time.After(d, func() { l.run(f) })
}

func (l *Run) run(f func()) {
	switch {
	case l.over:
	case l.net.Condition(l.host) == Frozen:
		l.late = append(l.late, f)
	default:
		f()
	}
}

// thaw has all that came meanwhile happen at once, in order.
func (l *Run) thaw() {
	if l == nil {
		return
	}
	late := l.late
	l.late = nil
	for _, f := range late {
		l.net.time.After(0, func() { l.run(f) })
	}
}

// End ends a life; ending it twice, or nil, is harmless.
func (l *Run) End() {
	if l == nil || l.over {
		return
	}
	l.over, l.late = true, nil
	onEnd := l.onEnd
	l.onEnd = nil
	for _, n := range slices.Sorted(maps.Keys(onEnd)) {
		onEnd[n]()
	}
}
