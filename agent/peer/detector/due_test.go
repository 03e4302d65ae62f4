package detector

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// A watch that looks at the hosts that are due sees, step by step, what one sees
// that looks at all hosts each time, and asks the same witnesses.
func TestLookingAtWhatIsDueIsLookingAtAll(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			g := newDueGame(seed)
			for step := range 1500 {
				g.step()
				if diff := cmp.Diff(g.said(g.all), g.said(g.due)); diff != "" {
					t.Fatalf("step %d (-all hosts +what is due):\n%s", step, diff)
				}
			}
		})
	}
}

// dueGame tells two watches the same at random.
type dueGame struct {
	chance   *rand.Rand
	now      time.Duration
	all, due *Watch // all looks at all hosts each time
	asked    map[*Watch][]WitnessRequest
	hosts    []Host
	voters   []*dueVoter
	starved  bool
}

type dueVoter struct {
	id      fleet.HostID
	seq     uint64
	silent  int // words that it does not say
	full    bool
	starved bool
	open    map[fleet.HostID]uint64
	slow    map[fleet.HostID]time.Duration // when heard last
}

func newDueGame(seed uint64) *dueGame {
	g := &dueGame{chance: rand.New(rand.NewPCG(seed, 7)), now: time.Hour, all: NewWatch("h00"), due: NewWatch("h00"),
		asked: map[*Watch][]WitnessRequest{}}
	for i := range 12 {
		h := Host{ID: fleet.HostID(fmt.Sprintf("h%02d", i)), Zone: string(rune('a' + i%3)), State: fleet.HostReady}
		g.hosts = append(g.hosts, h)
		if i < 3 {
			g.voters = append(g.voters, &dueVoter{id: h.ID, full: true, open: map[fleet.HostID]uint64{},
				slow: map[fleet.HostID]time.Duration{}})
		}
	}
	g.both(func(w *Watch) { w.Begin(g.now) })
	return g
}

func (g *dueGame) both(do func(*Watch)) {
	do(g.all)
	do(g.due)
}

func (g *dueGame) step() {
	g.now += protocol.WatchEvery
	for _, v := range g.voters {
		g.word(v)
	}
	if g.chance.IntN(20) == 0 {
		g.know()
	}
	if g.chance.IntN(400) == 0 {
		g.starved = !g.starved
	}
	if g.chance.IntN(60) == 0 {
		forced := []fleet.HostID{g.any().ID}
		g.both(func(w *Watch) { w.Force(forced) })
	}
	g.all.queueAll()
	g.both(func(w *Watch) { g.asked[w] = append(g.asked[w], w.Step(g.now, g.starved, 4)...) })
	g.answer()
}

func (g *dueGame) any() *Host { return &g.hosts[g.chance.IntN(len(g.hosts))] }

// know changes a row now and then, and drops a voter or takes it back.
func (g *dueGame) know() {
	if g.chance.IntN(4) == 0 {
		g.any().State = []fleet.HostState{fleet.HostReady, fleet.HostReady, fleet.HostSilent,
			fleet.HostLost}[g.chance.IntN(4)]
	}
	voters := []fleet.HostID{"h00", "h01", "h02"}
	if g.chance.IntN(10) == 0 {
		voters = voters[:2]
	}
	hosts := g.hosts
	if g.chance.IntN(10) == 0 {
		hosts = hosts[:11]
	}
	g.both(func(w *Watch) { w.Know(g.now, hosts, voters) })
}

