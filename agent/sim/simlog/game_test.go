package simlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// game plays mishaps against a log: power is lost, agents die, links are cut one
// way or both, machines freeze, disks stall and fill and are wiped, voters come
// and go. Clients write through whoever thinks that it leads. Any number of
// machines may be hurt at once; but of the voters at most one disk is wiped until
// another voter has taken its place.
type game struct {
	*rig
	chance   *virtual.Chance
	writes   int
	changing time.Duration // until then the configuration may be changing
	quiet    bool          // no more of them
	acked    []string
	seen     map[string]int
	heal     []func()
	wiped    *host        // whose log is gone, until it is replaced
	old      fleet.RaftID // its log
}

// play plays one seed to its end and returns what went wrong.
func play(t testing.TB, seed uint64, cfg simlog.Config, seen map[string]int) (problems []string, g *game) {
	chance := virtual.NewChance(seed, "game")
	cfg.SnapshotEvery, cfg.KeepEntries = 5+chance.IntN(60), 1+chance.IntN(30)
	networkConditions := virtual.NetworkConditions{Delay: time.Millisecond, Jitter: chance.Between(0, 20*time.Millisecond)}
	if chance.Is(0.5) {
		networkConditions.Loss, networkConditions.Duplicate, networkConditions.SlowTail = 0.2*chance.Float64(),
			0.1*chance.Float64(), 0.05*chance.Float64()
	}
	voters := virtual.Pick(chance, 3, 3, 5)
	g = &game{rig: newRig(t, seed, 5, voters, networkConditions, cfg), chance: chance, seen: seen}
	for range 4 {
		g.client()
	}
	g.keep()
	for range 40 {
		g.mishap()
		g.time.Run(g.time.Now() + chance.Between(0, 1500*time.Millisecond))
		if len(g.broken) > 0 {
			return g.broken, g
		}
	}
	return append(g.broken, g.settle(voters)...), g
}

// client writes, now and then, through a machine that thinks it leads.
func (g *game) client() {
	g.time.After(g.chance.Between(0, 200*time.Millisecond), func() {
		if g.quiet {
			return
		}
		h := g.hosts[g.chance.IntN(len(g.hosts))]
		if h.up() && h.node.IsLeader() {
			name := fmt.Sprintf("t%d", g.writes)
			g.writes++
			node := h.node
			h.state.After(0, func() {
				node.Propose([]fleet.Item{token(name)}, began.Add(g.time.Now()),
					func(results []fleet.Result, index uint64, err error) {
						if err == nil && results[0].Err == nil {
							g.note("acked %s at %d", name, index)
							g.acked = append(g.acked, name)
						}
					})
			})
		}
		g.client()
	})
}
func (g *game) mishap() {
	h := g.hosts[g.chance.IntN(len(g.hosts))]
	hold := g.chance.Between(time.Millisecond, 6*time.Second)
	what := virtual.Pick(g.chance, "power", "agent", "all", "cut", "cut out", "cut in", "link", "freeze", "freeze",
		"stall", "full", "wipe", "transfer", "voters", "voters")
	if !h.up() && what != "voters" {
		return
	}
	var others []fleet.HostID
	for _, o := range g.hosts {
		if o != h {
			others = append(others, o.id)
		}
	}
	self := []fleet.HostID{h.id}
	cut := func(from, to []fleet.HostID) { g.ends(hold, g.net.Cut(from, to)) }
	g.note("%s: %s for %s", h.id, what, hold)
	g.seen[what]++
	switch what {
	case "power":
		h.kill()
		g.later(hold, h)
	case "agent":
		g.net.Set(h.id, virtual.Down)
		h.node = nil
		g.later(g.chance.Between(0, 50*time.Millisecond), h)
	case "all":
		for _, o := range g.hosts {
			o.kill()
			g.later(g.chance.Between(0, hold), o)
		}
	case "cut":
		cut(self, others)
		cut(others, self)
	case "cut out":
		cut(self, others)
	case "cut in":
		cut(others, self)
	case "link":
		cut(self, virtual.Pick(g.chance, others[:1], others[1:2], others[2:]))
	case "freeze":
		g.net.Set(h.id, virtual.Frozen)
		run := h.state
		g.ends(hold, func() {
			if !run.Over() {
				g.net.Set(h.id, virtual.Up)
			}
		})
	case "stall":
		h.disk.Stall(true)
		disk := h.disk
		g.ends(hold, func() { disk.Stall(false) })
	case "full":
		h.disk.Full(true)
		disk := h.disk
		g.ends(hold, func() { disk.Full(false) })
	case "wipe":
		if g.wiped == nil {
			g.wiped, g.old = h, h.raft
			h.kill()
			h.disk.Wipe()
			g.later(g.chance.Between(0, hold), h)
		}
	case "transfer":
		if h.node.IsLeader() {
			h.node.Transfer(func(error) {})
		}
	case "voters":
		g.change(h)
	}
}

