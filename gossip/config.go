package gossip

import (
	"errors"
	"log"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// Timers of the ring. Source: cmd/skein/DESIGN.md "Silence".
const (
	probeInterval = 500 * time.Millisecond
	probeTimeout  = 200 * time.Millisecond
	// gossipInterval is how soon news go on, and how often an idle host looks for some;
	// gossipNodes is to how many hosts at a time.
	gossipInterval = 500 * time.Millisecond
	gossipNodes    = 8
	// suspicionMult gives 2 s of suspicion at 10 hosts: a hint need not be hasty.
	suspicionMult = 4
	// streamTimeout bounds a push/pull, and with it how long a rejoin may hang on
	// an address that nobody answers.
	streamTimeout = 5 * time.Second
	// reclaimAfter lets a host that died come back at another address under its
	// name; a shorter one would let a clone slip in during one lost probe.
	reclaimAfter = 5 * time.Second
)

// Config is what [Open] needs.
type Config struct {
	Host    fleet.HostID
	Name    string // for people; at most 64 bytes, as the other texts
	Zone    string
	Role    string // "voter" or "worker"
	Version string
	Status  string // URL of the status page; at most 128 bytes

	Bind      netip.AddrPort // port 0 picks a free one
	Advertise netip.AddrPort // what others are told; Bind where not valid
	Peer      netip.AddrPort // the host's peer port

	// Keys are 32 bytes each; the first encrypts, all decrypt.
	Keys [][]byte

	// FloorFile remembers how often the agent started, so that incarnations rise
	// over restarts; empty for rings that need no memory. FS defaults to the real one.
	FloorFile string
	FS        vfs.FS

	// SessionNonce is the nonce of a host's session in State, 0 where this host has
	// no State; optional. Reports of other sessions give way to those of it.
	SessionNonce func(fleet.HostID) uint64

	// Transport replaces the sockets, for tests; Bind is not opened then.
	Transport memberlist.Transport

	Log *slog.Logger
}

func (c *Config) check() error {
	switch {
	case c.Host == "":
		return errors.New("open gossip: host id is empty")
	case c.Log == nil:
		return errors.New("open gossip: logger is missing")
	case !c.Bind.IsValid() && c.Transport == nil:
		return errors.New("open gossip: bind address is missing")
	}
	return checkKeys(c.Keys)
}

// library builds memberlist's configuration around r's delegates. port is the
// one that was bound.
func (c *Config) library(r *Ring, transport memberlist.Transport, port int, logger *log.Logger) *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = string(c.Host)
	m.Transport = transport
	if c.Bind.IsValid() {
		m.BindAddr, m.BindPort = c.Bind.Addr().String(), int(c.Bind.Port())
	}
	advertise := c.Advertise
	if !advertise.IsValid() {
		advertise = c.Bind
	}
	if advertise.IsValid() {
		m.AdvertiseAddr, m.AdvertisePort = advertise.Addr().String(), int(advertise.Port())
	}
	if advertise.IsValid() && advertise.Port() == 0 {
		m.AdvertisePort = port
	}
	m.ProbeInterval, m.ProbeTimeout = probeInterval, probeTimeout
	m.GossipInterval, m.GossipNodes = gossipInterval, gossipNodes
	m.SuspicionMult = suspicionMult
	m.TCPTimeout = streamTimeout
	m.DeadNodeReclaimTime = reclaimAfter
	m.EnableCompression = false // packets are small and encrypted; less to parse
	m.UDPBufferSize -= sealOverhead
	m.Logger = logger
	d := &delegate{r}
	m.Delegate, m.Events, m.Conflict, m.Alive, m.Ping = d, d, d, d, d
	return m
}
