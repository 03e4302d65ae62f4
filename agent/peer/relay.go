package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

const (
	// maxAway bounds how far a voter may be from the leader: the leader is 1 away
	// from whoever asks, a voter with a link to it 2, and two others may stand in
	// between. In a fleet of three voters 3 is the most.
	maxAway = 4
	// relayFor is how long a way to the leader counts after it was last seen to work.
	relayFor = time.Second
	// relayEvery is how often a voter without a link to the leader looks for
	// another way, and relayAsk bounds one question.
	relayEvery = 250 * time.Millisecond
	relayAsk   = 500 * time.Millisecond
)

// relay knows the way from this voter to the leader. Usually that is the link to
// it. A voter whose link is cut, or whose log stalls so that it does not know who
// leads, asks the other voters how far they are, and goes through the nearest.
type relay struct {
	mu      sync.Mutex
	leader  fleet.HostID  // that answered last
	heard   time.Duration // when it did
	through fleet.HostID  // the voter to go through; empty for none
	away    int           // of the leader, through that voter
	found   time.Duration // when it said so
	again   time.Duration // not to ask before
	asking  bool
}

// hear notes that the leader has answered.
func (r *relay) hear(now time.Duration, leader fleet.HostID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leader, r.heard, r.through = leader, now, ""
}

// linked reports whether the leader has answered this voter within relayFor.
func (r *relay) linked(now time.Duration, leader fleet.HostID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leader == leader && leader != "" && now-r.heard < relayFor
}

// way is the voter to go through, and how far the leader is that way.
func (r *relay) way(now time.Duration) (through fleet.HostID, away int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.through, r.away, r.through != "" && now-r.found < relayFor
}

// begin reports whether to ask the others now.
func (r *relay) begin(now time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asking || now < r.again {
		return false
	}
	r.asking, r.again = true, now+relayEvery
	return true
}

// end notes the nearest voter, if any is near enough.
func (r *relay) end(now time.Duration, through fleet.HostID, away int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking = false
	if through != "" && away <= maxAway {
		r.through, r.away, r.found = through, away, now
	}
}

// away is how many calls it takes a voter that asks to reach the leader through this
// one; 0 when this voter knows no way, or only one through the voter that asks.
func (p *Port) away(log Log, asker fleet.HostID) int {
	now := p.cfg.Clock.Mono()
	if log == nil {
		return 0
	}
	if log.IsLeader() {
		return 1
	}
	if leader, ok := log.Leader(); ok && p.relay.linked(now, leader) {
		return 2
	}
	if through, away, ok := p.relay.way(now); ok && through != asker && away < maxAway {
		return away + 1
	}
	return 0
}

// seekRelay has the other voters asked, where the leader does not answer this one.
func (p *Port) seekRelay(ctx context.Context, log Log) {
	now := p.cfg.Clock.Mono()
	if leader, ok := log.Leader(); ok && p.relay.linked(now, leader) || !p.relay.begin(now) {
		return
	}
	p.relaying.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, relayAsk)
		defer cancel()
		through, away := p.nearest(bounded)
		p.relay.end(p.cfg.Clock.Mono(), through, away)
	})
}

// nearest asks all other voters at once how far the leader is from them.
func (p *Port) nearest(ctx context.Context) (through fleet.HostID, away int) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, voter := range p.Voters() {
		if voter == p.self {
			continue
		}
		all.Go(func() {
			var pong PingAnswer
			if p.call(ctx, voter, PathPing, nil, &pong) != nil || pong.Away <= 0 {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if away == 0 || pong.Away < away || pong.Away == away && voter < through {
				through, away = voter, pong.Away
			}
		})
	}
	all.Wait()
	return through, away
}

// toLeader is whom to send what only the leader does: the leader, or the voter to
// go through. ErrNoLeader when no way is known.
func (p *Port) toLeader(log Log) (to fleet.HostID, relayed bool, err error) {
	now := p.cfg.Clock.Mono()
	leader, known := log.Leader()
	known = known && leader != p.self
	if known && p.relay.linked(now, leader) {
		return leader, false, nil
	}
	if through, _, ok := p.relay.way(now); ok && through != leader {
		return through, true, nil
	}
	if known {
		return leader, false, nil
	}
	return "", false, ErrNoLeader
}

// askLeader asks what only the leader knows, by the way that is known to it and
// with at most so many calls. in is given how many may be made after this one:
// none where whoever is asked leads, as far as this voter knows.
func (p *Port) askLeader(ctx context.Context, log Log, path string, calls int, in func(left int) any, out any) error {
	if calls <= 0 {
		return ErrNotLeader
	}
	to, through, err := p.toLeader(log)
	if err != nil {
		return err
	}
	left := 0
	if through {
		left = calls - 1
	}
	return p.call(ctx, to, path, in(left), out)
}

// checkLeft refuses a bound that no voter of the fleet sets.
func checkLeft(left int) error {
	if left < 0 || left > maxAway {
		return fmt.Errorf("%d calls left, at most %d: %w", left, maxAway, ErrMalformed)
	}
	return nil
}

// relayed is a proposal on its way through voters that do not lead.
type relayed struct {
	Left  int    `cbor:"1,keyasint"` // how many more calls may be made to bring it to the leader
	Entry []byte `cbor:"2,keyasint"`
}

// relayHere commits another voter's items, here or further on. The calls that are
// left bound the way, so that voters which each take the other for nearer pass
// nothing on for ever.
func (p *Port) relayHere(c *call) (any, error) {
	in, err := decode[relayed](c)
	if err != nil {
		return nil, err
	}
	if err = checkLeft(in.Left); err != nil {
		return nil, err
	}
	entry, err := wire.DecodeEntry(in.Entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(entry.Items) == 0 {
		return nil, fmt.Errorf("no commands: %w", ErrMalformed)
	}
	results, index, err := p.proposeBy(c.ctx, c.log, entry.Items, in.Left)
	if err != nil {
		return nil, err
	}
	return ProposeAnswer{Index: index, Results: encodeResults(results)}, nil
}