// ends has a mishap end, then or when the game does.
func (g *game) ends(after time.Duration, end func()) {
	over := false
	once := func() {
		if !over {
			over = true
			end()
		}
	}
	g.heal = append(g.heal, once)
	g.time.After(after, once)
}

// later starts a machine again.
func (g *game) later(after time.Duration, h *host) {
	g.time.After(after, func() { g.begin(h) })
}
func (g *game) begin(h *host) {
	if h.up() {
		return
	}
	if g.net.Condition(h.id) == virtual.Off {
		g.net.PowerOn(h.id)
	}
	h.state = g.net.Begin(h.id)
	node, err := g.log.Open(h.raft, h.disk, h.state)
	g.note("%s opens: %v", h.raft, err)
	switch {
	case err == nil:
		h.node = node
	case errors.Is(err, simlog.ErrWiped) && h == g.wiped: // the keeper sees to it
	default:
		g.broken = append(g.broken, err.Error())
	}
}

// change has the leader take a machine out of the configuration or into it.
func (g *game) change(h *host) {
	leader := g.believed()
	if leader == nil || g.wiped != nil || g.time.Now() < g.changing {
		return // one at a time, or several that wait would leave too few
	}
	g.changing = g.time.Now() + 15*time.Second
	members := leader.node.Members()
	voting := 0
	for _, m := range members {
		if m.Voting {
			voting++
		}
	}
	at := slices.IndexFunc(members, func(m simlog.Member) bool { return m.ID == h.raft })
	note := func(err error) {
		g.note("change of %s: %v", h.raft, err)
		if !errors.Is(err, simlog.ErrUnknown) {
			g.changing = 0
		}
	}
	switch {
	case at < 0:
		leader.node.AddNonvoter(h.raft, note)
	case !members[at].Voting:
		leader.node.AddVoter(h.raft, note)
	case h == leader:
		// The keeper transfers first: as in the library, who has taken itself out and
		// could not commit that neither stands for election nor votes for older logs.
		leader.node.Transfer(note)
	case voting > 3:
		leader.node.RemoveServer(h.raft, note)
	}
}

// believed is a machine that thinks it leads.
func (g *game) believed() *host {
	for _, h := range g.hosts {
		if h.up() && h.node.IsLeader() && g.net.Condition(h.id) == virtual.Up {
			return h
		}
	}
	return nil
}

// keep replaces the voter whose disk was wiped: a new id learns, votes, and the
// old one goes.
func (g *game) keep() {
	g.time.After(time.Second, func() {
		defer g.keep()
		h, leader := g.wiped, g.believed()
		if h == nil || leader == nil || g.net.Condition(h.id) != virtual.Up {
			return
		}
		if h.up() && h.raft == g.old { // a mutant opened it
			g.wiped = nil
			return
		}
		if !h.up() {
			h.raft = fleet.MakeRaftID(h.id, h.raft.Number()+1)
			h.disk = simlog.NewDisk(h.raft)
			g.begin(h)
		}
		old, node := g.old, leader.node
		member := func(id fleet.RaftID) (in, votes bool) {
			at := slices.IndexFunc(node.Members(), func(m simlog.Member) bool { return m.ID == id })
			return at >= 0, at >= 0 && node.Members()[at].Voting
		}
		in, votes := member(h.raft)
		stays, _ := member(old)
		note := func(err error) { g.note("replacement of %s: %v", old, err) }
		switch {
		case !in:
			node.AddNonvoter(h.raft, note)
		case in && !votes && stays:
			node.AddVoter(h.raft, note)
		case stays:
			node.RemoveServer(old, note)
		case h.up() && h.node.AppliedIndex() >= node.CommitIndex():
			node.Barrier(func(err error) { // which proves that all of this is committed
				if stays, _ := member(old); err == nil && !stays && g.old == old {
					g.wiped = nil
				}
			})
		}
	})
}

