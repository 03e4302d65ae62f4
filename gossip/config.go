package gossip

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"time"

	"github.com/hashicorp/memberlist"

	"skein/raftfsm/fleet"
	"skein/runtime/vfs"
)

// Timers of the ring. Source: MECHANICS 4 and performance.md 4.3.
const (
	probeInterval  = 500 * time.Millisecond
	probeTimeout   = 200 * time.Millisecond
	gossipInterval = 200 * time.Millisecond
	// suspicionMult gives 2 s of suspicion at 10 hosts: a hint need not be hasty.
	suspicionMult = 4
	// streamTimeout bounds a push/pull, and with it how long a rejoin may hang on
	// an address that nobody answers.
	streamTimeout = 5 * time.Second
	// reclaimAfter lets a host that died come back at another address under its
	// name; a shorter one would let a clone slip in during one lost probe.
	reclaimAfter = 5 * time.Second
)

// KeySize is the length of a gossip key: AES-256.
const KeySize = 32

// ErrKeys is returned for a key ring memberlist would not take.
var ErrKeys = errors.New("gossip keys refused")

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

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return fmt.Errorf("%w: at least one key is needed", ErrKeys)
	}
	if len(keys) > maxKeys {
		return fmt.Errorf("%w: %d keys, at most %d", ErrKeys, len(keys), maxKeys)
	}
	for i, key := range keys {
		if len(key) != KeySize {
			return fmt.Errorf("%w: key %d has %d bytes, %d are needed", ErrKeys, i, len(key), KeySize)
		}
	}
	return nil
}

// maxKeys bounds the ring of keys: every packet that does not decrypt is tried
// with all of them. A rotation needs two.
const maxKeys = 4

// library builds memberlist's configuration around r's delegates.
func (c *Config) library(r *Ring, keys *memberlist.Keyring) *memberlist.Config {
	advertise := c.Advertise
	if !advertise.IsValid() {
		advertise = c.Bind
	}
	m := memberlist.DefaultLANConfig()
	m.Name = string(c.Host)
	m.Transport = c.Transport
	if c.Bind.IsValid() {
		m.BindAddr = c.Bind.Addr().String()
		m.BindPort = int(c.Bind.Port())
	}
	if advertise.IsValid() {
		m.AdvertiseAddr = advertise.Addr().String()
		m.AdvertisePort = int(advertise.Port())
	}
	m.ProbeInterval, m.ProbeTimeout = probeInterval, probeTimeout
	m.GossipInterval = gossipInterval
	m.SuspicionMult = suspicionMult
	m.TCPTimeout = streamTimeout
	m.DeadNodeReclaimTime = reclaimAfter
	m.EnableCompression = false // packets are small and encrypted; less to parse
	m.Keyring = keys
	m.Logger = log.New(newLogBridge(c.Log, &r.stats), "", 0)
	d := &delegate{r}
	m.Delegate, m.Events, m.Conflict, m.Alive, m.Ping = d, d, d, d, d
	return m
}
