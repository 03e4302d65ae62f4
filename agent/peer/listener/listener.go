// Package listener accepts the connections of the peer port: it verifies each one's certificate, tells protocols
// apart by ALPN and hands each connection to the listener of its protocol. What is not verified is bounded in number,
// time and bytes.
//
// It does not serve any protocol, and asks nothing of State: whether a verified peer may make a call is asked by each
// call.
package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/connlimit"
	"skein/runtime/seam/ratelog"
)

// Listener is the peer port. It verifies each connection's certificate and
// hands it to the listener of its protocol. A connection that does not get that far is
// dropped and counted.
type Listener struct {
	raw     net.Listener
	config  *tls.Config
	perHost int
	log     *ratelog.Log
	alpn    map[string]*alpnRoute

	half *connlimit.Limiter // connections without a verified certificate

	mu     sync.Mutex
	hosts  map[fleet.HostID]int // rpc connections
	raft   map[*Conn]struct{}
	counts map[string]uint64
}

// New wraps a TCP listener; Run accepts. config is from trust.IdentityStore.ServerConfig. One certificate may have
// perHost rpc connections.
func New(raw net.Listener, config *tls.Config, perHost int, log *ratelog.Log) *Listener {
	l := &Listener{
		raw: raw, config: config, perHost: perHost, log: log,
		alpn: map[string]*alpnRoute{}, counts: map[string]uint64{},
		half:  connlimit.New(MaxHalfOpen, MaxHalfOpenPerSource),
		hosts: map[fleet.HostID]int{}, raft: map[*Conn]struct{}{},
	}
	for _, protocol := range []string{trust.ProtocolRPC, trust.ProtocolRaft, trust.ProtocolBlob, trust.ProtocolJoin} {
		l.alpn[protocol] = &alpnRoute{addr: raw.Addr()}
	}
	return l
}

// ALPN takes the verified connections of one protocol (trust.ProtocolRPC ...);
// who had taken them before gets net.ErrClosed. While nobody has, or after
// Close, connections of that protocol are refused.
func (l *Listener) ALPN(protocol string) net.Listener { return l.alpn[protocol].take() }

// Counts is how many connections came to which end: "accepted" and reasons for
// refusal.
func (l *Listener) Counts() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.counts)
}

// HalfOpen is how many connections have no verified certificate now.
func (l *Listener) HalfOpen() int { return l.half.Open() }

