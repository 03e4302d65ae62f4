package simlog_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// rig is machines with a voter's log each.
type rig struct {
	t      testing.TB
	time   *virtual.Time
	net    *virtual.Network
	log    *simlog.Log
	hosts  []*host
	broken []string
	trace  strings.Builder
	quiet  bool // no trace
}

type host struct {
	r     *rig
	id    fleet.HostID
	raft  fleet.RaftID
	disk  *simlog.Disk
	state *virtual.Run
	node  *simlog.Node
	told  []uint64 // by Subscribe
	leads []bool   // by OnLeadership
}

func (r *rig) note(format string, args ...any) {
	if r.quiet {
		return
	}
	fmt.Fprintf(&r.trace, "%12s ", r.time.Now())
	fmt.Fprintf(&r.trace, format, args...)
	r.trace.WriteByte('\n')
}

// newRig makes machines of which the first makes the fleet and so many, itself
// included, vote.
func newRig(
	t testing.TB, seed uint64, machines, voters int, networkConditions virtual.NetworkConditions, cfg simlog.Config,
) *rig {
	t.Helper()
	r := &rig{t: t, time: virtual.NewTime(seed)}
	r.net = virtual.NewNetwork(r.time, seed, virtual.NetworkConditions{Delay: 500 * time.Microsecond})
	committed := cfg.Committed
	cfg.Committed = func(c simlog.Commit) {
		r.note("committed %d of term %d by %s", c.Index, c.Term, c.Leader)
		if committed != nil {
			committed(c)
		}
	}
	cfg.Elected = func(id fleet.RaftID, term uint64) { r.note("%s leads term %d", id, term) }
	cfg.Broken = func(name, detail string) {
		r.note("BROKEN %s: %s", name, detail)
		r.broken = append(r.broken, name+": "+detail)
	}
	r.log = simlog.New(r.time, r.net, seed, cfg)
	for i := range machines {
		id := fleet.HostID(fmt.Sprintf("h-%016x", i+1))
		h := &host{r: r, id: id, raft: fleet.MakeRaftID(id, 1)}
		h.disk = simlog.NewDisk(h.raft)
		r.hosts = append(r.hosts, h)
	}
	if err := r.log.Bootstrap(r.hosts[0].disk); err != nil {
		t.Fatal(err)
	}
	for _, h := range r.hosts {
		r.net.PowerOn(h.id)
		h.start()
	}
	first := r.hosts[0]
	r.await("the first leads", func() bool { return first.node.IsLeader() })
	r.must(func(done func(error)) { first.propose(done, initFleet(first)) })
	for _, h := range r.hosts[1:voters] {
		r.must(func(done func(error)) { first.node.AddNonvoter(h.raft, done) })
		r.must(func(done func(error)) { first.node.AddVoter(h.raft, done) })
	}
	r.await("everybody knows the fleet", func() bool {
		return !slices.ContainsFunc(r.hosts[:voters], func(h *host) bool { return h.node.State().Fleet() == nil })
	})
	r.net.SetConditions(networkConditions)
	return r
}

// start begins an agent with its log.
func (h *host) start() {
	h.r.t.Helper()
	if h.r.net.Condition(h.id) == virtual.Off {
		h.r.net.PowerOn(h.id)
	}
	h.state = h.r.net.Begin(h.id)
	node, err := h.r.log.Open(h.raft, h.disk, h.state)
	if err != nil {
		h.r.t.Fatal(err)
	}
	h.node, h.told = node, nil
	node.Subscribe(func(index uint64, _ fleet.ChangeSet) { h.told = append(h.told, index) })
	node.OnLeadership(func(leads bool) { h.leads = append(h.leads, leads) })
	h.r.note("%s starts", h.raft)
}

func (h *host) up() bool { return h.node != nil }

// kill takes a machine's power.
func (h *host) kill() {
	h.r.note("%s loses power", h.raft)
	h.r.net.Set(h.id, virtual.Off)
	h.node = nil
}

// propose tells done of refusals too.
func (h *host) propose(done func(error), items ...fleet.Item) {
	h.node.Propose(items, began.Add(h.r.time.Now()), func(results []fleet.Result, _ uint64, err error) {
		for _, result := range results {
			if err == nil {
				err = result.Err
			}
		}
		done(err)
	})
}

