package peer

import (
	"net"
	"sync"
)

// lane is where connections of one protocol go: to whoever took it last.
type lane struct {
	addr net.Addr
	mu   sync.Mutex
	now  *laneListener // nil while nobody serves the protocol
}

// laneListener is one taking of a lane.
type laneListener struct {
	lane *lane
	in   chan net.Conn
	done chan struct{}
}

// take makes a new listener of the lane and ends the one before.
func (l *lane) take() net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil {
		l.now.end()
	}
	l.now = &laneListener{lane: l, in: make(chan net.Conn, laneQueue), done: make(chan struct{})}
	return l.now
}

// put offers a connection; false when nobody serves the lane or its queue is full.
func (l *lane) put(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		return false
	}
	select {
	case l.now.in <- conn:
		return true
	default:
		return false
	}
}

// Accept implements net.Listener.
func (t *laneListener) Accept() (net.Conn, error) {
	select {
	case <-t.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-t.in:
		return conn, nil
	case <-t.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener; again is no error.
func (t *laneListener) Close() error {
	t.lane.mu.Lock()
	defer t.lane.mu.Unlock()
	if t.lane.now == t {
		t.lane.now = nil
		t.end()
	}
	return nil
}

// end hangs up on who waits. The lane's mutex is held.
func (t *laneListener) end() {
	close(t.done)
	for {
		select {
		case conn := <-t.in:
			_ = conn.Close()
		default:
			return
		}
	}
}

// Addr implements net.Listener.
func (t *laneListener) Addr() net.Addr { return t.lane.addr }
