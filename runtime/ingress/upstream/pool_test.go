package upstream_test

import (
	"context"
	"net"
	"testing"
	"time"

	"skein/runtime/ingress/upstream"
)

// pool is a pool of connections to a port of the loopback, and their far ends in the order
// in which they were opened.
func pool(t *testing.T) (*upstream.Pool, <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	far := make(chan net.Conn, 1000)
	go func() {
		for {
			conn, acceptErr := l.Accept()
			if acceptErr != nil {
				return
			}
			far <- conn
		}
	}()
	return upstream.NewPool(l.Addr().String(), func(ctx context.Context, address string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}), far
}

func open(t *testing.T, p *upstream.Pool) *upstream.Conn {
	t.Helper()
	c, err := p.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheConnectionThatWasUsedLastIsUsedFirstAndOldOnesAreClosed(t *testing.T) {
	p, _ := pool(t)
	first, second, third := open(t, p), open(t, p), open(t, p)
	p.Put(first, 0)
	p.Put(second, time.Second)
	p.Put(third, 2*time.Second)
	if got := p.Get(2 * time.Second); got != third || !got.Reused {
		t.Errorf("%v is given first", got)
	}
	if left := p.Trim(upstream.IdleFor); left != 1 {
		t.Errorf("%d are left, want the second alone", left)
	}
	if err := first.SetDeadline(time.Time{}); err == nil {
		t.Error("the first is still open")
	}
	if got := p.Get(upstream.IdleFor + 2*time.Second); got != nil {
		t.Error("one that is too old is given")
	}
}

func TestAConnectionThatTheTargetClosedOrSpokeOnIsNotGiven(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed":          func(c net.Conn) { _ = c.Close() },
		"spoke unbidden":  func(c net.Conn) { _, _ = c.Write([]byte("x")) },
		"closed half way": func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			p, far := pool(t)
			c := open(t, p)
			p.Put(c, 0)
			end(<-far)
			waitUntilGone(t, p)
		})
	}
}

// waitUntilGone waits until the pool gives no connection any more: loopback takes a moment.
func waitUntilGone(t *testing.T, p *upstream.Pool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		c := p.Get(0)
		if c == nil {
			return
		}
		p.Put(c, 0)
		if time.Now().After(deadline) {
			t.Fatal("the connection is still given after 5 s")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAClosedPoolKeepsNothingUntilItIsOpened(t *testing.T) {
	p, _ := pool(t)
	idle, busy, later := open(t, p), open(t, p), open(t, p)
	p.Put(idle, 0)
	p.Close()
	p.Put(busy, 0)
	for _, c := range []*upstream.Conn{idle, busy} {
		if err := c.SetDeadline(time.Time{}); err == nil {
			t.Error("a connection is open after the pool was closed")
		}
	}
	p.Open()
	p.Put(later, 0)
	if p.Get(0) != later {
		t.Error("an opened pool keeps nothing")
	}
}

func TestIdleConnectionsAreBounded(t *testing.T) {
	p, _ := pool(t)
	for range upstream.MaxIdle + 5 {
		p.Put(open(t, p), 0)
	}
	if left := p.Trim(0); left != upstream.MaxIdle {
		t.Errorf("%d lie idle", left)
	}
}
