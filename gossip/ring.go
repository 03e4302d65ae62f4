package gossip

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

// Bounds of the queues between memberlist's callbacks and Run. What does not fit
// is dropped and counted; the next push/pull makes good.
const (
	maxMessages = 1024 // broadcasts of one gossip interval at 10,000 hosts, many times over
	maxStates   = 2    // push/pull states, up to maxStateBytes each
	maxEvents   = 256  // log lines only
	// maxQueued bounds the broadcasts waiting to be sent: beyond it the oldest are
	// dropped, since push/pull carries them anyway.
	maxQueued = 2048
	// reportRetransmit is memberlist's RetransmitMult for reports, its default. At
	// 10 hosts a report then misses a given host once in 5,000 times; push/pull or
	// the next report makes good.
	reportRetransmit = 4
)

// ErrClosed is returned by methods of a ring that was closed.
var ErrClosed = errors.New("gossip ring is closed")

// Member is a host of the ring, this one included.
type Member struct {
	Host    fleet.HostID
	Name    string // empty where a newer agent's metadata could not be read
	Zone    string
	Role    string
	Version string
	Addr    netip.AddrPort // gossip address
	Peer    netip.AddrPort
	Status  string
	Suspect bool // it stopped answering the ring, or left it, in the last ten minutes
}

type gone struct {
	Member
	since time.Time
}

// Ring is one life in the gossip ring. After Leave a new one must be opened.
type Ring struct {
	cfg  Config
	log  *slog.Logger
	list *memberlist.Memberlist
	keys *keyring
	meta atomic.Pointer[[]byte]

	queue    *memberlist.TransmitLimitedQueue
	messages chan []byte
	states   chan []byte
	events   chan event
	publish  chan struct{}
	announce chan struct{}
	stats    counters
	count    atomic.Int64

	mu       sync.Mutex // guards the rest; never held while calling memberlist
	role     string
	members  map[fleet.HostID]Member // that answer
	gone     map[fleet.HostID]gone   // that did, until retention has passed
	table    reports
	answered map[fleet.HostID]time.Time

	life   sync.Mutex // serialises Leave and Close
	closed bool
}

// Open joins nobody yet: it opens the sockets and starts to answer. Errors: ErrKeys
// for bad keys; what the sockets or the floor file say.
func Open(cfg Config) (*Ring, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.FS == nil {
		cfg.FS = vfs.OS
	}
	keys, err := newKeyring(cfg.Keys)
	if err != nil {
		return nil, err
	}
	floor := 0
	if cfg.FloorFile != "" {
		if floor, err = nextFloor(cfg.FS, cfg.FloorFile); err != nil {
			return nil, fmt.Errorf("open gossip: %w", err)
		}
	}
	r := &Ring{
		cfg: cfg, log: cfg.Log, keys: keys, role: cfg.Role,
		messages: make(chan []byte, maxMessages), states: make(chan []byte, maxStates), events: make(chan event, maxEvents),
		publish: make(chan struct{}, 1), announce: make(chan struct{}, 1),
		members: make(map[fleet.HostID]Member), gone: make(map[fleet.HostID]gone), table: newReports(),
		answered: make(map[fleet.HostID]time.Time),
	}
	r.queue = &memberlist.TransmitLimitedQueue{NumNodes: func() int { return int(r.count.Load()) },
		RetransmitMult: reportRetransmit}
	if err := r.setMeta(cfg.Role); err != nil {
		return nil, fmt.Errorf("open gossip: %w", err)
	}
	if err := r.listen(); err != nil {
		return nil, fmt.Errorf("open gossip at %s: %w", cfg.Bind, err)
	}
	r.raise(floor)
	return r, nil
}

// listen opens the sockets and has memberlist answer behind the gate.
func (r *Ring) listen() (err error) {
	logger := log.New(newLogBridge(r.log, &r.stats), "", 0)
	base, port := r.cfg.Transport, int(r.cfg.Bind.Port())
	if base == nil {
		sockets, failed := openSockets(r.cfg.Bind, r.log)
		if failed != nil {
			return failed
		}
		base, port = sockets, sockets.port()
	}
	gate := newGate(base, r.keys, r.log, &r.stats)
	if r.list, err = memberlist.Create(r.cfg.library(r, gate, port, logger)); err != nil {
		_ = gate.Shutdown()
	}
	return err
}

func (r *Ring) setMeta(role string) error {
	b, err := encodeMeta(meta{
		Host: r.cfg.Host, Name: r.cfg.Name, Zone: r.cfg.Zone, Role: role,
		Version: r.cfg.Version, Peer: r.cfg.Peer, Status: r.cfg.Status,
	})
	if err == nil {
		r.meta.Store(&b)
	}
	return err
}

// Addr is the address this host tells others, with the port that was bound.
func (r *Ring) Addr() netip.AddrPort {
	node := r.list.LocalNode()
	addr, _ := netip.AddrFromSlice(node.Addr)
	return netip.AddrPortFrom(addr.Unmap(), node.Port)
}

