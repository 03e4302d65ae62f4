package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/clock/clocktest"
	"skein/runtime/seam/vfs"
)

// cluster is some nodes on a network and disks in memory.
type cluster struct {
	t     testing.TB
	net   *memnet
	hosts []*host
	log   *slog.Logger
}

type host struct {
	c    *cluster
	id   fleet.HostID
	disk *vfs.Mem
	node *Node
	n    int           // number of its RaftID
	cfg  func(*Config) // changes for its next start
}

// inCluster runs a test in fake time with so many hosts, of which the first has
// made the fleet and the others, all of them voters, are added.
func inCluster(t *testing.T, size int, change func(*Config), test func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, net: newMemnet(), log: slog.New(slog.DiscardHandler)}
		defer c.stop()
		for i := range size {
			c.add(i, change)
		}
		if size == 0 {
			test(t, c)
			return
		}
		first := c.hosts[0]
		if err := first.node.Bootstrap(t.Context(), initFleet(first)); err != nil {
			t.Fatal(err)
		}
		for _, h := range c.hosts[1:] {
			must(t, first.node.AddNonvoter(t.Context(), h.raftID()))
			must(t, first.node.AddVoter(t.Context(), h.raftID()))
		}
		c.await("everybody knows the fleet", func() bool {
			return c.all(func(h *host) bool { return h.node.State().Fleet() != nil })
		})
		test(t, c)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add makes a host and starts its node with an empty log.
func (c *cluster) add(i int, change func(*Config)) *host {
	c.t.Helper()
	h := &host{c: c, id: fleet.HostID(fmt.Sprintf("h-%016x", i+1)), disk: vfs.NewMem(), n: 1, cfg: change}
	c.hosts = append(c.hosts, h)
	must(c.t, h.start())
	return h
}

func (h *host) raftID() fleet.RaftID { return fleet.MakeRaftID(h.id, h.n) }

func (h *host) start() error {
	cfg := Config{
		Dir: "/raft", ID: h.raftID(), FS: h.disk, Log: h.c.log.With("host", h.id), Clock: clock.System(),
		Dial: h.c.net.dialer(h.id), Accept: h.c.net.listen(h.id), BallastBytes: 1 << 20, segmentBytes: 64 << 10,
	}
	if h.cfg != nil {
		h.cfg(&cfg)
	}
	node, err := Open(cfg)
	if err == nil {
		h.node = node
	}
	return err
}

// stop closes a node, with a hand-over where it leads.
func (h *host) stop() {
	h.c.t.Helper()
	if h.node != nil {
		must(h.c.t, h.node.Close())
		h.node = nil
	}
}

// kill is a power loss: nothing is said to anybody, and what was not synced is
// lost.
func (h *host) kill() {
	h.c.t.Helper()
	h.c.net.isolate(h.id, h.c.ids(), true)
	h.disk.StopAt(1)
	_ = h.node.Close() // its disk fails every write: it can only end
	h.disk.Crash()
	h.c.net.isolate(h.id, h.c.ids(), false)
	h.node = nil
}

// die is the end of the program while the machine lives on: its kernel closes the
// connections, refuses others, and writes what it was given.
func (h *host) die() {
	h.c.t.Helper()
	must(h.c.t, h.node.cfg.Accept.Close())
	h.node.stream.hangUp()
	h.disk.StopAt(1)
	go func(node *Node) { _ = node.Close() }(h.node)
	h.node = nil
}

// revive starts the program again.
func (h *host) revive() {
	h.c.t.Helper()
	h.disk.Crash()
	must(h.c.t, h.start())
}

func (c *cluster) stop() {
	for _, h := range c.hosts {
		if h.node != nil {
			if err := h.node.Close(); err != nil {
				c.t.Errorf("close %s: %v", h.id, err)
			}
		}
	}
	clocktest.Elapse(time.Minute) // whatever the library still waits for
}

func (c *cluster) ids() (ids []fleet.HostID) {
	for _, h := range c.hosts {
		ids = append(ids, h.id)
	}
	return ids
}

func (c *cluster) all(ok func(*host) bool) bool {
	for _, h := range c.hosts {
		if h.node != nil && !ok(h) {
			return false
		}
	}
	return true
}

