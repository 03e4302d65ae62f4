package keeper_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// world is a fleet whose leader steps the keeper and carries out what it asks
// for, as far as hosts are there to play along.
type world struct {
	t      testing.TB
	state  *fleet.State
	now    fleet.Time
	leader fleet.HostID
	config map[fleet.RaftID]bool // -> voting
	hosts  map[fleet.HostID]*machine
	memory keeper.Memory
	plan   keeper.Plan

	// knobs
	starved  map[fleet.HostID]bool
	leaving  bool
	alone    time.Duration // how long the leader had heard no other when it became it
	installs map[fleet.RaftID]int

	trace  []string // what happened, without repetitions in a row
	used   map[fleet.RaftID]bool
	since  map[fleet.RaftID]fleet.Time
	before map[fleet.RaftID]string
}

// machine is a host as it is, whatever State says.
type machine struct {
	up, mute bool // mute: its raft port answers nobody
	holds    fleet.RaftID
	lag      uint64 // entries behind the leader
	deaf     bool   // takes no keys
	disk     string // what is wrong with it: "stalled", "full" or nothing
	reads    int    // the format that its agent reads
	forgets  bool   // it loses its log when it begins to learn
}

const step = 500 * time.Millisecond

func id(n int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h-%016x", n)) }

func newWorld(t testing.TB, zones ...string) *world {
	w := &world{
		t: t, state: fleet.New(), now: 1_700_000_000_000, leader: id(1),
		config: map[fleet.RaftID]bool{}, hosts: map[fleet.HostID]*machine{},
		starved: map[fleet.HostID]bool{}, installs: map[fleet.RaftID]int{},
		used: map[fleet.RaftID]bool{}, since: map[fleet.RaftID]fleet.Time{}, before: map[fleet.RaftID]string{},
	}
	first := fleet.MakeRaftID(id(1), 1)
	w.do(fleet.InitFleet{
		ID: "f", CABundle: []byte("ca"), RaftID: first,
		SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("s"), Gossip: []byte("s")}, Host: admission(1, zones[0]),
	})
	w.do(fleet.PutToken{ID: "t", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 1000,
		NotAfter: 4_000_000_000_000})
	w.do(fleet.NoteLeader{ID: first})
	w.config[first], w.used[first] = true, true
	w.hosts[id(1)] = &machine{up: true, holds: first}
	w.ready(1)
	for i, zone := range zones[1:] {
		w.join(i+2, zone)
	}
	return w
}

func admission(n int, zone string) fleet.Admission {
	return fleet.Admission{
		ID: id(n), Name: fmt.Sprint("h", n), Zone: zone, PublicKey: fmt.Sprintf("%064x", n),
		Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 7000),
	}
}

// do commits a command; whatever was committed must leave State sound.
func (w *world) do(c fleet.Command) {
	w.t.Helper()
	if err := w.try(c); err != nil {
		w.t.Fatalf("%T: %v", c, err)
	}
}

func (w *world) try(c fleet.Command) error {
	w.t.Helper()
	out := w.state.Apply(w.state.Index()+1, fleet.Entry{At: w.now, Items: []fleet.Item{{Command: c}}})
	if err := w.state.Check(); err != nil {
		w.t.Fatalf("after %T: %v", c, err)
	}
	return out.Results[0].Err
}

func (w *world) join(n int, zone string) {
	w.t.Helper()
	w.do(fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: admission(n, zone)})
	w.hosts[id(n)] = &machine{up: true}
	w.ready(n)
}

