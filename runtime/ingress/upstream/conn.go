package upstream

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connection to a target. One goroutine has it at a time.
type Conn struct {
	net.Conn
	// Reused is whether it has answered a request before. A target may close an idle
	// connection just when the next request is sent.
	Reused bool

	raw       syscall.RawConn
	idleSince time.Duration

	readUntil, writeUntil time.Time // the deadlines that are set; zero: none

	patience time.Duration // see Patience; zero: the kernel's

	peek [1]byte
	dead bool
	look func(fd uintptr) // made once, so that a look allocates nothing
}

func newConn(conn net.Conn) *Conn {
	c := &Conn{Conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok {
		c.raw, _ = tcp.SyscallConn()
		c.look = c.lookAt
	}
	return c
}

// gone reports whether the target has closed the connection, or has sent what nobody asked
// for: neither can carry a request.
func (c *Conn) gone() bool {
	if c.raw == nil {
		return false
	}
	if err := c.raw.Control(c.look); err != nil {
		return true
	}
	return c.dead
}

func (c *Conn) lookAt(fd uintptr) {
	_, _, err := syscall.Recvfrom(int(fd), c.peek[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.dead = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
}

// ExtendRead lets the next read wait for d from now. It moves the deadline only when an
// eighth of d has passed since it did, since moving costs more than looking.
func (c *Conn) ExtendRead(now time.Time, d time.Duration) error {
	if !lapsed(&c.readUntil, now, d) {
		return nil
	}
	return c.SetReadDeadline(c.readUntil)
}

// ExtendWrite is ExtendRead for writes.
func (c *Conn) ExtendWrite(now time.Time, d time.Duration) error {
	if !lapsed(&c.writeUntil, now, d) {
		return nil
	}
	return c.SetWriteDeadline(c.writeUntil)
}

// lapsed moves until, which is the deadline that is set, where it is worth it.
func lapsed(until *time.Time, now time.Time, d time.Duration) bool {
	if left := until.Sub(now); left <= d && left >= d-d/8 {
		return false
	}
	*until = now.Add(d)
	return true
}

// Hurry lets writes that are under way take no longer than d. It may be called from any
// goroutine once nobody else extends.
func (c *Conn) Hurry(d time.Duration) error {
	return c.SetWriteDeadline(time.Now().Add(d))
}

// Relax forgets what Hurry did: the next write sets its own deadline.
func (c *Conn) Relax() { c.writeUntil = time.Time{} }

// Forever takes the deadlines away.
func (c *Conn) Forever() error {
	c.readUntil, c.writeUntil = time.Time{}, time.Time{}
	return c.SetDeadline(time.Time{})
}

// Patience is how long the target's machine may leave bytes unacknowledged before the
// connection fails. Setting what is set costs nothing.
func (c *Conn) Patience(d time.Duration) {
	if c.raw == nil || c.patience == d {
		return
	}
	c.patience = d
	_ = c.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
}

// TCP is the connection below, where it is one.
func (c *Conn) TCP() *net.TCPConn {
	tcp, _ := c.Conn.(*net.TCPConn)
	return tcp
}
