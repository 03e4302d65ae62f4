// Package connlimit bounds what connections cost before their peer is
// authenticated: how many there are, in all and of one source, and how many
// bytes are read from each. The peer port and the gossip port share it. It does
// not own deadlines, authentication, or limits of peers that are authenticated.
package connlimit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

var (
	// ErrFull says that as many connections are open as may be.
	ErrFull = errors.New("too many unauthenticated connections")
	// ErrSourceFull says the same of one source.
	ErrSourceFull = errors.New("too many unauthenticated connections of one source")
	// ErrTooMuch says that a peer sent more than it may before it is authenticated.
	ErrTooMuch = errors.New("too many bytes before authentication")
)

// Limiter counts connections. All methods may be called from any goroutine.
type Limiter struct {
	total, perSource int

	mu      sync.Mutex
	open    int
	sources map[netip.Addr]int
}

// New makes a limiter of total connections, perSource of them from one source.
func New(total, perSource int) *Limiter {
	return &Limiter{total: total, perSource: perSource, sources: make(map[netip.Addr]int)}
}

// Take counts one connection until release is called; further calls of release
// do nothing. Errors: ErrFull, ErrSourceFull.
func (l *Limiter) Take(source netip.Addr) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.total:
		return nil, ErrFull
	case l.sources[source] >= l.perSource:
		return nil, ErrSourceFull
	}
	l.open++
	l.sources[source]++
	return sync.OnceFunc(func() { l.give(source) }), nil
}

func (l *Limiter) give(source netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.sources[source]--; l.sources[source] <= 0 {
		delete(l.sources, source)
	}
}

// Open is how many connections are counted now.
func (l *Limiter) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Listen returns a listener whose connections count until they are closed.
// Those above a bound are closed as soon as they are accepted, and refused, if
// given, is told. Its Accept fails only when base's does.
func (l *Limiter) Listen(base net.Listener, refused func(net.Addr, error)) net.Listener {
	return &listener{Listener: base, limiter: l, refused: refused}
}

type listener struct {
	net.Listener
	limiter *Limiter
	refused func(net.Addr, error)
}

// Accept returns the next connection that is within the bounds.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		release, err := l.limiter.Take(SourceOf(conn.RemoteAddr()))
		if err == nil {
			return &counted{Conn: conn, release: release}, nil
		}
		_ = conn.Close()
		if l.refused != nil {
			l.refused(conn.RemoteAddr(), err)
		}
	}
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	release func()
}

// Close closes the connection.
func (c *counted) Close() error {
	c.release()
	return c.Conn.Close()
}

// SourceOf is the source that an address counts for. A /64 is one source, since
// one machine has all of it.
func SourceOf(from net.Addr) netip.Addr { return SourceOfText(from.String()) }

// SourceOfText is SourceOf for an address as text, like http.Request.RemoteAddr.
// What is no address and port is the zero source.
func SourceOfText(from string) netip.Addr {
	ap, err := netip.ParseAddrPort(from)
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.Is6() {
		if prefix, err := addr.Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return addr
}

// Conn is a connection of which a bounded number of bytes is read until Lift.
type Conn struct {
	net.Conn
	limit  int64
	read   atomic.Int64
	lifted atomic.Bool
}

// Bound lets at most limit bytes be read from conn: reading more fails with
// ErrTooMuch.
func Bound(conn net.Conn, limit int64) *Conn { return &Conn{Conn: conn, limit: limit} }

// Read reads within the limit.
func (c *Conn) Read(p []byte) (int, error) {
	if c.lifted.Load() {
		return c.Conn.Read(p)
	}
	left := c.limit - c.read.Load()
	if left <= 0 {
		return 0, fmt.Errorf("%w: %d", ErrTooMuch, c.limit)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.read.Add(int64(n))
	return n, err
}

// Lift ends the limit: the peer is authenticated.
func (c *Conn) Lift() { c.lifted.Store(true) }
