package entry

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	// ProbeEvery is the pause between questions whether somebody has an address.
	ProbeEvery = 100 * time.Millisecond
	// Unanswered is how many questions nobody must have answered before we say that an
	// address is ours; of a host without a lease, which knows least, UnansweredWithout.
	Unanswered        = 3
	UnansweredWithout = 10
	// ConflictPause is how long we leave an address alone that another began to claim
	// while we held it, and how often we look after while another has it.
	ConflictPause = time.Second
	// HandOver is how long a former holder may take to fall silent before we ask seldom.
	HandOver = 2 * time.Second
	// DoubtEvery is how often a holder without a lease asks whether another has taken
	// over: two hosts whose parts of a network meet again both answer for that long at most.
	DoubtEvery = 500 * time.Millisecond
	// AnnounceEvery repeats the announcement for neighbours that missed the first ones.
	AnnounceEvery = time.Minute
	// MaxAnswers bounds the answers in AnswerWindow; who goes unanswered asks again.
	MaxAnswers   = 256
	AnswerWindow = 100 * time.Millisecond
)

// announcements are when a new holder announces itself: caches take a change within a
// second of another late, and frames are lost.
var announcements = []time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 1200 * time.Millisecond,
	5 * time.Second}

// Role is what a host has to do with an address.
type Role uint8

const (
	// Holding is to answer for the address.
	Holding Role = iota + 1
	// Former takes what comes for the address and does not answer for it: another holds
	// it by now, and relays the connections that began here.
	Former
)

// Lease is how long this host may answer for what it holds, by the clock's monotonic
// time. See DESIGN.md for who may give one.
type Lease struct {
	// Until is how long nobody else can have been given what this host holds.
	Until time.Duration
	// WithoutLeader is how long this host may go on after that, since it hears a voter
	// that hears no leader: it then asks the neighbours again and again, and leaves an
	// address to the first who wants it. A host that hears no voter falls silent.
	WithoutLeader time.Duration
}

// phase is where a host is with an address.
type phase uint8

const (
	silent phase = iota
	// lapsed: we answered, and the lease ran out. A new one says that the fleet has given
	// the address to nobody else meanwhile, so we go on at once.
	lapsed
	probing   // asking whether somebody has it
	answering // it is ours
	yielding  // without a lease another was heard: silent until there is one
)

// claim is one address.
type claim struct {
	role       Role
	assignment uint64
	notBefore  time.Duration
	phase      phase
	since      time.Duration // of the phase
	probeAt    time.Duration // when to ask next
	unanswered int           // questions since somebody said that it has the address
	announced  int
	announceAt time.Duration
	other      mac // who said last that it has the address
}

// foreign reports whether another has the address, who does not hand it over: this host
// then must not take for itself what is sent to it.
func (one *claim) foreign(now time.Duration) bool {
	return one.phase == probing && one.other != (mac{}) && now >= one.since+HandOver
}

func (one *claim) enter(p phase, now time.Duration) {
	if one.phase != p {
		one.phase, one.since = p, now
	}
}

// fallSilent is for want of a lease. Who yields goes on to do so.
func (one *claim) fallSilent(now time.Duration) {
	switch one.phase {
	case answering:
		one.enter(lapsed, now)
	case probing:
		one.enter(silent, now)
	case silent, lapsed, yielding:
	}
}

func (one *claim) startProbing(now, at time.Duration) {
	one.phase, one.since, one.probeAt, one.unanswered = probing, now, at, 0
}

// act is what is to be sent.
type act struct {
	addr netip.Addr
	kind actKind
	to   heard // whom an answer goes to
}

type actKind uint8

const (
	sendProbe actKind = iota + 1
	sendAnnouncement
	sendAnswer
)

// claims decides for all addresses of a host. It is pure: time and frames come in, what
// is to be sent comes out.
type claims struct {
	own    map[netip.Addr]mac // our own interface's, by address
	all    map[netip.Addr]*claim
	lease  Lease
	window time.Duration
	sent   int // answers in the window
}

