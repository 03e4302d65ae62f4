package route

import (
	"fmt"
	"hash/fnv"
	"strings"
	"sync/atomic"
	"time"

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
	shares  []share
	turn    *Turn
	seconds int    // for which a client is kept by a cookie; 0: it is not
	cookie  string // its name
	header  string // by which clients are known, in small letters; empty: they are not
}

type share struct {
	group  *Group // nil: it is not in the table
	weight int
	upto   int // of TotalWeight; this share begins where the one before ends
	colour colour
	marks  []mark // of its revisions, the newest first; where clients are kept by a cookie
}

func newForward(rule fleet.Rule, groups map[fleet.TargetGroupName]*Group, turn *Turn) *forward {
	noun := rule.Action.Forward
	f := &forward{turn: turn, seconds: noun.StickyS, cookie: cookieName("group", string(rule.ID)),
		header: strings.ToLower(noun.StickyHeader)}
	total := 0
	for _, g := range noun.Groups {
		total += g.Weight
		s := share{group: groups[g.Group], weight: g.Weight, upto: total}
		if s.group != nil {
			s.colour = s.group.colour
		}
		if f.seconds > 0 {
			s.marks = s.colour.marks(rule.ID, g.Group)
		}
		f.shares = append(f.shares, s)
	}
	return f
}

// Pick returns the group that takes the request. Where the rule keeps clients, it is that of
// the client's place; see sticky.go. Line, if not nil, is to be added to the answer. A nil
// group: no group has weight, or the one that was drawn is not in the table.
func (r *Rule) Pick(request *Request, cookies Cookies, now func() time.Time) (group *Group, line []byte) {
	f := r.forward
	switch {
	case f.seconds > 0:
		group, line = f.pickKept(cookies, now())
	case f.header != "":
		at, known := placeOfHeader(request, f.header)
		if !known {
			at = placeOf(f.turn.next())
		}
		group = f.groupAt(at)
	default:
		group = f.groupAt(placeOf(f.turn.next()))
	}
	return group, line
}

func (f *forward) groupAt(at place) *Group {
	if s := f.shareAt(at); s != nil {
		return s.group
	}
	return nil
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

// CookieValue stands for a name that clients need not know. It is no secret: who guesses
// it chooses among groups, or targets, that rules give to everybody.
func CookieValue(name string) string { return fmt.Sprintf("%016x", hash(name)) }
