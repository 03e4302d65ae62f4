package gossip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"skein/runtime/seam/connlimit"
)

// Bounds of what the gossip port takes.
const (
	// maxStreams bounds connections that others opened, for their whole life; one
	// in its handshake costs about 30 KiB. maxStreamsPerSource keeps one address
	// from using them all: a host has one exchange and a few pings under way.
	maxStreams          = 256
	maxStreamsPerSource = 32
	// handshakeTime ends a handshake that dawdles, handshakeBytes one that is
	// longer than any of ours: 2.5 KiB.
	handshakeTime  = 3 * time.Second
	handshakeBytes = 8 << 10
	// maxPacket is above any packet that we send: 1,400 bytes.
	maxPacket = 1500
	// packetsPerSecond and packetBurst bound authenticated packets: a host gets
	// some 20 a second, whatever the size of the ring.
	packetsPerSecond = 2000
	packetBurst      = 2000
	// refusalsPerSecond and refusalBurst bound log lines about what others send.
	refusalsPerSecond = 1
	refusalBurst      = 10
)

// gate is the transport given to memberlist, which buffers without bound what
// it has not authenticated. The gate authenticates and decrypts all that comes
// in, bounds what that may cost, and encrypts all that goes out; memberlist
// itself has no keys.
type gate struct {
	base  memberlist.Transport
	keys  *keyring
	log   *slog.Logger
	stats *counters

	limiter   *connlimit.Limiter
	exchanges *semaphore.Weighted // bytes of the push/pulls being served
	rate      *rate.Limiter       // of authenticated packets
	lines     *rate.Limiter
	packets   chan *memberlist.Packet
	streams   chan net.Conn

	ctx  context.Context // ends with Shutdown
	end  context.CancelFunc
	work sync.WaitGroup
}

func newGate(base memberlist.Transport, keys *keyring, log *slog.Logger, stats *counters) *gate {
	g := &gate{
		base: base, keys: keys, log: log, stats: stats,
		limiter: connlimit.New(maxStreams, maxStreamsPerSource), exchanges: semaphore.NewWeighted(maxExchangeBytes),
		rate: rate.NewLimiter(packetsPerSecond, packetBurst), lines: rate.NewLimiter(refusalsPerSecond, refusalBurst),
		packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
	}
	g.ctx, g.end = context.WithCancel(context.Background())
	g.work.Go(g.takePackets)
	g.work.Go(g.takeStreams)
	return g
}

// takePackets passes packets on until Shutdown; the base transport needs its
// channel read for as long as it runs.
func (g *gate) takePackets() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case sealed := <-g.base.PacketCh():
			if packet := g.openPacket(sealed); packet != nil {
				select {
				case g.packets <- packet:
				case <-g.ctx.Done():
				}
			}
		}
	}
}

func (g *gate) openPacket(sealed *memberlist.Packet) *memberlist.Packet {
	if len(sealed.Buf) > maxPacket {
		g.refuse(sealed.From, fmt.Errorf("%w: packet of %d bytes", errUnauthenticated, len(sealed.Buf)))
		return nil
	}
	packet, err := g.keys.open(sealed.Buf)
	if err == nil {
		err = checkPacket(packet)
	}
	if err != nil {
		g.refuse(sealed.From, err)
		return nil
	}
	if !g.rate.Allow() {
		g.stats.limited.Add(1)
		return nil
	}
	return &memberlist.Packet{Buf: packet, From: sealed.From, Timestamp: sealed.Timestamp}
}

func (g *gate) takeStreams() {
	for {
		select {
		case <-g.ctx.Done():
			return
		case conn := <-g.base.StreamCh():
			release, err := g.limiter.Take(connlimit.SourceOf(conn.RemoteAddr()))
			if err != nil {
				g.refuse(conn.RemoteAddr(), err)
				_ = conn.Close()
				continue
			}
			g.work.Go(func() { g.admit(conn, release) })
		}
	}
}

// admit authenticates a connection and hands it to memberlist, or closes it.
func (g *gate) admit(conn net.Conn, release func()) {
	stop := context.AfterFunc(g.ctx, func() { _ = conn.Close() })
	defer stop()
	s, err := g.authenticate(conn, tls.Server, handshakeTime)
	if err == nil {
		s.release, s.exchanges = release, g.exchanges
		if err = s.begin(); err == nil {
			select {
			case g.streams <- s:
				return
			case <-g.ctx.Done():
			}
		}
		_ = s.Close()
	}
	release()
	if err != nil {
		g.refuse(conn.RemoteAddr(), err)
	}
}

// endOf is tls.Server or tls.Client.
type endOf func(net.Conn, *tls.Config) *tls.Conn

// authenticate does the handshake of one end, and closes conn when it fails.
func (g *gate) authenticate(conn net.Conn, end endOf, within time.Duration) (*stream, error) {
	ctx, cancel := context.WithTimeout(g.ctx, within)
	defer cancel()
	bounded := connlimit.Bound(conn, handshakeBytes)
	secure := end(bounded, g.keys.streamConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w: %v", errUnauthenticated, err)
	}
	bounded.Lift()
	return newStream(secure, conn), nil
}

// refuse counts what was sent by somebody else and is not taken.
func (g *gate) refuse(from net.Addr, err error) {
	switch {
	case errors.Is(err, errUnauthenticated):
		g.stats.unauthenticated.Add(1)
	case errors.Is(err, errFormat):
		g.stats.refused.Add(1)
	default:
		g.stats.limited.Add(1)
	}
	if g.lines.Allow() {
		g.log.Warn("gossip traffic refused", "from", from.String(), "err", err)
	}
}

// FinalAdvertiseAddr is the base transport's.
func (g *gate) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	return g.base.FinalAdvertiseAddr(ip, port)
}

// PacketCh has authenticated packets, decrypted.
func (g *gate) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh has authenticated streams.
func (g *gate) StreamCh() <-chan net.Conn { return g.streams }

// WriteTo sends a packet, encrypted.
func (g *gate) WriteTo(packet []byte, addr string) (time.Time, error) {
	return g.base.WriteTo(g.keys.seal(packet), addr)
}

// WriteToAddress is WriteTo for a member.
func (g *gate) WriteToAddress(packet []byte, to memberlist.Address) (time.Time, error) {
	return g.WriteTo(packet, to.Addr)
}

// DialTimeout opens a stream to a peer that holds a key of ours.
func (g *gate) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	began := time.Now()
	conn, err := g.base.DialTimeout(addr, timeout)
	if err != nil {
		return nil, err
	}
	s, err := g.authenticate(conn, tls.Client, timeout-time.Since(began))
	if err != nil {
		return nil, fmt.Errorf("gossip stream to %s: %w", addr, err)
	}
	return s, nil
}

// DialAddressTimeout is DialTimeout for a member.
func (g *gate) DialAddressTimeout(to memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return g.DialTimeout(to.Addr, timeout)
}

// Shutdown ends the base transport, which the gate reads until then, and then
// the gate.
func (g *gate) Shutdown() error {
	err := g.base.Shutdown()
	g.end()
	g.work.Wait()
	return err
}
