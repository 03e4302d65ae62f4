package link

import (
	"errors"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Outbox has a host's newest report committed: it is asked of one voter after
// another, again and again, until one commits it, one refuses it for good, its
// session is over or a newer one takes its place. Not safe for concurrent use.
type Outbox struct {
	pending *fleet.Report // nil: nothing to send
	number  uint64        // of the send under way, or of the last
	sending bool
	round   []fleet.HostID // still to be asked in this round
	began   time.Duration  // of the round
	tries   int            // rounds that failed
	retryAt time.Duration
}

// Send is a report to be sent to a voter now. What became of it goes to Answered.
type Send struct {
	Number uint64
	Voter  fleet.HostID
	Report *fleet.Report
}

// Fate is what became of a report.
type Fate uint8

// The fates.
const (
	Pending    Fate = iota // not committed yet: it is sent again
	Committed              // now, or before
	Refused                // it can never be committed
	OldSession             // its session is over: machines take SessionEnded
)

// Offer takes a report, unless it is not newer than the one that is pending.
func (o *Outbox) Offer(r fleet.Report) {
	if p := o.pending; p != nil && (r.Session < p.Session || r.Session == p.Session && r.Seq <= p.Seq) {
		return
	}
	o.pending = &r
	o.round, o.retryAt = nil, 0
}

// Due is when Next has something to send, at the latest.
func (o *Outbox) Due() time.Duration {
	if o.pending == nil || o.sending {
		return protocol.Never
	}
	return o.retryAt
}

// Next is what to send now. voters are those to ask, the first first; they are
// asked for when a round begins.
func (o *Outbox) Next(now time.Duration, voters func() []fleet.HostID) (Send, bool) {
	if now < o.Due() {
		return Send{}, false
	}
	if len(o.round) == 0 {
		o.round, o.began = voters(), now
		if len(o.round) == 0 {
			o.failed(now)
			return Send{}, false
		}
	}
	voter := o.round[0]
	o.round = o.round[1:]
	o.sending = true
	o.number++
	return Send{Number: o.number, Voter: voter, Report: o.pending}, true
}

// Answered takes what became of a report that was sent.
func (o *Outbox) Answered(now time.Duration, s Send, err error) Fate {
	if s.Number != o.number || !o.sending {
		return Pending
	}
	o.sending = false
	newer := o.pending != s.Report
	fate := fateOf(err)
	switch {
	case newer:
		// It is sent at once; what became of the one before still counts.
	case fate != Pending:
		o.pending, o.round, o.tries = nil, nil, 0
	case len(o.round) == 0 || now-o.began >= ReportTime:
		o.failed(now)
	}
	return fate
}

// failed waits until the next round.
func (o *Outbox) failed(now time.Duration) {
	o.round = nil
	o.retryAt = now + backoffBase + min(BackoffMost, backoffBase<<min(o.tries, 10))/2
	o.tries++
}

func fateOf(err error) Fate {
	switch {
	case err == nil:
		return Committed
	case errors.Is(err, fleet.ErrOldSession):
		return OldSession
	case errors.Is(err, fleet.ErrInvalid), errors.Is(err, protocol.ErrTooLarge), errors.Is(err, protocol.ErrMalformed),
		errors.Is(err, protocol.ErrForbidden):
		return Refused
	}
	return Pending
}

// ReportTo orders voters for a report: the one streamed from first; without a
// stream the one that was lost last comes last.
func (s Status) ReportTo(voters []fleet.HostID) []fleet.HostID {
	if s.Up && !slices.Contains(voters, s.Voter) {
		voters = append(voters, s.Voter)
	}
	rank := func(v fleet.HostID) int {
		switch {
		case s.Up && v == s.Voter:
			return -1
		case !s.Up && v == s.Left:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(voters, func(a, b fleet.HostID) int { return rank(a) - rank(b) })
	return voters
}
