package rpc

import (
	"context"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
)

// Dialer connects to other agents. Its fields are set once.
type Dialer struct {
	Identity  *trust.IdentityStore
	Authority trust.Authority
	Clock     clock.Clock
	// Addr is where a host listens.
	Addr func(fleet.HostID) (netip.AddrPort, error)
	// Connect makes the connection below; nil: the system's. A seam for faults.
	Connect func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// DialAddr connects to an address and asks nobody who is there.
func (d *Dialer) DialAddr(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if d.Connect != nil {
		return d.Connect(ctx, addr)
	}
	return system.DialContext(ctx, "tcp", addr.String())
}

// system ends a connection to a machine that is gone: what was asked of it over
// one is asked elsewhere, instead of waiting out the deadline of each call.
var system = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: protocol.GoneAfter / 2, Interval: protocol.GoneAfter / 2,
		Count: 2},
	Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if failed := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(protocol.GoneAfter.Milliseconds()))
		}); failed != nil {
			return failed
		}
		return err
	},
}

// Dial connects to a host and verifies that it is that host. Any error is a NotSentError.
func (d *Dialer) Dial(ctx context.Context, host fleet.HostID, alpn string) (net.Conn, error) {
	addr, err := d.Addr(host)
	if err != nil {
		return nil, &NotSentError{Err: err}
	}
	return d.DialAt(ctx, addr, host, alpn)
}

// DialAt is Dial where the address is known.
func (d *Dialer) DialAt(ctx context.Context, addr netip.AddrPort, host fleet.HostID, alpn string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, protocol.HandshakeTime)
	defer cancel()
	raw, err := d.DialAddr(ctx, addr)
	if err != nil {
		return nil, &NotSentError{Err: err}
	}
	config := d.Identity.ClientConfig(host, alpn, d.Clock.Now, d.Authority)
	verified, err := trust.Handshake(ctx, raw, config)
	if err != nil {
		return nil, &NotSentError{Err: err}
	}
	return conn{verified}, nil
}

// conn hides the TLS connection's type: net/http would else take our ALPN names for
// protocols of its own and hang up.
type conn struct{ net.Conn }
