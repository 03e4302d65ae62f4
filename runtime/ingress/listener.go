package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
	"skein/runtime/seam/connlimit"
)

// listener is a port with its connections.
type listener struct {
	engine       *Engine
	noun         fleet.Listener // as of when it was made: what no update changes
	certificates *certificates
	settings     atomic.Pointer[settings]
	ending       atomic.Bool
	accepted     route.Counter

	mu        sync.Mutex // of what follows
	socket    net.Listener
	carrier   *listener // of an alias: the listener of all addresses at its port, which hands on its connections
	accepting bool
	failed    string // why the port is not open
	open      map[*client]struct{}
	leaves    bool          // clients are told to go on elsewhere, with their first answer at the latest
	formers   int           // of those in open, how many were there when that began
	gone      chan struct{} // closed when no former is left
	wasCut    bool
	empty     chan struct{} // closed when an ending listener accepts nothing more and has no connection
}

// settings are what an update changes.
type settings struct {
	idle      time.Duration
	bodyLimit int64
	proxies   []netip.Prefix // that may send a PROXY header
}

// trusts reports whether a peer may say by a PROXY header who its client is.
func (s *settings) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(s.proxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}

func newListener(e *Engine, noun fleet.Listener) *listener {
	l := &listener{engine: e, noun: noun, open: map[*client]struct{}{}, empty: make(chan struct{}),
		gone: make(chan struct{})}
	if noun.Protocol == fleet.ListenHTTPS {
		l.certificates = newCertificates(e.config.Clock, e.config.Log)
	}
	l.update(noun)
	return l
}

func (l *listener) update(noun fleet.Listener) {
	s := &settings{idle: time.Duration(noun.IdleTimeoutS) * time.Second, bodyLimit: noun.BodyLimit,
		proxies: noun.TrustedProxies}
	if len(s.proxies) == 0 {
		s.proxies = fleet.DefaultTrustedProxies
	}
	if s.idle <= 0 {
		s.idle = idleTCP
		if noun.Protocol.PerRequest() {
			s.idle = idleHTTP
		}
	}
	l.settings.Store(s)
	if l.certificates != nil {
		l.certificates.use(noun.Certificates)
	}
}

func (l *listener) address() string { return l.engine.addressOf(&l.noun) }

// bind opens the port if it is not.
func (l *listener) bind() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.socket != nil || l.carrier != nil || l.ending.Load() {
		return nil
	}
	socket, err := l.engine.open(l.address())
	if err != nil {
		if l.failed == "" {
			l.engine.config.Log.Error("listener's port cannot be opened, will be tried again",
				"listener", string(l.noun.Name), "port", l.noun.Port, "err", err)
		}
		l.failed = err.Error()
		return fmt.Errorf("port %d cannot be opened, will be tried again: %w", l.noun.Port, err)
	}
	l.socket, l.failed, l.accepting = socket, "", true
	l.engine.config.Log.Info("listener opened", "listener", string(l.noun.Name), "port", l.noun.Port,
		"protocol", l.noun.Protocol.String())
	l.engine.running.Go(func() { l.accept(socket) })
	return nil
}

func (l *listener) bound() (string, bool) {
	l.mu.Lock()
	carrier, failed, bound := l.carrier, l.failed, l.socket != nil
	l.mu.Unlock()
	if carrier != nil {
		return carrier.bound()
	}
	return failed, bound
}

// handle is the socket; nil: the port is not open.
func (l *listener) handle() syscall.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn, _ := l.socket.(syscall.Conn)
	return conn
}

// file is another handle of the socket; nil: the port is not open.
func (l *listener) file() (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if socket, ok := l.socket.(interface{ File() (*os.File, error) }); ok {
		return socket.File()
	}
	return nil, nil
}

func (l *listener) accept(socket net.Listener) {
	defer l.endAccept()
	for {
		conn, err := socket.Accept()
		switch {
		case err == nil:
			l.engine.admit(l, conn)
		case errors.Is(err, net.ErrClosed), l.ending.Load():
			return
		default: // out of descriptors, or the client has gone again
			l.engine.config.Log.Warn("connection not accepted", "listener", string(l.noun.Name), "err", err)
			if !pause(l.engine.ctx, 10*time.Millisecond) {
				return
			}
		}
	}
}

func (l *listener) endAccept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepting = false
	l.closeIfEmpty()
}

// pause reports whether d passed before ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// admit serves the connection, unless there are too many.
func (l *listener) admit(conn net.Conn) {
	l.accepted.Add(1)
	release, err := l.engine.total.Take(connlimit.SourceOf(conn.RemoteAddr()))
	if err != nil {
		l.engine.refused.Add(1)
		_ = conn.Close()
		return
	}
	c := newClient(l, conn, release)
	if !l.add(c) {
		c.close()
		return
	}
	l.engine.running.Go(func() {
		defer l.remove(c)
		defer c.close()
		c.serve()
	})
}

// add takes the connection among those that are open, also if it was accepted just when the
// port was closed: its client knows nothing of that.
func (l *listener) add(c *client) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wasCut {
		return false
	}
	l.open[c] = struct{}{}
	if l.leaves || l.ending.Load() {
		c.leave()
	}
	return true
}

func (l *listener) remove(c *client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	if c.former {
		if l.formers--; l.formers == 0 {
			close(l.gone)
		}
	}
	l.closeIfEmpty()
}

func (l *listener) closeIfEmpty() {
	if !l.ending.Load() || l.accepting || len(l.open) > 0 {
		return
	}
	select {
	case <-l.empty:
	default:
		close(l.empty)
	}
}

// leave tells clients to go on elsewhere, those who come too. The channel is closed when
// those are gone who were there.
func (l *listener) leave() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaves {
		return l.gone
	}
	l.leaves = true
	for c := range l.open {
		c.former = true
		c.leave()
	}
	if l.formers = len(l.open); l.formers == 0 {
		close(l.gone)
	}
	return l.gone
}

// carriedBy closes the port, because another listener's socket takes its connections from now
// on; nil: no more.
func (l *listener) carriedBy(carrier *listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.carrier = carrier
	if carrier == nil {
		return
	}
	l.failed = ""
	if l.socket != nil {
		_ = l.socket.Close()
		l.socket = nil
	}
}

// stop closes the port. Connections go on; their clients are told to go on elsewhere.
func (l *listener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ending.Store(true)
	if l.socket != nil {
		_ = l.socket.Close()
		l.socket = nil
	}
	for c := range l.open {
		c.leave()
	}
	l.closeIfEmpty()
}

// closeIdle closes connections whose clients were told to leave, or could not be, and that
// wait for a request for so long that none is on its way. It returns how many are left.
func (l *listener) closeIdle(mono time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		linger := lingerIdle
		if !c.asked.Load() {
			linger = l.engine.config.Limits.Head // it has just connected, and that for which it did may be slow to come
		}
		if c.idleFor(mono) >= linger {
			c.interrupt()
		}
	}
	if l.accepting {
		return len(l.open) + 1
	}
	return len(l.open)
}

// await waits until the last connection has ended.
func (l *listener) await(ctx context.Context) error {
	select {
	case <-l.empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cut ends what is open.
func (l *listener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wasCut = true
	for c := range l.open {
		c.interrupt()
	}
}

func (l *listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}
