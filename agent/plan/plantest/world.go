package plantest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Start is when the fleets of fixtures are made; World.Now is some hours later.
const Start fleet.Time = 1_767_355_200_000 // 2026-01-02 12:00 UTC

// life is how long a fixture's fleet has lived before Now.
const life = 3 * time.Hour

// World is a State under test, with what is seen of it. It is not for
// concurrent use.
type World struct {
	State    *fleet.State
	Liveness plan.FleetLiveness
	Traffic  plan.Traffic
	Now      fleet.Time

	t       testing.TB
	made    map[string]int // tasks named so far, by service or definition
	news    int            // ids given out by NewID
	at      fleet.Time
	reports map[fleet.HostID]uint64
	changed fleet.ChangeSet
	behind  map[fleet.HostID]bool // with routes
}

// Parse makes the World that a text describes.
func Parse(t testing.TB, text string) *World {
	t.Helper()
	w := &World{State: fleet.New(), t: t, at: Start, Now: Start.Add(life), made: map[string]int{},
		reports: map[fleet.HostID]uint64{}, behind: map[fleet.HostID]bool{},
		Liveness: plan.FleetLiveness{Hosts: map[fleet.HostID]plan.HostLiveness{},
			LeaderAge: time.Hour}}
	w.build(parse(t, text))
	w.at = w.Now
	return w
}

// Input is a full pass over the World.
func (w *World) Input() plan.Input {
	return plan.Input{State: w.State, Liveness: w.Liveness, Traffic: w.Traffic, Now: w.Now,
		Scope: plan.Scope{Full: true}, NewID: w.NewID}
}

// NewID gives ids "new-01", "new-02", ...
func (w *World) NewID() fleet.TaskID {
	w.news++
	return fleet.TaskID(fmt.Sprintf("new-%02d", w.news))
}

// Wait moves Now.
func (w *World) Wait(d time.Duration) { w.Now = w.Now.Add(d) }

// Apply applies commands at Now, checks the State and returns what was touched.
// A refusal is fatal.
func (w *World) Apply(items ...fleet.Item) fleet.ChangeSet {
	w.t.Helper()
	w.at = w.Now
	return w.apply(items...)
}

// Do applies commands without an item around them.
func (w *World) Do(commands ...fleet.Command) {
	w.t.Helper()
	for _, c := range commands {
		w.Apply(fleet.Item{Command: c})
	}
}

// Report sends the full status of tasks from their host.
func (w *World) Report(host fleet.HostID, tasks ...fleet.TaskReport) {
	w.t.Helper()
	w.at = w.Now
	w.report(host, tasks...)
}

func (w *World) apply(items ...fleet.Item) fleet.ChangeSet {
	w.t.Helper()
	out := w.State.Apply(w.State.Index()+1, fleet.Entry{At: w.at, Items: items})
	for i, r := range out.Results {
		if r.Err != nil {
			w.t.Fatalf("apply %T: %v", items[i].Command, r.Err)
		}
	}
	if err := w.State.CheckChangeSet(out.ChangeSet); err != nil {
		w.t.Fatalf("check after %T: %v", items[0].Command, err)
	}
	w.changed.Merge(out.ChangeSet)
	return out.ChangeSet
}

// TakeChanged returns what changed since it was last called.
func (w *World) TakeChanged() fleet.ChangeSet {
	changed := w.changed
	w.changed = fleet.ChangeSet{}
	return changed
}

func (w *World) do(c fleet.Command) {
	w.t.Helper()
	w.apply(fleet.Item{Command: c})
}

func (w *World) report(host fleet.HostID, tasks ...fleet.TaskReport) {
	w.t.Helper()
	w.reports[host]++
	w.do(fleet.Report{Host: host, Session: w.State.Host(host).Session.N, Seq: w.reports[host], Tasks: tasks})
}

func (w *World) build(f *fixture) {
	w.t.Helper()
	w.buildHosts(f.hosts)
	for _, d := range f.defs {
		w.register(d)
	}
	later := newTimeline()
	for _, s := range f.services {
		w.buildService(f, s, later)
	}
	w.buildStandalone(f, later)
	for _, h := range f.hosts {
		w.buildLife(h, later)
	}
	later.run(w)
	w.at = w.Now
	for _, s := range f.services {
		w.finishService(s)
	}
	for _, h := range f.hosts {
		w.hear(h)
	}
	w.buildLeader(f.leader)
}

// hear has a host that is seen alive be heard in a session.
func (w *World) hear(h *hostSpec) {
	id := fleet.HostID(h.name)
	liveness := w.Liveness.Hosts[id]
	switch {
	case h.session >= 0:
		liveness.Session = uint64(h.session)
	case h.liveness == plan.LivenessAlive:
		liveness.Session = w.State.Host(id).Session.N
	}
	w.Liveness.Hosts[id] = liveness
}

func (w *World) buildHosts(hosts []*hostSpec) {
	w.t.Helper()
	if len(hosts) == 0 {
		hosts = []*hostSpec{{name: "h0", zone: "a", joining: true}}
	}
	admission := func(i int) fleet.Admission {
		h := hosts[i]
		return fleet.Admission{ID: fleet.HostID(h.name), Name: h.name, Zone: h.zone, Addr: address(i),
			PublicKey: "key-" + h.name}
	}
	first := admission(0)
	w.do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 32),
		Gossip: make([]byte, 32)},
		Host: first, RaftID: fleet.MakeRaftID(first.ID, 1)})
	w.do(fleet.PutToken{ID: "join", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: max(1, len(hosts)),
		NotAfter: w.at.Add(time.Hour)})
	for i, h := range hosts {
		if i > 0 {
			w.do(fleet.AdmitHost{Token: "join", SecretHash: make([]byte, 32), Host: admission(i)})
		}
		w.do(fleet.OpenSession{Host: fleet.HostID(h.name), Boot: "boot-1", Nonce: 1, Addr: address(i), Zone: h.zone,
			Capacity: fleet.Resources{CPU: h.cpu, Memory: h.mem}, Format: h.reads})
		if !h.joining {
			w.reports[fleet.HostID(h.name)] = 1
			w.do(fleet.Report{Host: fleet.HostID(h.name), Session: 1, Seq: 1,
				SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
		}
	}
}

func address(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7000)
}

func (w *World) buildLeader(words map[string]string) {
	w.t.Helper()
	for key, value := range words {
		switch key {
		case "age":
			w.Liveness.LeaderAge = w.duration(value)
		case "clock":
			offset, samples, _ := strings.Cut(value, "/")
			w.Liveness.ClockOffset = w.duration(offset)
			fmt.Sscan(samples, &w.Liveness.ClockSamples)
		case "format":
			var n int
			fmt.Sscan(value, &n)
			w.do(fleet.RaiseFormat{Format: n, Force: true})
		default:
			if !slices.Contains(fleet.SettingNames(), key) {
				w.t.Fatalf("fixture: leader: unknown word %q", key)
			}
			var n int64
			fmt.Sscan(value, &n)
			w.do(fleet.PutSetting{Name: key, Value: n})
		}
	}
}

func (w *World) duration(text string) time.Duration {
	w.t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		w.t.Fatalf("fixture: %v", err)
	}
	return d
}
