package route

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/bits"
	"sync/atomic"

	"skein/raftfsm/fleet"
)

// Turn is where a rule's weights are in their sequence. Each step goes on by the golden
// ratio of the circle, which spreads any number of steps evenly over it, so that the
// error of n requests grows with the logarithm of n and not with its root. Each host
// begins at a random place: the requests of many quiet hosts together are then a random
// sample at worst.
type Turn struct{ at atomic.Uint64 }

// golden is the golden ratio's fraction of 2^64. Source: Knuth, The Art of Computer
// Programming, volume 3, 6.4.
const golden = 0x9e3779b97f4a7c15

func newTurn(start uint64) *Turn {
	t := &Turn{}
	t.at.Store(start)
	return t
}

func (t *Turn) next() uint64 { return t.at.Add(golden) }

// forward is a fleet.Forward, ready to be asked.
type forward struct {
	shares []share
	turn   *Turn
	sticky bool
	cookie string // its name
}

type share struct {
	group  *Group
	weight int
	upto   uint64 // of the circle; this share begins where the one before ends
	value  string // of the cookie
	line   []byte // that gives the cookie
}

func newForward(rule fleet.Rule, groups map[fleet.TargetGroupName]*Group, turn *Turn) *forward {
	noun := rule.Action.Forward
	f := &forward{turn: turn, sticky: noun.StickyS > 0, cookie: cookieName("group", string(rule.ID))}
	total, last := 0, -1
	for i, g := range noun.Groups {
		total += g.Weight
		s := share{group: groups[g.Group], weight: g.Weight, upto: partOfCircle(total), value: CookieValue(string(g.Group))}
		s.line = cookieLine(f.cookie, s.value, noun.StickyS)
		f.shares = append(f.shares, s)
		if g.Weight > 0 {
			last = i
		}
	}
	if last >= 0 {
		f.shares[last].upto = math.MaxUint64 // the sum is TotalWeight, but for what division loses
	}
	return f
}

// partOfCircle is weight / TotalWeight of 2^64.
func partOfCircle(weight int) uint64 {
	if weight >= fleet.TotalWeight {
		return math.MaxUint64
	}
	part, _ := bits.Div64(uint64(max(weight, 0)), 0, fleet.TotalWeight)
	return part
}

// Pick returns the group that takes the request. A client that has been given a group
// stays with it while that has any weight at all: the share of a version that is being
// brought in may be lowered and raised without sending its clients to and fro. Line, if
// not nil, is to be added to the answer. A nil group: no group has weight, or the one that
// was drawn is not in the table.
func (r *Rule) Pick(cookies Cookies) (group *Group, line []byte) {
	f := r.forward
	if f.sticky && cookies != nil {
		given := cookies.Cookie(f.cookie)
		for i := range f.shares {
			if s := &f.shares[i]; s.weight > 0 && string(given) == s.value {
				return s.group, nil
			}
		}
	}
	at := f.turn.next()
	for i := range f.shares {
		s := &f.shares[i]
		if s.weight > 0 && (at < s.upto || s.upto == math.MaxUint64) {
			if f.sticky {
				line = s.line
			}
			return s.group, line
		}
	}
	return nil, nil
}

// Cookies are those of a request.
type Cookies interface {
	Cookie(name string) []byte // nil: there is none
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}

// cookieName differs by what the cookie is for, and is the same on every host.
func cookieName(what, of string) string { return fmt.Sprintf("skein-%s-%08x", what, uint32(hash(of))) }

// CookieValue stands for a name that clients need not know. It is no secret: who guesses
// it chooses among groups, or targets, that rules give to everybody.
func CookieValue(name string) string { return fmt.Sprintf("%016x", hash(name)) }

func cookieLine(name, value string, seconds int) []byte {
	return fmt.Appendf(nil, "Set-Cookie: %s=%s; Max-Age=%d; Path=/; HttpOnly\r\n", name, value, seconds)
}