// await waits for a condition, at most a fake minute, and prints the last state.
func (c *cluster) await(what string, ok func() bool) {
	c.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > time.Minute {
			c.t.Fatalf("%s: not after a minute:\n%s", what, c.describe())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *cluster) describe() string {
	var b strings.Builder
	for _, h := range c.hosts {
		if h.node == nil {
			fmt.Fprintf(&b, "%s is down\n", h.id)
			continue
		}
		stats := h.node.Stats()
		fmt.Fprintf(&b, "%s: %s term %s log %s-%s commit %s state %s trouble %s members %s\n", h.id, stats["state"],
			stats["term"],
			stats["log_first_index"], stats["log_last_index"], stats["commit_index"], stats["state_index"], stats["trouble"],
			stats["latest_configuration"])
	}
	return b.String()
}

// leader waits for one that a quorum confirms.
func (c *cluster) leader() *host {
	c.t.Helper()
	var leader *host
	c.await("a leader", func() bool {
		for _, h := range c.hosts {
			if h.node != nil && h.node.IsLeader() && h.node.Verify(c.t.Context()) == nil {
				leader = h
				return true
			}
		}
		return false
	})
	return leader
}

func (c *cluster) followers() (out []*host) {
	leader := c.leader()
	for _, h := range c.hosts {
		if h != leader && h.node != nil {
			out = append(out, h)
		}
	}
	return out
}

// converged waits until every node has applied what the leader has.
func (c *cluster) converged() {
	c.t.Helper()
	leader := c.leader()
	c.await("everybody has applied everything", func() bool {
		want := leader.node.State().Index()
		return c.all(func(h *host) bool { return h.node.State().Index() == want })
	})
	for _, h := range c.hosts {
		if h.node != nil {
			must(c.t, h.node.State().Check())
		}
	}
}

func initFleet(h *host) fleet.Item {
	return fleet.Item{Command: fleet.InitFleet{
		ID: "fleet-1", CABundle: []byte("ca"), RaftID: h.raftID(),
		SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("sealed"), Gossip: []byte("sealed")},
		Host: fleet.Admission{
			ID: h.id, Name: "h1", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"),
			PublicKey: strings.Repeat("ab", 32),
		},
	}}
}

// token is a small command with an effect that can be counted.
func token(name string) fleet.Item {
	return fleet.Item{Command: fleet.PutToken{
		ID: fleet.TokenID(name), TokenKind: fleet.TokenOperator, Hash: make([]byte, 32),
		NotAfter: fleet.Time(4_000_000_000_000),
	}}
}

// put proposes tokens through whoever leads and waits until it is certain.
func (c *cluster) put(names ...string) uint64 {
	c.t.Helper()
	var items []fleet.Item
	for _, name := range names {
		items = append(items, token(name))
	}
	results, index, err := c.leader().node.Propose(c.t.Context(), items)
	if err != nil {
		c.t.Fatalf("put %q: %v\n%s", names, err, c.describe())
	}
	for i, r := range results {
		if r.Err != nil {
			c.t.Fatalf("put %q: %v", names[i], r.Err)
		}
	}
	return index
}

// certainly proposes until it is done, as a client with a receipt does.
func (c *cluster) certainly(name string) {
	c.t.Helper()
	item := token(name)
	item.Receipt = &fleet.Receipt{Token: name, BodyHash: make([]byte, 32)}
	start := time.Now()
	for {
		results, _, err := c.leader().node.Propose(c.t.Context(), []fleet.Item{item})
		if err == nil {
			must(c.t, results[0].Err)
			return
		}
		if !isOneOf(err, ErrUnknown, ErrNotLeader, ErrStalled, ErrClosed) || time.Since(start) > time.Minute {
			c.t.Fatalf("put %q: %v\n%s", name, err, c.describe())
		}
	}
}

func tokens(s *fleet.State) (names []string) {
	for v := range s.Tokens() {
		names = append(names, string(v.ID))
	}
	slices.Sort(names)
	return names
}

func has(s *fleet.State, name string) bool { return s.Token(fleet.TokenID(name)) != nil }

// propose tries once, with a deadline of its own.
func (h *host) propose(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	results, _, err := h.node.Propose(ctx, []fleet.Item{token(name)})
	if err == nil {
		err = results[0].Err
	}
	return err
}

func isOneOf(err error, sentinels ...error) bool {
	return slices.ContainsFunc(sentinels, func(s error) bool { return errors.Is(err, s) })
}
