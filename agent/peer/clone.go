package peer

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

const (
	// formerEvery is how often a voter at another address than State has for its host
	// asks that address whether its host answers there, and formerTry bounds one try.
	formerEvery = time.Second
	formerTry   = time.Second
	// formerKept is how long the last answer counts: a few failed tries on a busy machine do
	// not mean that it is dead. A voter that has moved waits this long before it votes.
	formerKept = 5 * time.Second
	// refusedKept is how long the fleet's word counts that another machine has this
	// host's identity: several of the tries that the link makes meanwhile (clonedPause).
	refusedKept = 30 * time.Second
)

// fence keeps the log of a copied disk away from the fleet: one RaftID must not vote
// on two machines. A machine counts as the copy while the fleet says so, and while
// its host answers at the address that State has for it, which is not its own.
type fence struct {
	mu           sync.Mutex
	refusedUntil time.Duration  // the fleet's word counts until then
	former       netip.AddrPort // the other address
	formerUntil  time.Duration  // its last answer counts until then
	again        time.Duration  // not to ask before
	asking       bool
	dialled      map[*verifiedConn]struct{} // connections of the log to others
}

// fenced reports whether this machine is, as far as is known, a copy of another that
// is alive. A machine at the address that State has never is, so that an agent that
// restarts, or a fleet that was switched off, waits for nobody.
func (p *Port) fenced(log Log) bool {
	former, other := p.formerAddr(log)
	now := p.cfg.Clock.Mono()
	p.fence.mu.Lock()
	defer p.fence.mu.Unlock()
	if now < p.fence.refusedUntil {
		return true
	}
	if !other {
		return false
	}
	if p.fence.former != former {
		p.fence.former, p.fence.formerUntil = former, now+formerKept
	}
	return now < p.fence.formerUntil
}

// formerAddr is where State has this host, and whether that is another address than
// this machine's.
func (p *Port) formerAddr(log Log) (netip.AddrPort, bool) {
	row := log.State().Host(p.self)
	if !p.cfg.Addr.IsValid() || row == nil || !row.Addr.IsValid() {
		return netip.AddrPort{}, false
	}
	return row.Addr, row.Addr != p.cfg.Addr
}

// refusedAsClone notes the fleet's word that another machine has this identity, and
// acceptedByFleet that this one has a session.
func (p *Port) refusedAsClone() { p.fence.refuse(p.cfg.Clock.Mono() + refusedKept) }

func (p *Port) acceptedByFleet() { p.fence.refuse(0) }

func (f *fence) refuse(until time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refusedUntil = until
}

// keepFence asks the other address now and then, and ends the log's connections
// while this machine is fenced.
func (p *Port) keepFence(ctx context.Context) {
	log := p.ownLog()
	if log == nil {
		return
	}
	if former, other := p.formerAddr(log); other && p.fence.begin(p.cfg.Clock.Mono()) {
		p.relaying.Go(func() { p.fence.end(p.cfg.Clock.Mono(), former, p.answersAt(ctx, former)) })
	}
	if p.fenced(log) {
		p.limitedLog.warn("clone", "another machine has this host's identity: cloned disk? The log here does not vote",
			"addr", p.cfg.Addr)
		p.fence.hangUp()
	}
}

func (f *fence) begin(now time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asking || now < f.again {
		return false
	}
	f.asking, f.again = true, now+formerEvery
	return true
}

func (f *fence) end(now time.Duration, former netip.AddrPort, answers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asking = false
	if answers {
		f.former, f.formerUntil = former, now+formerKept
	}
}

// answersAt reports whether an agent with this host's identity answers at an address,
// other than this very agent: a machine may have several addresses.
func (p *Port) answersAt(ctx context.Context, addr netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, formerTry)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn,
		error) {
		return p.dialAt(ctx, addr, p.self, trust.ProtocolRPC)
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(p.self)+PathPing, http.NoBody)
	if err != nil {
		return false
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	var pong PingAnswer
	return readAnswer(response, &pong) == nil && pong.Agent != p.agent
}

// DialRaft connects to another voter's log, by host id. ErrCloned while this machine
// is taken for a copy of another.
func (p *Port) DialRaft(ctx context.Context, host fleet.HostID) (net.Conn, error) {
	if log := p.ownLog(); log != nil && p.fenced(log) {
		return nil, &dialError{fmt.Errorf("this machine does not vote: %w", ErrCloned)}
	}
	conn, err := p.dial(ctx, host, trust.ProtocolRaft)
	if err != nil {
		return nil, err
	}
	p.fence.keep(conn)
	return conn, nil
}

func (f *fence) keep(c *verifiedConn) {
	c.closed = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.dialled, c)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dialled == nil {
		f.dialled = map[*verifiedConn]struct{}{}
	}
	f.dialled[c] = struct{}{}
}

func (f *fence) hangUp() {
	f.mu.Lock()
	conns := slices.Collect(maps.Keys(f.dialled))
	f.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}
