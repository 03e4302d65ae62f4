package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"skein/agent/lead"
	"skein/agent/peer/link"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
)

// World is a simulated fleet and all that is around it.
type World struct {
	cfg       Config
	time      *virtual.Time
	net       *virtual.Network
	log       *simlog.Log
	detectors *simdetector.Membership
	chance    *virtual.Chance // of executors
	people    *virtual.Chance // of operators
	ages      *virtual.Chance // of what voters hear of their leader
	hooks     *virtual.Chance // of webhooks, alarms and probes

	order  []*host // by number
	hosts  map[fleet.HostID]*host
	byName map[string]*host
	clones []*clone
	truth  *fleet.State // as of the highest index that any voter has applied

	images       map[string]fake.Image
	registryDown bool
	brokenDefs   map[fleet.TaskDefID]bool          // of which every task fails its checks
	heals        map[string]func()                 // cuts under way, by their words
	lifetimes    map[fleet.TaskID]workload.Outcome // of tasks that end by themselves
	numbers      map[string]string                 // that questions for alarms are answered, by alarm; else 0
	webhooks     map[string]int                    // calls by execution id

	ids       uint64
	requests  uint64
	effects   uint64
	calls     int
	listeners int // made so far
	healedAt  int // calls made until faults ended

	watch *watch
	rows  rows
	trace *trace
	marks Marks
	stats Stats
}

// fleetID is what all simulated fleets are called.
const fleetID fleet.FleetID = "f-sim"

// began is the wall-clock time at which a world begins.
var began = fleet.TimeOf(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// New makes a world whose hosts have no power yet; see Bring.
func New(cfg Config) *World {
	cfg.Tuning = cfg.Tuning.orDefault()
	w := &World{
		cfg: cfg, time: virtual.NewTime(cfg.Seed),
		chance: virtual.NewChance(cfg.Seed, "executors"), people: virtual.NewChance(cfg.Seed, "operators"),
		ages: virtual.NewChance(cfg.Seed, "ages"), hooks: virtual.NewChance(cfg.Seed, "hooks"),
		numbers: map[string]string{}, webhooks: map[string]int{},
		hosts: map[fleet.HostID]*host{}, byName: map[string]*host{}, truth: fleet.New(),
		images: map[string]fake.Image{}, brokenDefs: map[fleet.TaskDefID]bool{}, heals: map[string]func(){},
		stats: newStats(),
		trace: newTrace(cfg.Trace), marks: Marks{},
	}
	w.net = virtual.NewNetwork(w.time, cfg.Seed, cfg.Network)
	w.rows = rows{w: w, unproven: map[fleet.RaftID]bool{}}
	w.watch = newWatch(w)
	w.watch.checker.NewKinds(w.newKinds())
	w.log = simlog.New(w.time, w.net, cfg.Seed, w.logConfig())
	w.detectors = simdetector.New(w.time, w.net, cfg.Seed, w.detectorConfig())
	for i, m := range cfg.Hosts {
		h := newHost(w, i+1, m)
		w.order = append(w.order, h)
		w.hosts[h.id], w.byName[h.name] = h, h
	}
	w.net.Watch(w.netChanged)
	return w
}

// Now is how long the world has lasted.
func (w *World) Now() time.Duration { return w.time.Now() }

// State is the newest State that any voter has applied.
func (w *World) State() *fleet.State { return w.truth }

// wall is the right time.
func (w *World) wall() fleet.Time { return began.Add(w.time.Now()) }

// nameOf is what people call a host.
func (w *World) nameOf(id fleet.HostID) string {
	if h := w.hosts[id]; h != nil {
		return h.name
	}
	return string(id)
}

// note adds a line to the trace.
func (w *World) note(format string, args ...any) { w.trace.add(w.time.Now(), format, args...) }

// newTaskID makes an id; the real ones are random.
func (w *World) newTaskID() fleet.TaskID {
	w.ids++
	return fleet.TaskID(fmt.Sprintf("%08x%024x", w.ids, w.cfg.Seed))
}

// Bring powers all hosts on and makes a fleet of them: the first begins it, the
// others are admitted. It returns when all are ready and the voters chosen, or
// with an error after the limit.
func (w *World) Bring(limit time.Duration) error {
	first := w.order[0]
	first.powerOn()
	first.log = simlog.NewDisk(fleet.MakeRaftID(first.id, 1))
	if err := w.log.Bootstrap(first.log); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	first.roster = trust.Roster{Voters: []trust.RosterVoter{{Host: first.id, Addr: first.addr(), Voting: true}}}
	until := w.time.Now() + limit
	if !w.runUntil(until,
		func() bool { return first.agent != nil && first.agent.node != nil && first.agent.node.IsLeader() }) {
		return fmt.Errorf("%s does not lead after %s", first.name, limit)
	}
	if err := w.admit(first, until); err != nil {
		return err
	}
	for _, h := range w.order[1:] {
		h.roster = first.roster
		h.powerOn()
	}
	if !w.runUntil(until, w.complete) {
		return fmt.Errorf("the fleet is not complete after %s", limit)
	}
	w.note("the fleet is complete")
	return nil
}

// admit makes the fleet and lets the other hosts in.
func (w *World) admit(first *host, until time.Duration) error {
	items := []fleet.Item{
		{Command: fleet.InitFleet{ID: fleetID, CABundle: []byte("ca"),
			SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8), Gossip: make([]byte, 8)},
			Host:       first.admission(), RaftID: first.log.ID(), Format: buildNow}},
	}
	hash := make([]byte, 32)
	for i, h := range w.order[1:] {
		token := fleet.TokenID(fmt.Sprintf("t%d", i/1000))
		if i%1000 == 0 {
			items = append(items,
				fleet.Item{Command: fleet.PutToken{ID: token, TokenKind: fleet.TokenJoin, Hash: hash, Uses: 1000,
					NotAfter: began.Add(time.Hour)}})
		}
		items = append(items, fleet.Item{Command: fleet.AdmitHost{Token: token, SecretHash: hash, Host: h.admission()}})
	}
	for len(items) > 0 {
		n := min(len(items), 256)
		var done bool
		var failed error
		first.agent.node.Propose(items[:n], w.wall(), func(results []fleet.Result, _ uint64, err error) {
			done, failed = true, err
			for _, r := range results {
				if r.Err != nil {
					failed = r.Err
				}
			}
		})
		if !w.runUntil(until, func() bool { return done }) || failed != nil {
			return fmt.Errorf("make the fleet: %w", failed)
		}
		items = items[n:]
	}
	first.agent.link.look()
	return nil
}

