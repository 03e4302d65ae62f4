package route

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

// A client that is kept has a number from 0 to TotalWeight - 1, which never changes: its
// place on the line on which the groups' weights lie one after the other. The group at that
// place is the client's. While one group's weight grows and another's falls, each client
// changes over once, and the clients of each are the share that the weights say.
//
// A cookie also names the revision that the client has reached, since groups do not last:
// what one deployment brought into the alternate group is in the first one after it. So a
// client that has reached a revision goes on to a newer one when its place says so, and back
// to an older one only once its own has no weight at all.

// place is where a client's number lies.
type place uint16

// placeOf spreads a hash, or a random number, over all places evenly.
func placeOf(h uint64) place {
	at, _ := bits.Mul64(h, fleet.TotalWeight)
	return place(at)
}

// mark stands for a revision. It says nothing of it to who does not know it.
type mark [6]byte

// markOf differs by rule.
func markOf(rule fleet.RuleID, revision string) (m mark) {
	sum := sha256.Sum256([]byte("skein revision\x00" + string(rule) + "\x00" + revision))
	copy(m[:], sum[:])
	return m
}

// ticket is what a cookie says: a client's place, the revision that it reached, and when
// that was written, in minutes.
type ticket struct {
	place  place
	mark   mark
	minute uint32
}

const ticketBytes = 2 + len(mark{}) + 4

var ticketText = base64.RawURLEncoding

func (t ticket) append(dst []byte) []byte {
	var b [ticketBytes]byte
	binary.BigEndian.PutUint16(b[:], uint16(t.place))
	copy(b[2:], t.mark[:])
	binary.BigEndian.PutUint32(b[2+len(mark{}):], t.minute)
	return ticketText.AppendEncode(dst, b[:])
}

// readTicket reads a cookie's value; not ok: it is none of ours.
func readTicket(value []byte) (t ticket, ok bool) {
	var b [ticketBytes]byte
	if len(value) != ticketText.EncodedLen(ticketBytes) {
		return t, false
	}
	if _, err := ticketText.Decode(b[:], value); err != nil {
		return t, false
	}
	t.place = place(binary.BigEndian.Uint16(b[:]))
	copy(t.mark[:], b[2:])
	t.minute = binary.BigEndian.Uint32(b[2+len(mark{}):])
	return t, t.place < fleet.TotalWeight
}

func minuteOf(now time.Time) uint32 { return uint32(now.Unix() / 60) }

// pickKept is Pick for a rule that keeps clients by a cookie.
func (f *forward) pickKept(cookies Cookies, now time.Time) (*Group, []byte) {
	given, known := ticket{}, false
	if cookies != nil {
		given, known = readTicket(cookies.Cookie(f.cookie))
	}
	if !known {
		given = ticket{place: placeOf(f.turn.next())}
	}
	s := f.shareAt(given.place)
	if known && s != nil {
		s = f.reached(given.mark, s)
	}
	if s == nil || s.group == nil {
		return nil, nil
	}
	next := ticket{given.place, s.mark(), minuteOf(now)}
	if known && next.mark == given.mark && !f.stale(given, next) {
		return s.group, nil
	}
	return s.group, f.line(next)
}

// stale reports whether a cookie is to be given anew, so that a client who comes again and
// again is kept for ever: after half of its time.
func (f *forward) stale(given, next ticket) bool {
	age := int64(next.minute) - int64(given.minute)
	return age < 0 || age*60*2 >= int64(f.seconds)
}

func (f *forward) line(t ticket) []byte {
	value := t.append(make([]byte, 0, 24))
	return cookieLine(f.cookie, string(value), f.seconds)
}

// shareAt is the share at a place; nil: no group has weight.
func (f *forward) shareAt(at place) *share {
	for i := range f.shares {
		if s := &f.shares[i]; s.weight > 0 && int(at) < s.upto {
			return s
		}
	}
	return nil
}

// reached is the share of a client that has reached a revision and whose place is in another
// share: its own while that has weight and the other is not newer.
func (f *forward) reached(m mark, at *share) *share {
	if at.has(m) {
		return at
	}
	passed := false
	for i := range f.shares {
		s := &f.shares[i]
		passed = passed || s == at
		if s.weight > 0 && s.has(m) {
			if s.colour.isOlder(&at.colour, !passed) {
				return at
			}
			return s
		}
	}
	return at
}

// colour is what is known of a group's revisions: those of targets that do not drain.
type colour struct {
	service   string
	newest    int // number of the newest revision; 0: there is none
	revisions []fleet.RevisionID
}

func colourOf(targets []fleet.Target) (c colour) {
	for _, t := range targets {
		if t.State == fleet.TargetDraining || slices.Contains(c.revisions, t.Revision) {
			continue
		}
		c.revisions = append(c.revisions, t.Revision)
		if service, n := t.Revision.Split(); n > c.newest {
			c.service, c.newest = service, n
		}
	}
	return c
}

// isOlder reports whether the other colour is newer. Revisions of two services cannot be
// compared: of them, and of groups without targets, the one that stands first in the rule's
// list is taken for the older.
func (c *colour) isOlder(other *colour, first bool) bool {
	if c.newest == 0 || other.newest == 0 || c.service != other.service {
		return first
	}
	return c.newest < other.newest
}

// marks are those of all revisions, the newest first. A group without targets has one of
// its own.
func (c *colour) marks(rule fleet.RuleID, group fleet.TargetGroupName) []mark {
	if len(c.revisions) == 0 {
		return []mark{markOf(rule, "group "+string(group))}
	}
	newest := fleet.MakeRevisionID(c.service, c.newest)
	var marks []mark
	for _, revision := range c.revisions {
		m := markOf(rule, string(revision))
		if revision == newest {
			marks = slices.Insert(marks, 0, m)
		} else {
			marks = append(marks, m)
		}
	}
	return marks
}

func (s *share) mark() mark { return s.marks[0] }

func (s *share) has(m mark) bool { return slices.Contains(s.marks, m) }

// placeOfHeader is the place of a client that is known by a header; not ok: it sent none.
// It is the same for every rule, so that a client is among the first of all services or of
// none.
func placeOfHeader(r *Request, name string) (at place, ok bool) {
	if r == nil || r.Fields == nil {
		return 0, false
	}
	r.Fields.Values(name, func(value []byte) bool {
		if value = bytes.TrimSpace(value); len(value) > 0 {
			h := fnv.New64a()
			_, _ = h.Write(value)
			at, ok = placeOf(spread(h.Sum64())), true
		}
		return !ok
	})
	return at, ok
}

// spread makes each bit of a hash depend on each other. Source: the finalizer of MurmurHash3.
func spread(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// cookieName differs by what the cookie is for, and is the same on every host.
func cookieName(what, of string) string { return fmt.Sprintf("skein-%s-%08x", what, uint32(hash(of))) }

func cookieLine(name, value string, seconds int) []byte {
	return fmt.Appendf(nil, "Set-Cookie: %s=%s; Max-Age=%d; Path=/; HttpOnly\r\n", name, value, seconds)
}
