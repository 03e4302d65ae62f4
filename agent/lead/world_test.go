package lead

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

const start fleet.Time = 1_767_355_200_000 // 2026-01-02 12:00 UTC

// world is a fleet under a Loop: a State that stands for the log, and hosts that
// do what they are told when they are asked to. One goroutine.
type world struct {
	t        testing.TB
	s        *fleet.State
	loop     *Loop
	now      Instant
	liveness map[fleet.HostID]plan.HostLiveness
	seqs     map[fleet.HostID]uint64
	ids      int
	clock    time.Duration // what liveness says of the leader's clock

	wake      time.Duration
	stepDown  string
	handOvers int
	watches   [][]fleet.TargetGroupName // what was watched, one after the other
	proposals [][]fleet.Item            // entries, newest last
	held      *Propose                  // not committed: the log does not answer
	mute      bool                      // hold what is proposed
	killing   bool                      // each proposal is its leader's last
}

// newWorld is a fleet of n ready hosts h1, h2, ... in zones a, b, c in turn. Its
// loop does not lead yet.
func newWorld(t testing.TB, n int, planners ...Planner) *world {
	t.Helper()
	return newWorldAt(t, start, n, planners...)
}

func newWorldAt(t testing.TB, at fleet.Time, n int, planners ...Planner) *world {
	t.Helper()
	w := &world{t: t, s: fleet.New(), now: Instant{Wall: at, Mono: time.Hour},
		liveness: map[fleet.HostID]plan.HostLiveness{}, seqs: map[fleet.HostID]uint64{}}
	if planners == nil {
		planners = Planners()
	}
	w.loop = NewLoop(w.newID, planners...)
	for i := 1; i <= n; i++ {
		a := fleet.Admission{ID: hostID(i), Name: string(hostID(i)), Zone: string(rune('a' + (i-1)%3)), Addr: address(i),
			PublicKey: fmt.Sprint("key", i)}
		if i == 1 {
			w.do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
				Gossip: make([]byte, 8)}, Host: a, RaftID: fleet.MakeRaftID(a.ID, 1)})
			w.do(fleet.PutToken{ID: "join", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 100,
				NotAfter: at.Add(time.Hour)})
		} else {
			w.do(fleet.AdmitHost{Token: "join", SecretHash: make([]byte, 32), Host: a})
		}
		w.open(a.ID, "boot-1")
		w.liveness[a.ID] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: 1}
	}
	return w
}

func hostID(i int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h%d", i)) }

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7000)
}

func (w *world) newID() fleet.TaskID {
	w.ids++
	return fleet.TaskID(fmt.Sprintf("task-%06d", w.ids))
}

// lead makes the loop leader.
func (w *world) lead() {
	w.t.Helper()
	w.step(LivenessChanged{Liveness: w.livenessOfAll()}, BecameLeader{State: w.s.Clone()})
}

func (w *world) livenessOfAll() plan.FleetLiveness {
	return plan.FleetLiveness{Hosts: maps.Clone(w.liveness), ClockOffset: w.clock, ClockSamples: len(w.liveness)}
}

// see changes how a host is seen; one that is alive is heard in its session.
func (w *world) see(id fleet.HostID, liveness plan.Liveness) {
	w.t.Helper()
	var session uint64
	if liveness == plan.LivenessAlive {
		session = w.s.Host(id).Session.N
	}
	w.seeIn(id, liveness, session)
}

func (w *world) seeIn(id fleet.HostID, liveness plan.Liveness, session uint64) {
	w.t.Helper()
	w.liveness[id] = plan.HostLiveness{Liveness: liveness, Session: session, For: time.Second, Age: time.Second}
	w.step(LivenessChanged{Liveness: w.livenessOfAll()})
}

// apply puts commands into the log as from elsewhere and tells the loop.
// Refusals are returned.
func (w *world) apply(commands ...fleet.Command) []fleet.Result {
	w.t.Helper()
	items := make([]fleet.Item, len(commands))
	for i, c := range commands {
		items[i] = fleet.Item{Command: c}
	}
	results, changeSet := w.commit(items)
	w.step(Applied{State: w.s.Clone(), ChangeSet: changeSet})
	return results
}

// do is apply for commands that may not be refused.
func (w *world) do(commands ...fleet.Command) {
	w.t.Helper()
	for _, c := range commands {
		if create, ok := c.(fleet.CreateTasks); ok {
			w.planned(create)
		}
	}
	for i, r := range w.apply(commands...) {
		if r.Err != nil {
			w.t.Fatalf("%T: %v", commands[i], r.Err)
		}
	}
}

// planned gives a service that has no goals its own, so that tasks can be created.
func (w *world) planned(c fleet.CreateTasks) {
	w.t.Helper()
	name, _ := c.Revision.Split()
	if w.s.Goals(name) == nil {
		w.commit([]fleet.Item{{Command: w.s.Service(name).DefaultGoals(), By: service.By}})
	}
}

func (w *world) commit(items []fleet.Item) ([]fleet.Result, fleet.ChangeSet) {
	w.t.Helper()
	return w.commitAt(w.s.Index()+1, items)
}