// complete reports whether all hosts are ready and the voters have been chosen.
func (w *World) complete() bool {
	for _, h := range w.order {
		row := w.truth.Host(h.id)
		if row == nil || row.State != fleet.HostReady {
			return false
		}
	}
	voting := 0
	for v := range w.truth.Voters() {
		if v.Phase == fleet.VoterVoting {
			voting++
		}
	}
	return voting >= min(3, 1+2*(len(w.order)/3))
}

// interrupted reports whether somebody wants the world to end.
func (w *World) interrupted() bool {
	select {
	case <-w.cfg.Done:
		return true
	default:
		return false
	}
}

// Run lets the world go on until a time.
func (w *World) Run(until time.Duration) {
	for !w.watch.stopped() && w.time.Step(until) {
		if w.cfg.MostEvents > 0 && w.time.Ran() > w.cfg.MostEvents {
			w.watch.fail("livelock", fmt.Sprintf("%d events, and no end", w.time.Ran()))
		}
	}
}

// runUntil lets the world go on until a condition holds, which it looks at after
// every event; false when it did not come in time.
func (w *World) runUntil(until time.Duration, holds func() bool) bool {
	for !holds() {
		if w.watch.stopped() || !w.time.Step(until) {
			return holds()
		}
	}
	return true
}

// unseenFor is how long a host whose voter has died may take to be seen again: it
// waits for a word, finds another, and that tells the leader.
const unseenFor = 5 * time.Second

// planners are those of a leader, with a mutation in them if there is one.
func (w *World) planners() []lead.Planner { return w.cfg.Mutation.planners(lead.Planners()) }

// netChanged has everybody look whom it concerns: a host's own stream, and the
// streams of which it is the voter.
func (w *World) netChanged(id fleet.HostID) {
	w.votersLook()
	if id == "" {
		for _, h := range w.order {
			w.lookLater(h)
		}
		return
	}
	h := w.hosts[id]
	if h == nil {
		return
	}
	w.lookLater(h)
	for listener := range h.listeners {
		w.watch.checker.Unseen(listener, w.time.Now()+unseenFor)
	}
	w.listenersLook(id)
}

// listenersLook has those look whose voter has changed, in the order of their ids.
func (w *World) listenersLook(voter fleet.HostID) {
	for _, listener := range slices.Sorted(maps.Keys(w.hosts[voter].listeners)) {
		w.lookLater(w.hosts[listener])
	}
}

// votersLook has each voter look whether its leader answers.
func (w *World) votersLook() {
	for v := range w.truth.Voters() {
		if h := w.hosts[v.Host]; h != nil && h.agent != nil && h.agent.node != nil {
			h.agent.serves.way.look()
		}
	}
}

// lookLater has a host look at its stream, now and once its voter may be stale.
func (w *World) lookLater(h *host) {
	a := h.agent
	if a == nil || a.link == nil {
		return
	}
	for _, d := range []time.Duration{time.Millisecond, link.StaleLeader + time.Second, 3 * link.StaleLeader,
		link.HomeAgain + time.Second} {
		a.life.After(d, a.link.look)
	}
}