// settle ends all mishaps and waits until everybody has everything.
func (g *game) settle(voters int) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, end := range g.heal {
		end()
	}
	g.net.SetConditions(virtual.NetworkConditions{Delay: time.Millisecond})
	for _, h := range g.hosts {
		g.begin(h)
	}
	var leader *host
	agreed := func() bool {
		leader = nil
		for _, h := range g.hosts {
			if h.up() && h.node.IsLeader() {
				if leader != nil {
					return false
				}
				leader = h
			}
		}
		if leader == nil || g.wiped != nil {
			return false
		}
		for _, m := range leader.node.Members() {
			at := slices.IndexFunc(g.hosts, func(h *host) bool { return h.raft == m.ID })
			if at < 0 || !g.hosts[at].up() || g.hosts[at].node.AppliedIndex() < leader.node.AppliedIndex() {
				return false
			}
		}
		return true
	}
	until := g.time.Now() + 2*time.Minute
	g.time.After(4*time.Second, func() { g.quiet = true })
	for settled := g.time.Now() + 5*time.Second; g.time.Now() < settled || !agreed(); {
		if !g.time.Step(until) || len(g.broken) > 0 {
			if len(g.broken) == 0 {
				fail("no agreement two minutes after the last mishap:\n%s", g.describe())
			}
			return problems
		}
	}
	for _, m := range leader.node.Members() {
		at := slices.IndexFunc(g.hosts, func(h *host) bool { return h.raft == m.ID })
		h := g.hosts[at]
		if h.node.State().Index() == leader.node.State().Index() &&
			!bytes.Equal(encoded(g.t, h.node.State()), encoded(g.t, leader.node.State())) {
			fail("the State of %s is not that of %s", h.raft, leader.raft)
		}
	}
	for _, name := range g.acked {
		if !leader.has(name) {
			fail("%s was acknowledged and is gone", name)
		}
	}
	return problems
}
func TestWhatWasAcknowledgedSurvivesAnyMishaps(t *testing.T) {
	seeds, first := uint64(60), uint64(1)
	if testing.Short() {
		seeds = 15
	}
	if text := os.Getenv("SKEIN_TEST_SEED"); text != "" {
		first, _ = strconv.ParseUint(text, 10, 64)
		seeds = 1
	}
	if text := os.Getenv("SKEIN_TEST_ROUNDS"); text != "" {
		seeds, _ = strconv.ParseUint(text, 10, 64)
	}
	seen := map[string]int{}
	acked, writes := 0, 0
	for seed := first; seed < first+seeds; seed++ {
		if testing.Verbose() && seeds > 1000 && seed%50 == 0 {
			t.Logf("seed %d", seed)
		}
		problems, g := play(t, seed, simlog.Config{Shared: seed%2 == 0}, seen)
		for _, p := range problems {
			t.Errorf("seed %d: %s", seed, p)
		}
		if len(problems) > 0 {
			if os.Getenv("SKEIN_TEST_SEED") != "" {
				t.Log(g.trace.String())
			}
			return
		}
		acked, writes = acked+len(g.acked), writes+g.writes
	}
	t.Logf("%d of %d writes acknowledged, mishaps: %v", acked, writes, seen)
	if acked < int(seeds)*50 {
		t.Errorf("only %d writes were acknowledged in %d games: they prove nothing", acked, seeds)
	}
}
func TestOneSeedIsOneHistory(t *testing.T) {
	for seed := uint64(100); seed < 104; seed++ {
		history := func(shared bool) string {
			_, g := play(t, seed, simlog.Config{Shared: shared}, map[string]int{})
			return g.trace.String()
		}
		a, b, c := history(true), history(true), history(false)
		if a != b {
			t.Errorf("seed %d gave two histories", seed)
		}
		if a != c {
			t.Errorf("seed %d gave another history where State is not shared", seed)
		}
	}
}
