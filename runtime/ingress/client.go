package ingress

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/http1"
	"skein/runtime/ingress/proxyproto"
	"skein/runtime/seam/connlimit"
)

// client is a connection from a client.
type client struct {
	engine   *Engine
	listener *listener
	release  func() // its place among all connections
	conn     net.Conn
	tcp      *net.TCPConn    // what conn is, or is made of; nil in tests without sockets
	raw      syscall.RawConn // of conn, if it is a socket
	first    firstRead
	source   netip.AddrPort
	local    netip.AddrPort
	says     http1.Client // what targets are told of it

	in                    buffer
	out                   []byte
	head                  http1.Head
	exchange              exchange
	readUntil, writeUntil time.Time

	// idleSince is when it began to wait for a request, on the monotonic clock; 0: it does not.
	idleSince atomic.Int64
	asked     atomic.Bool // a request has come
	leaving   atomic.Bool // it is to go on with another connection
	former    bool        // it was there when its listener began to leave; of the listener's lock
	onLeave   sync.Map    // functions that say so; of protocols that can at any time
}

// buffer is what was read and not used.
type buffer struct {
	bytes      []byte
	start, end int
}

const firstBuffer = 8 << 10

func (b *buffer) rest() []byte { return b.bytes[b.start:b.end] }

// leave has next in the buffer, and nothing else. The bytes that were in it stay where they
// are: the head of the request refers to them.
func (b *buffer) leave(next []byte) {
	b.start, b.end = 0, len(next)
	if len(next) > 0 {
		b.bytes = append(make([]byte, 0, len(next)), next...)
	}
}

// room makes room for at least one more byte; not ok: the buffer has most bytes.
func (b *buffer) room(most int) bool {
	switch {
	case b.start == b.end:
		b.start, b.end = 0, 0
	case b.end == len(b.bytes) && b.start > 0:
		b.end = copy(b.bytes, b.bytes[b.start:b.end])
		b.start = 0
	}
	if b.end < len(b.bytes) {
		return true
	}
	size := max(firstBuffer, 2*len(b.bytes))
	if size > most {
		return false
	}
	grown := make([]byte, size)
	b.end = copy(grown, b.bytes[b.start:b.end])
	b.start, b.bytes = 0, grown
	return true
}

// mostBuffer holds the largest head and one byte more, so that one that is too large is
// seen to be.
const mostBuffer = 2 * http1.MaxHead

var errFull = errors.New("nothing that ends was read")

// fill reads more from r.
func (b *buffer) fill(r io.Reader) error {
	if !b.room(mostBuffer) {
		return errFull
	}
	n, err := r.Read(b.bytes[b.end:])
	b.end += n
	if n > 0 {
		return nil
	}
	return err
}

// firstRead reads the first bytes of a request. While a client is idle it has no buffer: most
// connections are idle most of the time.
type firstRead struct {
	try func(fd uintptr) bool // made once
	n   int
	err error
}

var firstBuffers = sync.Pool{New: func() any { return new([firstBuffer]byte) }}

func (c *client) readFirst() error {
	c.in.giveBack()
	if err := c.raw.Read(c.first.try); err != nil {
		return err
	}
	switch {
	case c.first.err != nil:
		return c.first.err
	case c.first.n == 0:
		return io.EOF
	}
	return nil
}

