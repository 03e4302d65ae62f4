package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"skein/agent/effects"
	"skein/agent/peer/link"
	"skein/agent/peer/listener"
	"skein/agent/peer/rpc"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/ratelog"
)

// Config is what a peer port needs. Functions must return at once; those marked
// optional may be nil.
type Config struct {
	Identity *trust.IdentityStore
	// Log is this host's log, or nil while it has none; asked on every call, so
	// it may come and go. The same log must be the same comparable value.
	Log func() Log
	// Translate turns the log adapter's errors into this package's sentinels;
	// optional.
	Translate func(error) error
	// API answers forwarded requests on a voter, below no prefix, with a Caller in
	// the context; optional.
	API   http.Handler
	Voter VoterHooks
	// Addr is where this agent listens, as it tells the fleet: a log whose State has
	// its host elsewhere votes only when nobody answers there. Zero: not looked at.
	Addr  netip.AddrPort
	Clock clock.Clock
	Logs  *slog.Logger
	// Starved says that this agent is late by its own measure; optional.
	Starved func() bool
	// Answered is how long ago a host answered gossip, the veto against silence;
	// optional.
	Answered func(fleet.HostID) (time.Duration, bool)
	// Report is the newest capacity report of a host from wherever: gossip, or what
	// Reported was told; optional.
	Report func(fleet.HostID) (fleet.CapacityReport, bool)
	// Reported takes each capacity report that rides a stream to this voter, and on
	// the leader those that ride streams to others; optional.
	Reported func(fleet.CapacityReport)
	// Runners carry out effects on this host, by kind; optional.
	Runners map[string]effects.Runner
	// Dial connects to other agents; nil: the system's. A seam for faults.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// Port is one host's peer port.
type Port struct {
	cfg        Config
	self       fleet.HostID
	listener   *listener.Listener
	authority  trust.Authority
	issuer     *trust.Issuer
	admission  *trust.Admission
	dialer     *rpc.Dialer
	client     *rpc.Client
	flight     *flight
	limitedLog *ratelog.Log
	hub        *hub
	batch      *batcher
	detector   *FailureDetector
	runners    *effects.Runners
	way        leaderWay
	fence      cloneFence
	agent      uint64 // at random: tells this agent from another with its identity
	relaying   sync.WaitGroup
	serving    serving
	streams    *rate.Limiter // new ones per second
	joins      *rate.Limiter
	doubts     *rate.Limiter // see surely
	joining    chan struct{} // slots
}

// New makes the port of the host whose identity the folder holds, on a TCP
// listener that Run will close. Nothing runs before Run.
func New(cfg Config, raw net.Listener) *Port {
	p := &Port{cfg: cfg, self: cfg.Identity.Host(), agent: rand.Uint64()}
	p.authority = trust.NewAuthority(p.state, cfg.Identity.Roster)
	p.issuer = trust.NewIssuer(cfg.Identity, p.state)
	p.admission = &trust.Admission{State: p.state, Propose: p.proposeJoin, Issuer: p.issuer, Now: cfg.Clock.Now,
		MaySign: p.maySign}
	p.limitedLog = ratelog.New(cfg.Logs)
	p.listener = listener.New(raw, cfg.Identity.ServerConfig(cfg.Clock.Now, p.authority), maxConnsPerHost, p.limitedLog)
	p.dialer = &rpc.Dialer{Identity: cfg.Identity, Authority: p.authority, Clock: cfg.Clock, Addr: p.addrOf,
		Connect: cfg.Dial}
	p.client = rpc.NewClient(p.dialer)
	p.flight = newFlight()
	p.hub = newHub(cfg.Clock)
	p.batch = newBatcher(p.Propose, p.leads, cfg.Clock)
	p.detector = newFailureDetector(p)
	p.runners = effects.NewRunners(cfg.Clock, cfg.Runners)
	p.streams = rate.NewLimiter(newStreams, newStreams)
	p.joins = rate.NewLimiter(joinsPerSecond, joinsPerSecond)
	p.doubts = rate.NewLimiter(doubtsPerSecond, doubtsPerSecond)
	p.joining = make(chan struct{}, joinInFlight)
	return p
}

// Run serves until ctx ends, then tells every stream to look elsewhere and
// closes. It returns when all it started has ended; it waits servedWithin for calls that
// do not end though their connections are closed.
func (p *Port) Run(ctx context.Context) error {
	calls := p.newServer(p.routes())
	join := p.newServer(p.joinRoutes())
	callLane, joinLane := p.listener.ALPN(trust.ProtocolRPC), p.listener.ALPN(trust.ProtocolJoin)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	fail := make(chan error, 1)
	start := func(run func() error) {
		all.Go(func() {
			if err := run(); err != nil {
				select {
				case fail <- err:
				default:
				}
			}
			cancel()
		})
	}
	start(func() error { return p.listener.Run(ctx) })
	start(func() error { return served(calls.Serve(callLane)) })
	start(func() error { return served(join.Serve(joinLane)) })
	start(func() error { p.batch.run(ctx); return nil })
	start(func() error { p.detector.run(ctx); return nil })
	start(func() error { return p.runners.Run(ctx) })

	<-ctx.Done()
	p.hub.closeAll(trust.Problem{Code: "try-again", Message: "this voter's agent stops"})
	_, _ = calls.Close(), join.Close()
	p.client.CloseIdle()
	all.Wait()
	p.hub.wait()
	if left := p.serving.finish(servedWithin); left > 0 {
		p.cfg.Logs.Error("calls have not ended with the peer port", "calls", left, "within", servedWithin)
	}
	select {
	case err := <-fail:
		return fmt.Errorf("peer port: %w", err)
	default:
		return nil
	}
}

func served(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (p *Port) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: p.serving.count(handler), MaxHeaderBytes: rpc.MaxHeader,
		ReadHeaderTimeout: headerTime, IdleTimeout: rpc.IdleTime,
		ErrorLog: slog.NewLogLogger(p.cfg.Logs.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			if verified, ok := conn.(*listener.Conn); ok {
				ctx = context.WithValue(ctx, peerKey{}, verified.Peer)
			}
			return ctx
		},
	}
}

