package connlimit

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// queue is a listener whose connections are already there.
type queue struct{ conns chan net.Conn }

func (q *queue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	default:
		return nil, net.ErrClosed
	}
}

func (*queue) Close() error   { return nil }
func (*queue) Addr() net.Addr { return nil }

// from is one end of a pipe with a remote address.
type from struct {
	net.Conn
	addr string
}

func (f *from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(f.addr)) }

func TestAListenerClosesConnectionsAboveTheBounds(t *testing.T) {
	q := &queue{conns: make(chan net.Conn, 10)}
	var refusals []error
	l := New(3, 2).Listen(q, func(_ net.Addr, err error) { refusals = append(refusals, err) })
	var far []net.Conn
	for _, addr := range []string{
		"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "[2001:db8::1]:1", "192.0.2.2:1",
	} {
		near, end := net.Pipe()
		q.conns <- &from{near, addr}
		far = append(far, end)
	}
	var taken []net.Conn
	for range 3 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatalf("after %d connections: %v", len(taken), err)
		}
		taken = append(taken, conn)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("the fourth place was given, or %v", err)
	}
	if len(refusals) != 2 || !errors.Is(refusals[0], ErrSourceFull) || !errors.Is(refusals[1], ErrFull) {
		t.Fatalf("refused %v, want one for its source and one for all", refusals)
	}
	for _, i := range []int{2, 4} {
		if _, err := far[i].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("refused connection %d is open: %v", i, err)
		}
	}
	_, _ = taken[0].Close(), taken[0].Close() // counts once
	for _, addr := range []string{"192.0.2.1:4", "192.0.2.3:1"} {
		near, _ := net.Pipe()
		q.conns <- &from{near, addr}
	}
	if conn, err := l.Accept(); err != nil || conn.RemoteAddr().String() != "192.0.2.1:4" {
		t.Errorf("the place of a closed connection was not given again: %v, %v", conn, err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing twice gave two places: %v", err)
	}
}
