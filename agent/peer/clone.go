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

	"skein/agent/peer/fence"
	"skein/agent/peer/rpc"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// cloneFence runs agent/peer/fence, and ends the log's connections while this machine is
// fenced.
type cloneFence struct {
	mu      sync.Mutex
	rules   fence.Fence
	dialled map[*raftConn]struct{} // connections of the log to others
}

func (f *cloneFence) with(do func(*fence.Fence)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do(&f.rules)
}

// fenced reports whether this machine is taken for a copy of another that is alive.
func (p *Port) fenced(log Log) (fenced bool) {
	former := p.formerAddr(log)
	p.fence.with(func(f *fence.Fence) { fenced = f.Fenced(p.cfg.Clock.Mono(), former) })
	return fenced
}

func (p *Port) formerAddr(log Log) netip.AddrPort {
	return fence.Former(log.State(), p.self, p.cfg.Addr)
}

// refusedAsClone notes the fleet's word that another machine has this identity, and
// acceptedByFleet that this one has a session.
func (p *Port) refusedAsClone() {
	p.fence.with(func(f *fence.Fence) { f.Refused(p.cfg.Clock.Mono()) })
}

func (p *Port) acceptedByFleet() { p.fence.with((*fence.Fence).Accepted) }

// keepFence asks the other address now and then, and ends the log's connections
// while this machine is fenced.
func (p *Port) keepFence(ctx context.Context) {
	log := p.ownLog()
	if log == nil {
		return
	}
	former, ask := p.formerAddr(log), false
	p.fence.with(func(f *fence.Fence) { ask = f.Ask(p.cfg.Clock.Mono(), former) })
	if ask {
		p.relaying.Go(func() {
			answers := p.answersAt(ctx, former)
			p.fence.with(func(f *fence.Fence) { f.Answered(p.cfg.Clock.Mono(), former, answers) })
		})
	}
	if p.fenced(log) {
		p.limitedLog.Warn("clone", "another machine has this host's identity: cloned disk? The log here does not vote",
			"addr", p.cfg.Addr)
		p.fence.hangUp()
	}
}

// answersAt reports whether an agent with this host's identity answers at an address,
// other than this very agent: a machine may have several addresses.
func (p *Port) answersAt(ctx context.Context, addr netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(ctx, fence.AskFor)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn,
		error) {
		return p.dialer.DialAt(ctx, addr, p.self, trust.ProtocolRPC)
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
	return rpc.ReadAnswer(response, &pong) == nil && pong.Agent != p.agent
}

// DialRaft connects to another voter's log, by host id. ErrCloned while this machine
// is taken for a copy of another.
func (p *Port) DialRaft(ctx context.Context, host fleet.HostID) (net.Conn, error) {
	if log := p.ownLog(); log != nil && p.fenced(log) {
		return nil, &rpc.NotSentError{Err: fmt.Errorf("this machine does not vote: %w", ErrCloned)}
	}
	conn, err := p.dialer.Dial(ctx, host, trust.ProtocolRaft)
	if err != nil {
		return nil, err
	}
	return p.fence.keep(conn), nil
}

// raftConn is a connection of the log to another voter.
type raftConn struct {
	net.Conn
	of *cloneFence
}

func (c *raftConn) Close() error {
	c.of.mu.Lock()
	delete(c.of.dialled, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

func (f *cloneFence) keep(dialled net.Conn) *raftConn {
	c := &raftConn{dialled, f}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dialled == nil {
		f.dialled = map[*raftConn]struct{}{}
	}
	f.dialled[c] = struct{}{}
	return c
}

func (f *cloneFence) hangUp() {
	f.mu.Lock()
	conns := slices.Collect(maps.Keys(f.dialled))
	f.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}
