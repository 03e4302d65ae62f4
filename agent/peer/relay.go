package peer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/relay"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// leaderWay runs agent/peer/relay.
type leaderWay struct {
	mu    sync.Mutex
	rules relay.Relay
}

func (w *leaderWay) with(do func(*relay.Relay)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do(&w.rules)
}

// heard notes that the leader has answered.
func (w *leaderWay) heard(now time.Duration, leader fleet.HostID) {
	w.with(func(r *relay.Relay) { r.Hear(now, leader) })
}

// place is what this host's log says of the leader.
func (p *Port) place(log Log) relay.Place {
	at := relay.Place{Self: p.self, Leads: log.IsLeader()}
	if leader, ok := log.Leader(); ok {
		at.Leader = leader
	}
	return at
}

// away is how far the leader is from a host that asks, by way of this one; 0 for no way.
func (p *Port) away(log Log, asker fleet.HostID) (away int) {
	at := p.place(log)
	p.way.with(func(r *relay.Relay) { away = r.Away(p.cfg.Clock.Mono(), at, asker) })
	return away
}

// seekRelay has the other voters asked, where the leader does not answer this one.
func (p *Port) seekRelay(ctx context.Context, log Log) {
	at, ask := p.place(log), false
	p.way.with(func(r *relay.Relay) { ask = r.Ask(p.cfg.Clock.Mono(), at) })
	if !ask {
		return
	}
	p.relaying.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, relay.AskFor)
		defer cancel()
		words := p.askAway(bounded)
		p.way.with(func(r *relay.Relay) { r.Answered(p.cfg.Clock.Mono(), words) })
	})
}

// askAway asks all other voters at once how far the leader is from them.
func (p *Port) askAway(ctx context.Context) (words []relay.Word) {
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, voter := range p.Voters() {
		if voter == p.self {
			continue
		}
		all.Go(func() {
			var pong PingAnswer
			if p.call(ctx, voter, PathPing, nil, &pong) != nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			words = append(words, relay.Word{Voter: voter, Away: pong.Away})
		})
	}
	all.Wait()
	return words
}

// nextHop is whom to call with what only the leader does, with at most so many calls.
func (p *Port) nextHop(log Log, calls int) (hop relay.Hop, err error) {
	at := p.place(log)
	p.way.with(func(r *relay.Relay) { hop, err = r.Next(p.cfg.Clock.Mono(), at, calls) })
	return hop, err
}

// untilMoved ends a call on its way to the leader once the way moved: it will not be
// answered before the caller has given up. answered ends the watch, so that what has
// begun to come is taken to its end.
func (p *Port) untilMoved(
	ctx context.Context, log Log, hop relay.Hop,
) (_ context.Context, answered func(), _ context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		for sleep(watching, intake.ProposePause) {
			if p.moved(log, hop) {
				cancel()
			}
		}
	}()
	return ctx, stop, cancel
}

func (p *Port) moved(log Log, hop relay.Hop) (moved bool) {
	at := p.place(log)
	p.way.with(func(r *relay.Relay) { moved = r.Moved(p.cfg.Clock.Mono(), at, hop) })
	return moved
}

// askLeader asks what only the leader knows, by the way that is known to it and
// with at most so many calls. in is given how many may be made after this one.
func (p *Port) askLeader(ctx context.Context, log Log, path string, calls int, in func(left int) any, out any) error {
	hop, err := p.nextHop(log, calls)
	if err != nil {
		return err
	}
	return p.call(ctx, hop.To, path, in(hop.Left), out)
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
	if err = relay.CheckLeft(in.Left); err != nil {
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
	return ProposeAnswer{Index: index, Results: rpc.EncodeResults(results)}, nil
}