var began = fleet.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// await lets the world go on until a condition holds, a minute at most.
func (r *rig) await(what string, holds func() bool) {
	r.t.Helper()
	until := r.time.Now() + time.Minute
	for !holds() {
		if !r.time.Step(until) {
			r.t.Fatalf("%s: not after a minute\n%s", what, r.describe())
		}
	}
}

func (r *rig) pass(d time.Duration) { r.time.Run(r.time.Now() + d) }

// result waits for an answer.
func (r *rig) result(ask func(done func(error))) error {
	r.t.Helper()
	var answered bool
	var got error
	ask(func(err error) {
		if answered {
			r.t.Error("answered twice")
		}
		answered, got = true, err
	})
	if answered {
		r.t.Error("answered before the call returned")
	}
	r.await("an answer", func() bool { return answered })
	return got
}

func (r *rig) must(ask func(done func(error))) {
	r.t.Helper()
	if err := r.result(ask); err != nil {
		r.t.Fatalf("%v\n%s", err, r.describe())
	}
}

func (r *rig) describe() string {
	var b strings.Builder
	for _, h := range r.hosts {
		if !h.up() {
			fmt.Fprintf(&b, "%s is down\n", h.raft)
			continue
		}
		leader, _ := h.node.Leader()
		fmt.Fprintf(&b, "%s %s: leads %v term %d commit %d applied %d state %d leader %q age %s members %v\n", h.raft,
			r.net.Condition(h.id),
			h.node.IsLeader(), h.node.Term(), h.node.CommitIndex(), h.node.AppliedIndex(), h.node.State().Index(), leader,
			h.node.LeaderAge(), h.node.Members())
	}
	return b.String()
}

// leader waits for one that a majority confirms.
func (r *rig) leader() *host {
	r.t.Helper()
	until := r.time.Now() + time.Minute
	for r.time.Now() < until {
		for _, h := range r.hosts {
			if h.up() && h.node.IsLeader() && r.net.Condition(h.id) == virtual.Up && r.result(h.node.Verify) == nil {
				return h
			}
		}
		r.pass(10 * time.Millisecond)
	}
	r.t.Fatalf("no leader within a minute\n%s", r.describe())
	return nil
}

func (r *rig) others(than *host) (others []*host) {
	for _, h := range r.hosts {
		if h != than && h.up() {
			others = append(others, h)
		}
	}
	return others
}

// put writes through whoever leads.
func (r *rig) put(names ...string) {
	r.t.Helper()
	leader := r.leader()
	for _, name := range names {
		r.must(func(done func(error)) { leader.propose(done, token(name)) })
	}
}

// equal waits until all nodes that are up have applied the same, and compares
// what they came to byte by byte.
func (r *rig) equal() {
	r.t.Helper()
	leader := r.leader()
	r.must(leader.node.Barrier)
	want := leader.node.CommitIndex()
	r.await("everybody has applied everything", func() bool {
		return !slices.ContainsFunc(r.hosts, func(h *host) bool { return h.up() && h.node.AppliedIndex() < want })
	})
	for _, h := range r.hosts {
		if h.up() && !bytes.Equal(encoded(r.t, h.node.State()), encoded(r.t, leader.node.State())) {
			r.t.Errorf("the State of %s is not that of %s", h.raft, leader.raft)
		}
	}
}

func encoded(t testing.TB, s *fleet.State) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := wire.WriteState(&b, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (r *rig) well() {
	r.t.Helper()
	for _, b := range r.broken {
		r.t.Errorf("broken: %s", b)
	}
}

func initFleet(h *host) fleet.Item {
	return fleet.Item{Command: fleet.InitFleet{
		ID: "fleet-1", CABundle: []byte("ca"), RaftID: h.raft,
		SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("sealed"), Gossip: []byte("sealed")},
		Host: fleet.Admission{
			ID: h.id, Name: "h1", Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.1:7000"), PublicKey: strings.Repeat("ab", 32),
		},
	}}
}

// token is a small command with an effect that can be counted.
func token(name string) fleet.Item {
	return fleet.Item{
		Command: fleet.PutToken{ID: fleet.TokenID(name), TokenKind: fleet.TokenOperator, Hash: make([]byte, 32),
			NotAfter: fleet.Time(4_000_000_000_000)},
		Receipt: &fleet.Receipt{Token: name, BodyHash: make([]byte, 32)},
	}
}

func (h *host) has(name string) bool { return h.node.State().Token(fleet.TokenID(name)) != nil }