func (w *world) commitAt(index uint64, items []fleet.Item) ([]fleet.Result, fleet.ChangeSet) {
	w.t.Helper()
	out := w.s.Apply(index, fleet.Entry{At: w.now.Wall, Items: items})
	if err := w.s.CheckChangeSet(out.ChangeSet); err != nil {
		w.t.Fatalf("check: %v", err)
	}
	return out.Results, out.ChangeSet
}

// step steps the loop and carries its effects out, at once.
func (w *world) step(events ...Event) {
	w.t.Helper()
	for steps := 0; ; steps++ {
		if steps > 1_000 {
			w.t.Fatal("the loop proposes for ever")
		}
		var next []Event
		for _, e := range w.loop.Step(w.now, events...) {
			switch e := e.(type) {
			case Propose:
				next = append(next, w.propose(e)...)
			case Wake:
				w.wake = e.At
			case StepDown:
				w.stepDown = e.Why
			case Watch:
				w.watches = append(w.watches, e.Groups)
			case HandOver:
				w.handOvers++
			}
		}
		if next == nil {
			return
		}
		events = next
	}
}

func (w *world) propose(p Propose) []Event {
	w.t.Helper()
	w.proposals = append(w.proposals, p.Entries...)
	if w.mute {
		w.held = &p
		return nil
	}
	done := ProposalDone{N: p.N}
	var events []Event
	for _, items := range p.Entries {
		results, changeSet := w.commit(items)
		done.Index, done.Results = w.s.Index(), append(done.Results, results...)
		events = append(events, Applied{State: w.s.Clone(), ChangeSet: changeSet})
	}
	events = append(events, done)
	if w.killing {
		events = append(events, LostLeadership{}, LivenessChanged{Liveness: w.livenessOfAll()},
			BecameLeader{State: w.s.Clone()})
	}
	return events
}

// advance lets time pass, stepping the loop when it asked to be.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	end := w.now.Mono + d
	for steps := 0; w.now.Mono < end; steps++ {
		if steps > 100_000 {
			w.t.Fatalf("the loop does not let time pass: it wants to wake at %v, now is %v", w.wake, w.now.Mono)
		}
		next := end
		if w.loop.Leading() {
			next = min(end, max(w.wake, w.now.Mono+time.Millisecond))
		}
		w.now.Wall = w.now.Wall.Add(next - w.now.Mono)
		w.now.Mono = next
		w.step()
	}
}

// open begins a session of a host, under a boot id, that passes its self-check.
func (w *world) open(id fleet.HostID, boot string) {
	w.t.Helper()
	host := w.s.Host(id)
	w.do(fleet.OpenSession{Host: id, Boot: boot, Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone,
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Format: 2})
	w.seqs[id] = 1
	w.do(fleet.Report{Host: id, Session: w.s.Host(id).Session.N, Seq: w.seqs[id],
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
}

func (w *world) report(id fleet.HostID, tasks ...fleet.TaskReport) {
	w.t.Helper()
	w.seqs[id]++
	w.do(fleet.Report{Host: id, Session: w.s.Host(id).Session.N, Seq: w.seqs[id], Tasks: tasks})
}

// obey lets a host bring its tasks to what is wanted of them.
func (w *world) obey(id fleet.HostID) {
	w.t.Helper()
	host := w.s.Host(id)
	var reports []fleet.TaskReport
	for _, task := range slices.Collect(w.s.HeldBy(id)) {
		r := fleet.TaskReport{Task: task.ID, Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1}
		if task.Desired == fleet.TaskStopped || task.Session < host.BootSession {
			r.Status, r.Health = fleet.TaskStopped, fleet.HealthUnknown
		}
		if r.Status != task.Last || r.Health != task.Health || task.Unconfirmed {
			reports = append(reports, r)
		}
	}
	if len(reports) > 0 {
		w.report(id, reports...)
	}
}

// settle lets all hosts obey until nothing is proposed any more.
func (w *world) settle() {
	w.t.Helper()
	for range 100 {
		before := len(w.proposals)
		for host := range w.s.Clone().Hosts() {
			if w.liveness[host.ID].Liveness == plan.LivenessAlive && host.State == fleet.HostReady {
				w.obey(host.ID)
			}
		}
		w.advance(time.Second)
		if len(w.proposals) == before {
			return
		}
	}
	w.t.Fatal("the fleet does not settle in 100 s")
}

// service registers a definition and a service of it.
func (w *world) service(name string, desired int, checked bool) {
	w.t.Helper()
	c := fleet.Container{Name: "app", Image: "x", CPU: 256, MemoryReservation: 128, StopTimeoutS: 30}
	if checked {
		c.HealthCheck = &fleet.HealthCheck{Command: []string{"true"}, IntervalS: 30, TimeoutS: 5, Retries: 3}
	}
	w.do(fleet.RegisterTaskDef{Family: name,
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}})
	w.do(fleet.PutService{Name: name, TaskDef: w.s.LatestTaskDef(name).ID, Desired: desired, MinPercent: 100,
		MaxPercent: 200})
}

// running is how many tasks of a service run on hosts that are seen.
func (w *world) running(name string) int { return w.s.Counts(name, "").Running }