func newClaims() *claims { return &claims{own: map[netip.Addr]mac{}, all: map[netip.Addr]*claim{}} }

// set makes the addresses exactly those of want; what it knows of others it forgets.
func (c *claims) set(now time.Duration, want []Address, own map[netip.Addr]mac) []act {
	c.own = own
	c.keep(func(addr netip.Addr) bool {
		return slices.ContainsFunc(want, func(w Address) bool { return w.Addr == addr })
	})
	for _, w := range want {
		one := c.all[w.Addr]
		if one == nil {
			one = &claim{}
			c.all[w.Addr] = one
		}
		if one.role != w.Role || one.assignment != w.Assignment {
			one.enter(silent, now)
		}
		one.role, one.assignment, one.notBefore = w.Role, w.Assignment, w.NotBefore
	}
	return c.advance(now)
}

// keep forgets all addresses but some.
func (c *claims) keep(those func(netip.Addr) bool) {
	maps.DeleteFunc(c.all, func(addr netip.Addr, _ *claim) bool { return !those(addr) })
}

// quiet makes the host silent for all but what it is to hold.
func (c *claims) quiet(now time.Duration, want []Address) {
	c.keep(func(addr netip.Addr) bool {
		return slices.ContainsFunc(want, func(w Address) bool { return w.Addr == addr })
	})
	for _, w := range want {
		if one := c.all[w.Addr]; one != nil && w.Role != Holding {
			one.role = w.Role
			one.enter(silent, now)
		}
	}
}

// takes reports whether the host is to take what is sent to an address: never before it
// may answer, since until then the address may be another machine's, which this host
// would cut itself off from. What it once took it goes on to take (kept), until another
// has the address for longer than a hand-over lasts.
func (c *claims) takes(now time.Duration, addr netip.Addr, kept bool) bool {
	one := c.all[addr]
	switch {
	case one == nil:
		return kept
	case one.foreign(now):
		return false
	case one.role == Former:
		return kept || one.other == (mac{})
	}
	return kept || one.phase == answering || one.phase == lapsed
}

// fail has an address be tried again later which the host could not take.
func (c *claims) fail(now time.Duration, addr netip.Addr) {
	if one := c.all[addr]; one != nil {
		one.startProbing(now, now+ConflictPause)
	}
}

