package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"skein/raftfsm/fleet"
)

// memnet is a network between hosts in memory, which works in a
// testing/synctest bubble: a wait on it is a wait on a condition variable.
type memnet struct {
	mu        sync.Mutex
	listeners map[fleet.HostID]*memListener
	down      map[[2]fleet.HostID]bool // directed: nothing gets from the first to the second
	refused   map[[2]fleet.HostID]bool // directed: dials are
	conns     map[*memConn]bool
}

func newMemnet() *memnet {
	return &memnet{listeners: map[fleet.HostID]*memListener{}, down: map[[2]fleet.HostID]bool{},
		refused: map[[2]fleet.HostID]bool{}, conns: map[*memConn]bool{}}
}

var errRefused = fmt.Errorf("dial: %w", syscall.ECONNREFUSED)

func (n *memnet) listen(host fleet.HostID) net.Listener {
	l := &memListener{net: n, host: host, queue: make(chan net.Conn, 64), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[host] = l
	return l
}

// dialer dials from a host. Across a cut it hangs until its context ends, as a
// dropped packet does.
func (n *memnet) dialer(from fleet.HostID) func(context.Context, fleet.HostID) (net.Conn, error) {
	return func(ctx context.Context, to fleet.HostID) (net.Conn, error) {
		n.mu.Lock()
		l, cut := n.listeners[to], n.down[[2]fleet.HostID{from, to}] || n.down[[2]fleet.HostID{to, from}]
		if l == nil || cut || n.refused[[2]fleet.HostID{from, to}] {
			n.mu.Unlock()
			if !cut {
				return nil, errRefused
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		near, far := newMemConnPair(n, from, to)
		n.conns[near], n.conns[far] = true, true
		n.mu.Unlock()
		select {
		case l.queue <- far:
			return near, nil
		case <-l.closed:
			_ = near.Close()
			return nil, errRefused
		}
	}
}

// cut drops everything one way, connections included: they stay open.
func (n *memnet) cut(from, to fleet.HostID, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down[[2]fleet.HostID{from, to}] = down
	for c := range n.conns {
		if c.from == from && c.to == to {
			c.out.setLossy(down)
		}
	}
}

// refuse has dials refused, one way, as a firewall does.
func (n *memnet) refuse(from, to fleet.HostID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused[[2]fleet.HostID{from, to}] = true
}

// isolate cuts a host off from all others, both ways, or heals.
func (n *memnet) isolate(host fleet.HostID, others []fleet.HostID, down bool) {
	for _, other := range others {
		if other != host {
			n.cut(host, other, down)
			n.cut(other, host, down)
		}
	}
}

type memListener struct {
	net    *memnet
	host   fleet.HostID
	queue  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.net.mu.Lock()
		defer l.net.mu.Unlock()
		if l.net.listeners[l.host] == l {
			delete(l.net.listeners, l.host)
		}
		for {
			select {
			case c := <-l.queue:
				go c.Close()
				continue
			default:
			}
			return
		}
	})
	return nil
}

func (l *memListener) Addr() net.Addr { return streamAddr(l.host) }

// memConn is one end of a connection: it reads from in and writes to out.
type memConn struct {
	net      *memnet
	from, to fleet.HostID
	in, out  *pipe
}

func newMemConnPair(n *memnet, from, to fleet.HostID) (near, far *memConn) {
	there, back := newPipe(), newPipe()
	return &memConn{n, from, to, back, there}, &memConn{n, to, from, there, back}
}

func (c *memConn) Read(b []byte) (int, error)  { return c.in.read(b) }
func (c *memConn) Write(b []byte) (int, error) { return c.out.write(b) }

func (c *memConn) Close() error {
	c.in.close()
	c.out.close()
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	delete(c.net.conns, c)
	return nil
}

func (c *memConn) LocalAddr() net.Addr                { return streamAddr(c.from) }
func (c *memConn) RemoteAddr() net.Addr               { return streamAddr(c.to) }
func (c *memConn) SetReadDeadline(t time.Time) error  { c.in.readBy.set(c.in, t); return nil }
func (c *memConn) SetWriteDeadline(t time.Time) error { c.out.writeBy.set(c.out, t); return nil }
func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// maxPipe is what a pipe holds before a writer waits.
const maxPipe = 1 << 20

// pipe is one direction of a connection.
type pipe struct {
	mu              sync.Mutex
	changed         *sync.Cond
	buf             []byte
	lossy, closed   bool
	readBy, writeBy memDeadline
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

type memDeadline struct {
	timer  *time.Timer
	passed bool
}

func (d *memDeadline) set(p *pipe, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	if t.IsZero() {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		p.changed.Broadcast()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(wait, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if d.timer == timer {
			d.passed = true
			p.changed.Broadcast()
		}
	})
	d.timer = timer
}

func (p *pipe) setLossy(lossy bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lossy = lossy
}

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.changed.Broadcast()
			return n, nil
		case p.closed:
			return 0, io.EOF
		case p.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		}
		p.changed.Wait()
	}
}

func (p *pipe) write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.closed:
			return 0, io.ErrClosedPipe
		case p.writeBy.passed:
			return 0, os.ErrDeadlineExceeded
		case p.lossy:
			return len(b), nil
		case len(p.buf)+len(b) <= maxPipe || len(p.buf) == 0:
			p.buf = append(p.buf, b...)
			p.changed.Broadcast()
			return len(b), nil
		}
		p.changed.Wait()
	}
}

func (p *pipe) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.changed.Broadcast()
}