// Run accepts until ctx ends or the listener fails for good. It returns after
// all handshakes have.
func (l *Listener) Run(ctx context.Context) error {
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	stop := context.AfterFunc(ctx, func() { _ = l.raw.Close() })
	defer stop()
	for {
		conn, err := l.raw.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// Out of descriptors, or the peer has gone: both pass.
			l.refuse("accept-failed", nil, err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		verified, err := l.half.Take(connlimit.SourceOf(conn.RemoteAddr()))
		if err != nil {
			l.refuse(refusal(err), conn, nil)
			_ = conn.Close()
			continue
		}
		handshakes.Go(func() { l.handshake(ctx, conn, verified) })
	}
}

// handshake verifies a half-open connection; done is called when it no longer counts as
// half-open.
func (l *Listener) handshake(ctx context.Context, raw net.Conn, done func()) {
	ctx, cancel := context.WithTimeout(ctx, protocol.HandshakeTime)
	defer cancel()
	bounded := connlimit.Bound(raw, MaxHandshake)
	conn := tls.Server(bounded, l.config)
	if err := conn.HandshakeContext(ctx); err != nil {
		l.refuse(refusal(err), raw, err)
		hangUp(raw)
		done()
		return
	}
	bounded.Lift()
	verified, reason, err := l.admit(conn, done)
	if reason == "" && !l.alpn[conn.ConnectionState().NegotiatedProtocol].put(verified) {
		reason = "not-served"
	}
	if reason != "" {
		l.refuse(reason, raw, err)
		_ = verified.Close()
		return
	}
	l.count("accepted")
}

// admit turns a half-open connection into one of its protocol, or says why not.
func (l *Listener) admit(conn *tls.Conn, done func()) (*Conn, string, error) {
	state := conn.ConnectionState()
	c := &Conn{Conn: conn}
	if state.NegotiatedProtocol == trust.ProtocolJoin {
		// Nobody is verified here: it counts as half-open until it is closed.
		c.closed = done
		return c, "", nil
	}
	done()
	var err error
	if c.Peer, err = trust.PeerOf(state); err != nil {
		return c, "bad-certificate", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state.NegotiatedProtocol {
	case trust.ProtocolRPC:
		if l.hosts[c.Peer.Host] >= l.perHost {
			return c, "too-many-of-host", nil
		}
		l.hosts[c.Peer.Host]++
		c.closed = sync.OnceFunc(func() { l.leave(c.Peer.Host) })
	case trust.ProtocolRaft:
		l.raft[c] = struct{}{}
		c.closed = sync.OnceFunc(func() { l.leaveRaft(c) })
	}
	return c, "", nil
}

func (l *Listener) leave(host fleet.HostID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts[host]--; l.hosts[host] <= 0 {
		delete(l.hosts, host)
	}
}

func (l *Listener) leaveRaft(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.raft, c)
}

// SweepRaft closes raft connections whose peer may not have them any more.
func (l *Listener) SweepRaft(allowed func(trust.Peer) error) {
	l.mu.Lock()
	conns := slices.Collect(maps.Keys(l.raft))
	l.mu.Unlock()
	for _, c := range conns {
		if err := allowed(c.Peer); err != nil {
			l.refuse("raft-ended", c, err)
			_ = c.Close()
		}
	}
}

// hangUp closes so that the alert just sent arrives: closing with bytes unread
// would reset the connection and take the reason with it.
func hangUp(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	half, ok := raw.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || raw.SetDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, raw, drainBytes)
}

// refusal names why a connection was not taken, for counting.
func refusal(err error) string {
	// crypto/tls has no sentinel for it.
	if strings.Contains(err.Error(), "client didn't provide a certificate") {
		return "no-certificate"
	}
	var record tls.RecordHeaderError
	for _, r := range []struct {
		err  error
		name string
	}{
		{connlimit.ErrFull, "too-many-half-open"},
		{connlimit.ErrSourceFull, "too-many-half-open-of-source"},
		{connlimit.ErrTooMuch, "handshake-too-long"},
		{trust.ErrNoCertificate, "no-certificate"},
		{trust.ErrForeignAuthority, "foreign-authority"},
		{trust.ErrForeignFleet, "foreign-fleet"},
		{trust.ErrExpired, "expired"},
		{trust.ErrNotYetValid, "not-yet-valid"},
		{trust.ErrNotVoter, "not-voter"},
		{trust.ErrProtocol, "no-protocol"},
		{trust.ErrUnknownHost, "unknown-host"},
		{trust.ErrBadCertificate, "bad-certificate"},
		{context.DeadlineExceeded, "too-slow"},
		{io.EOF, hungUp},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	if errors.As(err, &record) {
		return "not-tls"
	}
	return "handshake-failed"
}

func (l *Listener) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *Listener) refuse(reason string, conn net.Conn, err error) {
	l.count(reason)
	attrs := []any{"reason", reason}
	if conn != nil {
		attrs = append(attrs, "from", conn.RemoteAddr().String())
	}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	level := slog.LevelWarn
	if reason == hungUp {
		level = slog.LevelDebug // a witness's look, or a port scan
	}
	l.log.Say(level, reason, "peer connection refused", attrs...)
}

// hungUp is a connection that ended before it said anything.
const hungUp = "hung-up"

// Conn is a connection whose certificate was verified, or one of a newcomer. It hides the
// TLS connection's type: net/http would else take our ALPN names for protocols of its own
// and hang up.
type Conn struct {
	net.Conn
	Peer   trust.Peer // zero for joins
	closed func()     // gives back what it counts for; may be nil
}

func (c *Conn) Close() error {
	if c.closed != nil {
		c.closed()
	}
	return c.Conn.Close()
}
