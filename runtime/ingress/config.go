package ingress

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"skein/runtime/ingress/upstream"
	"skein/runtime/seam/clock"
)

const (
	// connectTimeout is how long a connection to a target may take: two tries of a SYN, the
	// second of which comes after 1 s.
	connectTimeout = 1500 * time.Millisecond
	// handshakeTimeout is for TLS and for the PROXY header.
	handshakeTimeout = 5 * time.Second
	// answerTimeout is how long a target may take until its answer begins, where a rule says
	// nothing else.
	answerTimeout = 60 * time.Second
	// idleHTTP and idleTCP are how long a connection may lie idle, where its listener says
	// nothing else. Source: the defaults of ELB.
	idleHTTP = 60 * time.Second
	idleTCP  = 350 * time.Second
	// userTimeout is how long a peer may leave bytes unacknowledged.
	userTimeout = 20 * time.Second
	// goneAfter is the same for a target that has a small request to acknowledge, which its
	// kernel does whatever the task is at: its machine is gone. The fleet needs about 1 s to
	// find that out, and then no request is sent there any more.
	goneAfter = 3 * time.Second
	// rebindEvery is how often a port that was in use is tried again.
	rebindEvery = time.Second
	// lingerIdle is how long a client's connection must have been idle to be closed while the
	// engine or its listener closes: a request that is on its way then would be lost.
	lingerIdle = 2 * time.Second
	// claimFor is how long inherited sockets wait for their listener: routes that were kept on
	// disk may be of before it was made.
	claimFor = 10 * time.Second
	// lingerRead is how long what a client still sends is read after an answer that closes
	// its connection: else the kernel would throw the answer away.
	lingerRead = time.Second
)

// Limits bound what clients may take.
type Limits struct {
	Connections int // open at once; 0: 50,000
	PerSource   int // of one address, or one /64; 0: 5,000
	// Head is how long a client may take over a head once it has begun it, and over the first
	// byte of a connection; 0: 10 s.
	Head time.Duration
}

// Config is what an engine stands on. Zero fields have defaults.
type Config struct {
	Clock clock.Clock
	Log   *slog.Logger
	// Zone of this host: targets in it come first.
	Zone string
	// Listen opens a port; nil: on all addresses of the host.
	Listen func(address string) (net.Listener, error)
	// AliasAddr is where listeners with an alias listen, by its number, which only tasks of
	// this host reach; nil: at the host's loopback address.
	AliasAddr func(number int) netip.Addr
	// Aliases is the range of such addresses, at which nothing but aliases is served; zero: any.
	Aliases netip.Prefix
	// Dial connects to a target.
	Dial upstream.DialFunc
	// Random is the source of chance; nil: the runtime's.
	Random func() uint64
	// Access is told of requests; nil: nobody is.
	Access AccessLog
	Limits Limits
	// Store holds open ports for the next process; nil: nobody does, and they are closed with
	// this one.
	Store SocketStore
	// Inherited are listening sockets that were kept by Store, by their address. What no
	// listener has wanted after 10 s is closed.
	Inherited map[string]*os.File
}

func (c Config) withDefaults() Config {
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Listen == nil {
		c.Listen = func(address string) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		}
	}
	if c.AliasAddr == nil {
		c.AliasAddr = func(int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
	}
	if c.Dial == nil {
		c.Dial = dial
	}
	if c.Random == nil {
		c.Random = rand.Uint64
	}
	if c.Limits.Connections == 0 {
		c.Limits.Connections = 50_000
	}
	if c.Limits.PerSource == 0 {
		c.Limits.PerSource = 5_000
	}
	if c.Limits.Head == 0 {
		c.Limits.Head = 10 * time.Second
	}
	return c
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: connectTimeout}).DialContext(ctx, "tcp", address)
}