// ready opens a session and passes the self-check.
func (w *world) ready(n int) {
	w.t.Helper()
	h := w.state.Host(id(n))
	nonce := h.Session.Nonce + 1
	w.do(fleet.OpenSession{
		Host: h.ID, Boot: fmt.Sprint("boot-", nonce), Nonce: nonce, Addr: h.Addr, Zone: h.Zone,
		Capacity: fleet.Resources{CPU: 1024, Memory: 1024}, RaftID: w.hosts[h.ID].holds, Format: w.hosts[h.ID].reads,
	})
	w.do(fleet.Report{Host: h.ID, Session: w.state.Host(h.ID).Session.N, Seq: 1,
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
	w.now++ // so that who came first is known
}

// down is a host that dies; the fleet notices at once.
func (w *world) down(n int) {
	w.t.Helper()
	w.hosts[id(n)].up = false
	w.do(fleet.SilenceHost{Host: id(n), Session: w.state.Host(id(n)).Session.N})
}

// back is the same machine again, with its disk or with an empty one.
func (w *world) back(n int, wiped bool) {
	w.t.Helper()
	m := w.hosts[id(n)]
	m.up = true
	if wiped {
		m.holds = ""
	}
	w.ready(n)
}

func (w *world) note(format string, args ...any) {
	line := strings.ReplaceAll(fmt.Sprintf(format, args...), "h-000000000000000", "h")
	if len(w.trace) == 0 || w.trace[len(w.trace)-1] != line {
		w.trace = append(w.trace, line)
	}
}

// answer is what the host of a row says, with its age.
func (w *world) answer(v *fleet.Voter) keeper.Answer {
	m := w.hosts[v.Host]
	a := keeper.Answer{Now: m.up && !m.mute && m.holds == v.ID, NotOne: m.up && !m.mute && m.holds != v.ID}
	if a.Now {
		a.Commit, a.Trouble, a.Stalled = w.commit()-m.lag, m.disk, m.disk == "stalled"
	}
	kind := fmt.Sprint(a.Now, a.NotOne, a.Trouble)
	if w.before[v.ID] != kind {
		w.before[v.ID], w.since[v.ID] = kind, w.now
	}
	a.For = w.now.Sub(w.since[v.ID])
	return a
}

// commit is the leader's commit index, in a log that has run for long.
func (w *world) commit() uint64 { return w.state.Index() + 1_000_000 }

func (w *world) self() fleet.RaftID { return w.hosts[w.leader].holds }

func (w *world) input() keeper.Input {
	in := keeper.Input{
		State: w.state, Self: w.self(), Commit: w.commit(), Answers: map[fleet.RaftID]keeper.Answer{},
		Starved: func(id fleet.HostID) bool { return w.starved[id] }, Installs: w.installs, Leaving: w.leaving,
		Leaderless: w.alone,
	}
	for _, rid := range slices.Sorted(maps.Keys(w.config)) {
		in.Members = append(in.Members, keeper.Member{ID: rid, Voting: w.config[rid]})
	}
	for v := range w.state.Voters() {
		if v.ID != in.Self {
			in.Answers[v.ID] = w.answer(v)
		}
	}
	return in
}

// step steps the keeper once and carries its plan out.
func (w *world) step() {
	w.t.Helper()
	w.plan, w.memory = keeper.Step(w.now, w.input(), w.memory)
	if len(w.plan.Items) > 1 {
		w.t.Fatalf("%d items in one step: %v", len(w.plan.Items), w.plan.Items)
	}
	changes := 0
	for _, item := range w.plan.Items {
		w.intent(item)
	}
	for _, e := range w.plan.Effects {
		if w.carryOut(e) {
			changes++
		}
	}
	if changes > 1 {
		w.t.Fatalf("%d changes in one step: %v", changes, w.plan.Effects)
	}
	w.now = w.now.Add(step)
}

func (w *world) intent(item fleet.Item) {
	w.t.Helper()
	switch c := item.Command.(type) {
	case fleet.SetVoter:
		if c.Phase == fleet.VoterPreparing {
			if w.used[c.ID] {
				w.t.Fatalf("%s is used twice", c.ID)
			}
			w.used[c.ID] = true
		}
		w.note("%s %s", c.Phase, c.ID)
	case fleet.RemoveVoter:
		w.note("removed %s", c.ID)
	}
	if err := w.try(item.Command); err != nil {
		w.t.Fatalf("%+v was refused: %v\n%s", item, err, strings.Join(w.trace, "\n"))
	}
}

// carryOut does an effect as the real world would, and reports whether it
// changes the configuration or the leader. Every change must find a majority of
// the configuration it leads to.
func (w *world) carryOut(e keeper.Effect) (change bool) {
	w.t.Helper()
	next := maps.Clone(w.config)
	switch e := e.(type) {
	case keeper.HandOverKeys:
		if v := w.state.Voter(e.ID); v == nil || v.Phase != fleet.VoterPreparing {
			w.t.Fatalf("keys for %s, which is not being prepared", e.ID)
		}
		if m := w.hosts[e.ID.Host()]; m.up && !m.deaf {
			m.holds = e.ID
		}
		return false
	case keeper.DeleteLog:
		if _, member := w.config[e.ID]; member {
			w.t.Fatalf("the log of the member %s is deleted", e.ID)
		}
		if m := w.hosts[e.ID.Host()]; m.up && m.holds == e.ID {
			m.holds = ""
		}
		return false
	case keeper.Transfer:
		w.note("transfer")
		for rid, voting := range w.config {
			if voting && rid.Host() != w.leader && w.alive(rid) {
				w.leader, w.memory, w.leaving = rid.Host(), keeper.Memory{}, false
				break
			}
		}
		return true
	case keeper.AddNonvoter:
		next[e.ID] = false
		if m := w.hosts[e.ID.Host()]; m.forgets {
			m.holds = ""
		}
	case keeper.AddVoter:
		next[e.ID] = true
	case keeper.RemoveServer:
		delete(next, e.ID)
	}
	voters, alive := 0, 0
	for rid, voting := range next {
		if voting {
			voters++
			if w.alive(rid) {
				alive++
			}
		}
	}
	if alive <= voters/2 {
		w.t.Fatalf("%T %v leads to %d voters of which %d answer\n%s", e, e, voters, alive, strings.Join(w.trace, "\n"))
	}
	w.config = next
	w.note("%s %v", strings.TrimPrefix(fmt.Sprintf("%T", e), "keeper."), e)
	return true
}

// alive reports whether the very node of a RaftID is there.
func (w *world) alive(rid fleet.RaftID) bool {
	m := w.hosts[rid.Host()]
	return m.up && !m.mute && m.holds == rid && m.disk != "stalled"
}

// run steps for a while.
func (w *world) run(d time.Duration) {
	w.t.Helper()
	for range d / step {
		w.step()
	}
}

// stallAgainAndAgain has a host's disk stall for a while in each period.
func (w *world) stallAgainAndAgain(n int, stall, every, d time.Duration) {
	w.t.Helper()
	for range d / every {
		w.hosts[id(n)].disk = "stalled"
		w.run(stall)
		w.hosts[id(n)].disk = ""
		w.run(every - stall)
	}
}

// voters are the hosts that vote, by number: "1 2 3".
func (w *world) voters() string {
	var names []string
	for _, rid := range slices.Sorted(maps.Keys(w.config)) {
		if w.config[rid] {
			names = append(names, strings.TrimPrefix(w.state.Host(rid.Host()).Name, "h"))
		}
	}
	return strings.Join(names, " ")
}

// rows lists all rows of State: "1.1 voting, 2.1 learning".
func (w *world) rows() string {
	var rows []string
	for v := range w.state.Voters() {
		rows = append(rows, fmt.Sprintf("%s.%d %s", strings.TrimPrefix(w.state.Host(v.Host).Name, "h"), v.ID.Number(),
			v.Phase))
	}
	return strings.Join(rows, ", ")
}