// tryFirst reads if there is something to read; not done: the socket is to be waited for.
func (c *client) tryFirst(fd uintptr) (done bool) {
	c.in.bytes = firstBuffers.Get().(*[firstBuffer]byte)[:]
	for {
		c.first.n, c.first.err = syscall.Read(int(fd), c.in.bytes)
		if !errors.Is(c.first.err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(c.first.err, syscall.EAGAIN) {
		c.in.giveBack()
		return false
	}
	c.in.start, c.in.end = 0, max(c.first.n, 0)
	return true
}

// giveBack gives an empty buffer to whoever needs one.
func (b *buffer) giveBack() {
	if len(b.bytes) == firstBuffer {
		firstBuffers.Put((*[firstBuffer]byte)(b.bytes))
	}
	*b = buffer{}
}

func newClient(l *listener, conn net.Conn, release func()) *client {
	c := &client{engine: l.engine, listener: l, release: release, conn: conn}
	if tcp, ok := conn.(*net.TCPConn); ok {
		c.tcp = tcp
		c.raw, _ = tcp.SyscallConn()
		c.first.try = c.tryFirst
	}
	c.source = addrPort(conn.RemoteAddr())
	c.local = addrPort(conn.LocalAddr())
	return c
}

func addrPort(addr net.Addr) netip.AddrPort {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	return netip.AddrPort{}
}

// serve speaks with the client until the connection ends.
func (c *client) serve() {
	if c.tcp != nil {
		setUserTimeout(c.tcp)
	}
	release, err := c.takeSource()
	if err != nil {
		return
	}
	defer func() { release() }()
	if c.listener.noun.ProxyProtocol {
		if !c.listener.settings.Load().trusts(c.source.Addr()) {
			c.engine.refused.Add(1)
			c.engine.config.Log.Debug("connection refused: its source may send no PROXY header", "listener",
				string(c.listener.noun.Name), "source", c.source.Addr())
			return
		}
		if err = c.begin(); err != nil {
			return
		}
		release() // whoever passes clients on counts until it has said which
		if release, err = c.takeSource(); err != nil {
			release = func() {}
			return
		}
	}
	switch c.listener.noun.Protocol {
	case fleet.ListenHTTP:
		c.serveHTTP("http")
	case fleet.ListenHTTPS:
		c.serveHTTPS()
	case fleet.ListenTCP:
		c.serveTCP()
	case fleet.ListenTLS:
		c.serveTLS()
	}
}

// takeSource counts the connection among those of its source.
func (c *client) takeSource() (release func(), err error) {
	release, err = c.engine.sources.Take(connlimit.SourceOf(net.TCPAddrFromAddrPort(c.source)))
	if err != nil {
		c.engine.refused.Add(1)
	}
	return release, err
}

// begin learns from the PROXY header who the client is.
func (c *client) begin() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	for {
		header, n, err := proxyproto.Parse(c.in.rest())
		if err != nil {
			return err
		}
		if n > 0 {
			c.in.start += n
			if header.Source.IsValid() {
				c.source, c.local = header.Source, header.Destination
			}
			return nil
		}
		if err = c.in.fill(c.conn); err != nil {
			return err
		}
	}
}

// saysOf prepares what targets are told of the client.
func (c *client) saysOf(proto string) {
	c.says = http1.Client{
		For:   []byte(c.source.Addr().String()),
		Proto: []byte(proto),
		Port:  strconv.AppendInt(nil, int64(c.listener.noun.Port), 10),
	}
}

func (c *client) serveHTTPS() {
	conn := tls.Server(c.withPending(), c.listener.certificates.config())
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return
	}
	if err := conn.HandshakeContext(c.engine.ctx); err != nil {
		return
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return
	}
	c.conn, c.raw, c.in = conn, nil, buffer{}
	if conn.ConnectionState().NegotiatedProtocol == "h2" {
		c.saysOf("https")
		c.engine.standard.serve(c, conn)
		return
	}
	c.serveHTTP("https")
}

// pending is a connection of which some was read already.
type pending struct {
	net.Conn
	source netip.AddrPort
	first  []byte
}

func (p *pending) Read(into []byte) (int, error) {
	if len(p.first) > 0 {
		n := copy(into, p.first)
		p.first = p.first[n:]
		return n, nil
	}
	return p.Conn.Read(into)
}

// RemoteAddr is the client's, also behind a relay.
func (p *pending) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(p.source) }

func (c *client) withPending() net.Conn {
	return &pending{Conn: c.conn, source: c.source, first: c.in.rest()}
}

// extendRead lets the next read wait for d; see upstream.Conn.
func (c *client) extendRead(now time.Time, d time.Duration) error {
	if left := c.readUntil.Sub(now); left <= d && left >= d-d/8 {
		return nil
	}
	c.readUntil = now.Add(d)
	return c.conn.SetReadDeadline(c.readUntil)
}

func (c *client) extendWrite(now time.Time, d time.Duration) error {
	if left := c.writeUntil.Sub(now); left <= d && left >= d-d/8 {
		return nil
	}
	c.writeUntil = now.Add(d)
	return c.conn.SetWriteDeadline(c.writeUntil)
}

// write sends bytes to the client, which must take them before its idle time-out.
func (c *client) write(text []byte) error {
	if err := c.extendWrite(time.Now(), c.idle()); err != nil {
		return err
	}
	_, err := c.conn.Write(text)
	return err
}

func (c *client) idle() time.Duration { return c.listener.settings.Load().idle }

// leave tells the client, as soon as its protocol can, to go on with another connection.
func (c *client) leave() {
	c.leaving.Store(true)
	c.onLeave.Range(func(_, tell any) bool {
		tell.(func())()
		return true
	})
}

// whenLeaving calls tell once the client is to leave, until stop is called.
func (c *client) whenLeaving(tell func()) (stop func()) {
	key := &tell
	c.onLeave.Store(key, tell)
	if c.leaving.Load() {
		tell()
	}
	return func() { c.onLeave.Delete(key) }
}

// idleFor is how long the client has been waiting for nothing.
func (c *client) idleFor(mono time.Duration) time.Duration {
	since := time.Duration(c.idleSince.Load())
	if since == 0 {
		return 0
	}
	return mono - since
}

// interrupt ends what the connection waits for.
func (c *client) interrupt() {
	if c.tcp != nil {
		_ = c.tcp.Close()
		return
	}
	_ = c.conn.Close()
}

func (c *client) close() {
	_ = c.conn.Close()
	c.in.giveBack()
	c.release()
}

// linger reads what the client still sends after the last answer, for a moment: closing
// with something unread would make the kernel take the answer back.
func (c *client) linger() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.conn.SetReadDeadline(time.Now().Add(lingerRead)) == nil {
		_, _ = io.CopyN(io.Discard, c.conn, 256<<10)
	}
}

func (c *client) String() string {
	return fmt.Sprintf("%s at %s", c.source, c.listener.noun.Name)
}
