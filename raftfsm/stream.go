package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"skein/raftfsm/fleet"
)

var (
	errCut  = errors.New("cut off from raft")
	errDial = errors.New("dial")
)

// stream is the library's StreamLayer over connections that are already
// authenticated. A server's address is its RaftID: addresses of hosts change,
// and who dials a HostID learns where it is.
//
// Cutting it closes every connection, both ways, and lets no new one through.
type stream struct {
	id     fleet.RaftID
	dial   func(ctx context.Context, host fleet.HostID) (net.Conn, error)
	accept net.Listener
	limit  time.Duration // of a dial

	// calling ends with hangUp, and with it every dial under way.
	calling context.Context
	stop    context.CancelFunc
	// hungUp is told when another host ends a connection that it made.
	hungUp chan struct{}

	mu     sync.Mutex
	cuts   map[string]bool // reasons that hold
	conns  map[*streamConn]bool
	closed bool
}

func newStream(
	id fleet.RaftID, dial func(context.Context, fleet.HostID) (net.Conn, error), accept net.Listener, limit time.Duration,
) *stream {
	s := &stream{id: id, dial: dial, accept: accept, limit: limit, cuts: map[string]bool{}, conns: map[*streamConn]bool{},
		hungUp: make(chan struct{}, 1)}
	s.calling, s.stop = context.WithCancel(context.Background())
	return s
}

// cut begins or ends a reason to be cut off. When it returns, nothing that the
// library writes from now on reaches anybody.
func (s *stream) cut(reason string, on bool) {
	s.mu.Lock()
	if on {
		s.cuts[reason] = true
	} else {
		delete(s.cuts, reason)
	}
	if len(s.cuts) > 0 {
		s.drop()
	}
	s.mu.Unlock()
}

// drop makes every connection dead at once and closes it in its own time:
// closing TLS says good-bye first, which may take seconds. s.mu is held.
func (s *stream) drop() {
	for c := range s.conns {
		c.dead.Store(true)
		go func() { _ = c.Conn.Close() }()
	}
	clear(s.conns)
}

// keep takes a connection into the set, or closes it.
func (s *stream) keep(conn net.Conn, accepted bool) (net.Conn, error) {
	c := &streamConn{Conn: conn, stream: s, accepted: accepted}
	s.mu.Lock()
	refuse := s.closed || len(s.cuts) > 0
	if !refuse {
		s.conns[c] = true
	}
	s.mu.Unlock()
	if refuse {
		return nil, errors.Join(errCut, conn.Close())
	}
	return c, nil
}

// hangUp cuts the stream off for good, without waiting for dials under way.
func (s *stream) hangUp() {
	s.stop()
	s.cut("closed", true)
}

// Dial implements raft.StreamLayer.
func (s *stream) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	s.mu.Lock()
	cut := s.closed || len(s.cuts) > 0
	s.mu.Unlock()
	if cut {
		return nil, errCut
	}
	ctx, cancel := context.WithTimeout(s.calling, min(timeout, s.limit))
	defer cancel()
	conn, err := s.dial(ctx, fleet.RaftID(address).Host())
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", errDial, address, err)
	}
	return s.keep(conn, false)
}

// Accept implements net.Listener.
func (s *stream) Accept() (net.Conn, error) {
	for {
		conn, err := s.accept.Accept()
		if err != nil {
			return nil, err
		}
		if kept, err := s.keep(conn, true); err == nil {
			return kept, nil
		}
	}
}

// Close implements net.Listener: the listener and all connections.
func (s *stream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.drop()
	s.mu.Unlock()
	return s.accept.Close()
}

// Addr implements net.Listener.
func (s *stream) Addr() net.Addr { return streamAddr(s.id) }

type streamAddr fleet.RaftID

func (streamAddr) Network() string  { return "skein-raft" }
func (a streamAddr) String() string { return string(a) }

type streamConn struct {
	net.Conn
	stream   *stream
	accepted bool
	dead     atomic.Bool
}

func (c *streamConn) Write(b []byte) (int, error) {
	if c.dead.Load() {
		return 0, errCut
	}
	n, err := c.Conn.Write(b)
	c.took(err)
	return n, err
}

// took notes that whoever made the connection has ended it.
func (c *streamConn) took(err error) {
	if err == nil || !c.accepted {
		return
	}
	select {
	case c.stream.hungUp <- struct{}{}:
	default:
	}
}

func (c *streamConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.dead.Load() {
		return 0, errCut
	}
	c.took(err)
	return n, err
}

func (c *streamConn) Close() error {
	c.stream.mu.Lock()
	delete(c.stream.conns, c)
	c.stream.mu.Unlock()
	return c.Conn.Close()
}
