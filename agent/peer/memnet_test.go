package peer

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// memnet is TCP in memory between machines 10.0.0.1, 10.0.0.2, ...: without delay,
// and on the time of a synctest bubble. What is under way over a cut, or to a
// machine that stands still, arrives when that is over.
type memnet struct {
	mu       sync.Mutex
	moved    *sync.Cond // anything: bytes, ends, deadlines, machines, cuts
	machines map[netip.Addr]*memMachine
	cuts     map[[2]netip.Addr]bool
	ports    uint16
}

type memMachine struct {
	off, frozen bool
	listener    *memListener // nil: refused
	conns       []*memConn
}

func newMemnet() *memnet {
	w := &memnet{machines: map[netip.Addr]*memMachine{}, cuts: map[[2]netip.Addr]bool{}}
	w.moved = sync.NewCond(&w.mu)
	return w
}

// change does something to the network.
func (w *memnet) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	w.moved.Broadcast()
}

func (w *memnet) machine(a netip.Addr) *memMachine {
	m := w.machines[a]
	if m == nil {
		m = &memMachine{}
		w.machines[a] = m
	}
	return m
}

// set has a machine be off or stand still. What it knew of connections is gone
// when it was off: both ends find them reset once it has power again.
func (w *memnet) set(a netip.Addr, off, frozen bool) {
	w.change(func() {
		m := w.machine(a)
		if m.off && !off {
			for _, c := range m.conns {
				c.reset, c.far.reset = true, true
			}
			m.conns = nil
		}
		m.off, m.frozen = off, frozen
	})
}

func (w *memnet) cut(a, b netip.Addr, on bool) {
	w.change(func() { w.cuts[[2]netip.Addr{a, b}], w.cuts[[2]netip.Addr{b, a}] = on, on })
}

func (w *memnet) heal() { w.change(func() { clear(w.cuts) }) }

// passes reports whether the machines exchange packets; w.mu is held.
func (w *memnet) passes(a, b netip.Addr) bool {
	return !w.machine(a).off && !w.machine(b).off && !w.cuts[[2]netip.Addr{a, b}]
}

// flows reports whether programs on them do.
func (w *memnet) flows(a, b netip.Addr) bool {
	return w.passes(a, b) && !w.machine(a).frozen && !w.machine(b).frozen
}

// listen is a listener at machine n's address, in place of the one before.
func (w *memnet) listen(n int) *memListener {
	l := &memListener{w: w, addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 7700)}
	w.change(func() { w.machine(l.addr.Addr()).listener = l })
	return l
}

func (w *memnet) dial(ctx context.Context, from, to netip.AddrPort) (net.Conn, error) {
	stop := context.AfterFunc(ctx, w.moved.Broadcast)
	defer stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.passes(from.Addr(), to.Addr()) {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("dial %s: %w", to, ctx.Err())
		}
		w.moved.Wait()
	}
	m := w.machine(to.Addr())
	if m.listener == nil {
		return nil, fmt.Errorf("dial %s: %w", to, syscall.ECONNREFUSED)
	}
	w.ports++
	near := &memConn{w: w, local: netip.AddrPortFrom(from.Addr(), 10_000+w.ports), remote: to}
	far := &memConn{w: w, local: to, remote: near.local, far: near}
	near.far = far
	m.conns = append(m.conns, far)
	w.machine(from.Addr()).conns = append(w.machine(from.Addr()).conns, near)
	m.listener.backlog = append(m.listener.backlog, far)
	w.moved.Broadcast()
	return near, nil
}

// memListener is the kernel's side: it takes connections whether or not the
// program accepts them.
type memListener struct {
	w       *memnet
	addr    netip.AddrPort
	backlog []*memConn
	closed  bool
}

func (l *memListener) Accept() (net.Conn, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, net.ErrClosed
		case len(l.backlog) > 0 && !l.w.machine(l.addr.Addr()).frozen:
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			return c, nil
		}
		l.w.moved.Wait()
	}
}

func (l *memListener) Close() error {
	l.w.change(func() {
		l.closed = true
		for _, c := range l.backlog {
			c.reset, c.far.reset = true, true
		}
		if m := l.w.machine(l.addr.Addr()); m.listener == l {
			m.listener = nil
		}
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

// memConn is one end of a connection; in holds what the other end sent. w.mu
// guards all of it.
type memConn struct {
	w             *memnet
	local, remote netip.AddrPort
	far           *memConn
	in            []byte
	closed, reset bool
	readBy        time.Time
	writeBy       time.Time
}

func late(by time.Time) bool { return !by.IsZero() && !time.Now().Before(by) }

func (c *memConn) Read(p []byte) (int, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for {
		switch open := c.w.flows(c.remote.Addr(), c.local.Addr()); {
		case c.closed:
			return 0, net.ErrClosed
		case late(c.readBy):
			return 0, os.ErrDeadlineExceeded
		case c.reset:
			return 0, syscall.ECONNRESET
		case open && len(c.in) > 0:
			n := copy(p, c.in)
			c.in = c.in[n:]
			return n, nil
		case open && c.far.closed:
			return 0, io.EOF
		}
		c.w.moved.Wait()
	}
}

// Write never waits: the kernel has room.
func (c *memConn) Write(p []byte) (int, error) {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case late(c.writeBy):
		return 0, os.ErrDeadlineExceeded
	case c.reset, c.far.closed && c.w.flows(c.local.Addr(), c.remote.Addr()):
		return 0, syscall.ECONNRESET
	}
	c.far.in = append(c.far.in, p...)
	c.w.moved.Broadcast()
	return len(p), nil
}

func (c *memConn) Close() error {
	c.w.change(func() { c.closed = true })
	return nil
}

func (c *memConn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *memConn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *memConn) SetDeadline(t time.Time) error {
	return c.set(t, func() { c.readBy, c.writeBy = t, t })
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	return c.set(t, func() { c.readBy = t })
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	return c.set(t, func() { c.writeBy = t })
}

func (c *memConn) set(t time.Time, f func()) error {
	c.w.change(f)
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), c.w.moved.Broadcast)
	}
	return nil
}