// held lists the addresses that this host answers for.
func (c *claims) held(now time.Duration) (out []netip.Addr) {
	for addr, one := range c.all {
		if c.answers(now, one) {
			out = append(out, addr)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// renew makes the lease longer. An older one takes nothing away, since what voters say
// comes in any order. First it is seen that one is over: a machine that stood still must
// not go on as if nothing had happened meanwhile.
func (c *claims) renew(now time.Duration, lease Lease) []act {
	before := c.advance(now)
	c.lease.Until = max(lease.Until, c.lease.Until)
	c.lease.WithoutLeader = max(lease.WithoutLeader, c.lease.WithoutLeader)
	return append(before, c.advance(now)...)
}

func (c *claims) fresh(now time.Duration) bool { return now < c.lease.Until }

// allowed reports whether this host may hold anything now.
func (c *claims) allowed(now time.Duration) bool { return c.fresh(now) || now < c.lease.WithoutLeader }

// answers reports whether who asks for the address now is answered.
func (c *claims) answers(now time.Duration, one *claim) bool {
	return one.phase == answering && c.allowed(now)
}

// advance does what time brings.
func (c *claims) advance(now time.Duration) []act {
	var out []act
	for addr, one := range c.all {
		out = append(out, c.advanceOne(now, addr, one)...)
	}
	slices.SortFunc(out, func(a, b act) int { return a.addr.Compare(b.addr) })
	return out
}

func (c *claims) advanceOne(now time.Duration, addr netip.Addr, one *claim) []act {
	switch {
	case one.role != Holding:
		one.enter(silent, now)
	case !c.allowed(now):
		one.fallSilent(now)
	case one.phase == lapsed && c.fresh(now):
		one.enter(answering, now)
	case one.phase == silent, one.phase == lapsed, one.phase == yielding && c.fresh(now):
		one.startProbing(now, now)
	}
	if one.phase == probing && now >= c.takeAt(now, one) {
		one.enter(answering, now)
		one.announced, one.announceAt, one.other = 0, now, mac{}
	}
	switch {
	case one.phase == answering && now >= one.announceAt:
		one.announced++
		one.announceAt = now + AnnounceEvery
		if one.announced < len(announcements) {
			one.announceAt = one.since + announcements[one.announced]
		}
		return []act{{addr: addr, kind: sendAnnouncement}}
	case one.phase == probing && now >= one.probeAt:
		one.probeAt = now + ProbeEvery
		one.unanswered++
		return []act{{addr: addr, kind: sendProbe}}
	case one.phase == answering && !c.fresh(now) && now >= one.probeAt:
		one.probeAt = now + DoubtEvery
		return []act{{addr: addr, kind: sendProbe}}
	}
	return nil
}

// takeAt is when the address is ours if nobody says before that it has it.
func (c *claims) takeAt(now time.Duration, one *claim) time.Duration {
	need := Unanswered
	if !c.fresh(now) {
		need = UnansweredWithout
	}
	return max(one.probeAt+time.Duration(need-one.unanswered)*ProbeEvery, one.notBefore)
}

// hear takes what a neighbour said.
func (c *claims) hear(now time.Duration, h heard) []act {
	if one := c.all[h.claimed]; one != nil && h.from != c.own[h.claimed] {
		c.contest(now, one, h.from)
	}
	one := c.all[h.asked]
	if one == nil || h.from == c.own[h.asked] || !c.allowed(now) {
		return nil
	}
	live := one.phase == answering || one.phase == probing
	switch {
	case live && h.probe() && !c.fresh(now):
		one.other = h.from
		one.enter(yielding, now)
	case c.answers(now, one) && c.mayAnswer(now):
		return []act{{addr: h.asked, kind: sendAnswer, to: h}}
	}
	return nil
}

// contest takes that another says the address is its own: we leave it to it, whoever is
// right, until it is silent. The fleet is told, and only it can tell which of the two is wrong.
func (c *claims) contest(now time.Duration, one *claim, from mac) {
	if one.role != Holding {
		return
	}
	one.other = from
	live := one.phase == answering || one.phase == probing
	switch {
	case live && !c.fresh(now):
		one.enter(yielding, now)
	case one.phase == lapsed:
		one.enter(silent, now)
	case one.phase == answering:
		one.startProbing(now, now+ConflictPause)
	case one.phase == probing:
		one.unanswered = 0
		if now >= one.since+HandOver {
			one.probeAt = now + ConflictPause
		}
	}
}

func (c *claims) mayAnswer(now time.Duration) bool {
	if now >= c.window+AnswerWindow {
		c.window, c.sent = now, 0
	}
	c.sent++
	return c.sent <= MaxAnswers
}

// next is when advance has something to do, if nothing happens before.
func (c *claims) next(now time.Duration) (at time.Duration, ok bool) {
	for _, one := range c.all {
		switch one.phase {
		case probing:
			at, ok = sooner(at, ok, min(one.probeAt, c.takeAt(now, one)))
		case answering:
			at, ok = sooner(at, ok, one.announceAt)
			if c.fresh(now) {
				at, ok = sooner(at, ok, c.lease.Until)
			} else {
				at, ok = sooner(at, ok, min(one.probeAt, c.lease.WithoutLeader))
			}
		case silent, lapsed, yielding:
		}
	}
	return at, ok
}

func sooner(at time.Duration, ok bool, other time.Duration) (time.Duration, bool) {
	if ok && at <= other {
		return at, true
	}
	return other, true
}