// Observe takes the report of a host that came another way, on its stream. It is
// held as those are that came by gossip, and goes on with push/pull.
func (r *Ring) Observe(report fleet.CapacityReport) {
	encoded, err := encodeReport(report)
	if err != nil {
		r.stats.refused.Add(1)
		r.log.Debug("capacity report refused", "err", err)
		return
	}
	r.take(report, encoded)
}

// take holds a report of another host if it replaces the one that is held.
func (r *Ring) take(report fleet.CapacityReport, encoded []byte) bool {
	if report.Host == r.cfg.Host {
		r.meetSelf(report)
		return false
	}
	var nonce uint64
	if r.cfg.SessionNonce != nil {
		nonce = r.cfg.SessionNonce(report.Host)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, member := r.members[report.Host]
	return r.table.put(report, encoded, nonce, member, time.Now())
}

// Publish makes report this host's newest, unless a newer one was published.
// It is sent to others at once or when the ring's pace allows, newest only.
func (r *Ring) Publish(report fleet.CapacityReport) {
	report.Host = r.cfg.Host
	encoded, err := encodeReport(report)
	if err != nil {
		r.log.Error("capacity report not published", "err", err)
		return
	}
	r.mu.Lock()
	newer := r.table.put(report, encoded, 0, true, time.Now())
	r.mu.Unlock()
	if newer {
		nudge(r.publish)
	}
}

// Reports returns the newest report of each host that is a member or was one in
// the last ten minutes, ordered by host id.
func (r *Ring) Reports() []fleet.CapacityReport {
	r.mu.Lock()
	out := r.table.all()
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b fleet.CapacityReport) int { return strings.Compare(string(a.Host), string(b.Host)) })
	return out
}

// Report returns the newest report of one host and how long ago it arrived here.
func (r *Ring) Report(host fleet.HostID) (report fleet.CapacityReport, age time.Duration, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	report, at, ok := r.table.get(host)
	if !ok {
		return report, 0, false
	}
	return report, time.Since(at), true
}

// Members returns the members that answer and, marked as suspect, those that
// ceased to in the last ten minutes, ordered by host id.
func (r *Ring) Members() []Member {
	r.mu.Lock()
	out := make([]Member, 0, len(r.members)+len(r.gone))
	for _, m := range r.members {
		out = append(out, m)
	}
	for _, g := range r.gone {
		out = append(out, g.Member)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b Member) int { return strings.Compare(string(a.Host), string(b.Host)) })
	return out
}

// AnsweredWithin returns how long ago the host answered a direct ping of this
// one; false if it never did, or left long ago. Hosts of a ring of n ping each
// other about every n/2 seconds, so a recent answer is luck, and its lack says nothing.
func (r *Ring) AnsweredWithin(host fleet.HostID) (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.answered[host]
	if !ok {
		return 0, false
	}
	return time.Since(at), true
}

// SetRole changes the role in the metadata; Run announces it.
func (r *Ring) SetRole(role string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if role == r.role {
		return
	}
	if err := r.setMeta(role); err != nil {
		r.log.Error("role not announced", "role", role, "err", err)
		return
	}
	r.role = role
	nudge(r.announce)
}

// SetKeys replaces the key ring: the first key encrypts from now on, all
// decrypt. To rotate: add the new key second on all hosts, then move it to the
// front on all, then drop the old one. Errors: ErrKeys; the ring is then as it was.
func (r *Ring) SetKeys(keys [][]byte) error {
	return r.keys.set(keys)
}

// Stats returns the counters.
func (r *Ring) Stats() Stats {
	r.mu.Lock()
	held := len(r.table.all())
	r.mu.Unlock()
	return Stats{
		Members: int(r.count.Load()), Reports: held,
		Dropped: r.stats.dropped.Load(), Refused: r.stats.refused.Load(), Newer: r.stats.newer.Load(),
		Conflicts:       r.stats.conflicts.Load(),
		Unauthenticated: r.stats.unauthenticated.Load(), Limited: r.stats.limited.Load(),
		LibraryErrors: r.stats.libraryErrors.Load(), LibraryWarnings: r.stats.libraryWarnings.Load(),
	}
}

// Leave tells the others that this host goes on purpose, so that nobody suspects
// it, and waits up to timeout until one of them was told.
func (r *Ring) Leave(timeout time.Duration) error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.closed {
		return fmt.Errorf("leave gossip: %w", ErrClosed)
	}
	if err := r.list.Leave(timeout); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// Close ends the ring without telling anybody; a second call does nothing.
func (r *Ring) Close() error {
	r.life.Lock()
	defer r.life.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if err := r.list.Shutdown(); err != nil {
		return fmt.Errorf("close gossip: %w", err)
	}
	return nil
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