// word has a voter tell of its streams each 250 ms or so, unless it is silent.
func (g *dueGame) word(v *dueVoter) {
	if v.silent > 0 {
		v.silent--
		return
	}
	if g.chance.IntN(5) != 0 {
		return
	}
	switch g.chance.IntN(150) {
	case 0:
		v.silent = g.chance.IntN(300)
	case 1:
		v.starved = !v.starved
	case 2:
		v.full = true
	}
	a := Ages{Full: v.full, Starved: v.starved}
	g.change(v, &a)
	if a.Full {
		a.Open = nil
		for host, session := range v.open {
			a.Open = append(a.Open, OpenAge{Host: host, Session: session})
		}
	}
	for host, heard := range v.slow {
		age := g.now - heard
		a.Slow = append(a.Slow,
			SlowAge{Host: host, AgeMs: age.Milliseconds(), SuspectMs: 600 + 700*int64(len(host)+int(host[2])%7)})
		if g.chance.IntN(8) == 0 {
			a.StarvedHosts = append(a.StarvedHosts, host)
		}
	}
	if g.chance.IntN(3) == 0 {
		off := int64(g.chance.IntN(50))
		a.ClockMs = &off
	}
	v.seq++
	a.Seq = v.seq
	full := false
	g.both(func(w *Watch) { full = w.Take(g.now, v.id, a) })
	v.full = full
}

// change opens, ends, slows and speeds up streams.
func (g *dueGame) change(v *dueVoter, a *Ages) {
	for range g.chance.IntN(3) {
		h := g.any().ID
		session, open := v.open[h]
		switch g.chance.IntN(6) {
		case 0, 1:
			v.open[h] = session + uint64(g.chance.IntN(2))
			delete(v.slow, h)
			a.Open = append(a.Open, OpenAge{Host: h, Session: v.open[h]})
		case 2:
			if open && !a.has(h) {
				delete(v.open, h)
				delete(v.slow, h)
				a.Gone = append(a.Gone, GoneAge{Host: h, AgeMs: int64(g.chance.IntN(900)), Cut: g.chance.IntN(2) == 0})
			}
		case 3:
			if open {
				v.slow[h] = g.now - slowAge
			}
		case 4:
			delete(v.slow, h)
		case 5:
			if open {
				a.Clocks = append(a.Clocks, HostClock{Host: h, OffMs: int64(g.chance.IntN(5000))})
			}
		}
	}
}

func (a *Ages) has(h fleet.HostID) bool {
	for _, o := range a.Open {
		if o.Host == h {
			return true
		}
	}
	return false
}

// answer brings back what some witnesses found.
func (g *dueGame) answer() {
	if !cmp.Equal(g.asked[g.all], g.asked[g.due]) {
		return // said tells
	}
	for len(g.asked[g.all]) > 0 && g.chance.IntN(4) == 0 {
		ask := g.asked[g.all][0]
		g.asked[g.all], g.asked[g.due] = g.asked[g.all][1:], g.asked[g.due][1:]
		var votes []Vote
		outcome := []Outcome{Connected, Refused, Silent, Silent, Silent}[g.chance.IntN(5)]
		for _, by := range ask.Witnesses {
			votes = append(votes, Vote{By: by, Outcome: outcome, Starved: g.chance.IntN(10) == 0})
		}
		answered := time.Duration(g.chance.IntN(2000)-1000) * time.Millisecond
		g.both(func(w *Watch) { w.Answer(g.now, ask.Host, ask.Needed, votes, answered) })
	}
}

// said is all that can be seen of a watch.
func (g *dueGame) said(w *Watch) map[string]any {
	return map[string]any{"liveness": w.Liveness(g.now, nil), "asked": g.asked[w], "changed": w.Changed()}
}

func BenchmarkStepOfAFleetThatIsWell(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(n, " hosts"), func(b *testing.B) {
			w, now := NewWatch("h00000"), time.Hour
			w.Begin(now)
			full := Ages{Full: true, Seq: 1}
			var hosts []Host
			for i := range n {
				id := fleet.HostID(fmt.Sprintf("h%05d", i))
				hosts = append(hosts, Host{ID: id, Zone: string(rune('a' + i%3)), State: fleet.HostReady})
				full.Open = append(full.Open, OpenAge{Host: id, Session: 1})
			}
			w.Know(now, hosts, []fleet.HostID{"h00000"})
			w.Take(now, "h00000", full)
			seq := uint64(1)
			for b.Loop() {
				now += protocol.WatchEvery
				seq++
				w.Take(now, "h00000", Ages{Seq: seq})
				w.Step(now, false, 100)
			}
		})
	}
}