// Raft is the peer port's raft connections, from current voters only.
func (p *Port) Raft() net.Listener { return p.listener.ALPN(trust.ProtocolRaft) }

// sweepRaft ends raft connections of hosts that are voters no more: who holds one
// could go on sending entries.
func (p *Port) sweepRaft() {
	now := p.cfg.Clock.Now()
	p.listener.SweepRaft(func(peer trust.Peer) error {
		if err := peer.Valid(now); err != nil {
			return err // it dials again with the next
		}
		if log := p.ownLog(); log != nil && p.fenced(log) {
			return ErrCloned
		}
		return trust.CheckVoter(p.authority, peer)
	})
}

// Authority is what this host knows of others' standing.
func (p *Port) Authority() trust.Authority { return p.authority }

// Issuer signs certificates while this host is a voter.
func (p *Port) Issuer() *trust.Issuer { return p.issuer }

// Counts is how many connections came to which end, for metrics.
func (p *Port) Counts() map[string]uint64 { return p.listener.Counts() }

// Streams is how many hosts stream from this voter.
func (p *Port) Streams() int { return p.hub.len() }

// FailureDetector are the leader's view of the fleet.
func (p *Port) FailureDetector() *FailureDetector { return p.detector }

// LeaderAge is how long ago State here was known to be the leader's newest: 0
// when this voter leads, negative when it never was in this agent's life.
func (p *Port) LeaderAge() time.Duration { return p.detector.age() }

// log is this host's log as far as the fleet goes: nil while it has none, and while
// this machine is taken for a copy of another.
func (p *Port) log() Log {
	if log := p.ownLog(); log != nil && !p.fenced(log) {
		return log
	}
	return nil
}

func (p *Port) ownLog() Log {
	if p.cfg.Log == nil {
		return nil
	}
	return p.cfg.Log()
}

func (p *Port) state() *fleet.State {
	if log := p.log(); log != nil {
		return log.State()
	}
	return nil
}

func (p *Port) leads() bool {
	log := p.log()
	return log != nil && log.IsLeader()
}

// roster is the newest voters known here.
func (p *Port) roster() trust.Roster { return p.cfg.Identity.Roster().With(p.state()) }

// addrOf is where a host listens, by State or, where that is newer, the roster.
func (p *Port) addrOf(host fleet.HostID) (netip.AddrPort, error) {
	if addr, ok := p.roster().Addr(host); ok {
		return addr, nil
	}
	if st := p.state(); st != nil {
		if h := st.Host(host); h != nil && h.Addr.IsValid() {
			return h.Addr, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%s: no address: %w", host, trust.ErrUnknownHost)
}

// Voters are the hosts to ask first, for a request that any voter answers: those
// whose State is current, this host last.
func (p *Port) Voters() []fleet.HostID {
	roster := p.roster()
	return link.Preferred(p.self, roster)
}

// reported hands on a capacity report that came on a stream.
func (p *Port) reported(r fleet.CapacityReport) {
	if p.cfg.Reported != nil {
		p.cfg.Reported(r)
	}
}

// call asks one thing of one host; see rpc.Client.
func (p *Port) call(ctx context.Context, host fleet.HostID, path string, in, out any) error {
	return p.client.Call(ctx, host, path, in, out)
}

// sleep waits and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
