package listener

import (
	"net"
	"sync"
)

// alpnRoute is where connections of one protocol go: to whoever took it last.
type alpnRoute struct {
	addr net.Addr
	mu   sync.Mutex
	now  *alpnListener // nil while nobody serves the protocol
}

// alpnListener is the listener of one who takes a protocol's connections.
type alpnListener struct {
	route *alpnRoute
	in    chan net.Conn
	done  chan struct{}
}

// take makes a new listener of the protocol and ends the one before.
func (l *alpnRoute) take() net.Listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now != nil {
		l.now.end()
	}
	l.now = &alpnListener{route: l, in: make(chan net.Conn, queue), done: make(chan struct{})}
	return l.now
}

// put offers a connection; it returns false when nobody serves the protocol or the queue
// is full.
func (l *alpnRoute) put(conn net.Conn) bool {
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
func (t *alpnListener) Accept() (net.Conn, error) {
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
func (t *alpnListener) Close() error {
	t.route.mu.Lock()
	defer t.route.mu.Unlock()
	if t.route.now == t {
		t.route.now = nil
		t.end()
	}
	return nil
}

// end closes the connections that wait to be accepted. The route's mutex is held.
func (t *alpnListener) end() {
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
func (t *alpnListener) Addr() net.Addr { return t.route.addr }
