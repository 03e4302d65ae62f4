package invariant

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

const dawn fleet.Time = 1_767_355_200_000 // 2026-01-02 12:00 UTC

// rig is a fleet of two hosts, h1 and h2, with a checker that watches it. Hosts
// are up and heard, and time is what the test says.
type rig struct {
	t       testing.TB
	s       *fleet.State
	c       *Checker
	clock   time.Duration
	term    uint64
	leader  fleet.RaftID
	planned uint64
	broken  []Broken
	seqs    map[fleet.HostID]uint64
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{t: t, s: fleet.New(), term: 1, seqs: map[fleet.HostID]uint64{}}
	r.c = New(func() time.Duration { return r.clock }, func(b Broken) { r.broken = append(r.broken, b) })
	r.host("h1", "a")
	r.host("h2", "b")
	r.do(fleet.RegisterTaskDef{Family: "app",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{
			{Name: "app", Image: "x", CPU: 256, MemoryReservation: 128, StopTimeoutS: 30,
				HealthCheck: &fleet.HealthCheck{Command: []string{"true"}, IntervalS: 30, TimeoutS: 5, Retries: 3}}}}})
	r.do(fleet.RegisterTaskDef{Family: "plain",
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{
			{Name: "app", Image: "x", CPU: 256, MemoryReservation: 128, StopTimeoutS: 30,
				PortMappings: []fleet.PortMapping{{ContainerPort: 80, HostPort: 8080, Protocol: fleet.TCP}}}}}})
	return r
}

// host admits a host, opens its session and has it pass its self-check.
func (r *rig) host(id fleet.HostID, zone string) {
	r.t.Helper()
	addr := netip.MustParseAddrPort("10.0.0.1:7000")
	a := fleet.Admission{ID: id, Name: string(id), Zone: zone, Addr: addr, PublicKey: "key-" + string(id)}
	if r.s.Fleet() == nil {
		r.do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
			Gossip: make([]byte, 8)}, Host: a, RaftID: fleet.MakeRaftID(id, 1)})
		r.do(fleet.PutToken{ID: "join", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 10_000,
			NotAfter: dawn.Add(time.Hour)})
	} else {
		r.do(fleet.AdmitHost{Token: "join", SecretHash: make([]byte, 32), Host: a})
	}
	r.c.HostCondition(id, virtual.Up)
	r.c.Linked(id, 1, 1)
	r.open(id, "boot-1")
}

func (r *rig) open(id fleet.HostID, boot string) {
	r.t.Helper()
	host := r.s.Host(id)
	r.do(fleet.OpenSession{Host: id, Boot: boot, Nonce: host.Session.Nonce + 1, Addr: host.Addr, Zone: host.Zone,
		Capacity: fleet.Resources{CPU: 1024, Memory: 1024}})
	r.seqs[id] = 1
	r.do(fleet.Report{Host: id, Session: host.Session.N + 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
}

// commit applies items and tells the checker.
func (r *rig) commit(items ...fleet.Item) []fleet.Result {
	r.t.Helper()
	e := fleet.Entry{At: dawn.Add(r.clock), Items: items}
	out := r.s.Apply(r.s.Index()+1, e)
	r.c.Committed(Entry{Index: r.s.Index(), Term: r.term, Leader: r.leader, Planned: r.planned, Entry: e,
		Results: out.Results, After: r.s})
	return out.Results
}

// leads has a node commit something in a term of its own.
func (r *rig) leads(node fleet.RaftID) {
	r.t.Helper()
	r.term++
	r.leader = node
	r.do(fleet.PutSetting{Name: fleet.SettingVoters, Value: int64(3 + 2*(r.term%2))})
}

// do commits commands of nobody in particular that may not be refused.
func (r *rig) do(commands ...fleet.Command) { r.t.Helper(); r.by("", commands...) }

// by is do for an author.
func (r *rig) by(who string, commands ...fleet.Command) {
	r.t.Helper()
	for _, cmd := range commands {
		if create, ok := cmd.(fleet.CreateTasks); ok {
			name, _ := create.Revision.Split()
			r.plan(name)
		}
		if res := r.commit(fleet.Item{Command: cmd, By: who}); res[0].Err != nil {
			r.t.Fatalf("%T: %v", cmd, res[0].Err)
		}
	}
}

// plan gives a service that has no goals its own, so that tasks can be created.
func (r *rig) plan(service string) {
	r.t.Helper()
	if r.s.Goals(service) == nil {
		r.by("service", r.s.Service(service).DefaultGoals())
	}
}

func (r *rig) pass(d time.Duration) { r.clock += d }

// service makes a service of n tasks on h1 and h2 in turn, all RUNNING and
// HEALTHY.
func (r *rig) service(name string, n, low, high int) []fleet.TaskID {
	r.t.Helper()
	r.do(fleet.PutService{Name: name, TaskDef: "app:1", Desired: n, MinPercent: low, MaxPercent: high})
	ids := make([]fleet.TaskID, n)
	for i := range ids {
		ids[i] = fleet.TaskID(fmt.Sprintf("%s-%d", name, i))
		r.place(fleet.RevisionID(name+"/1"), ids[i], []fleet.HostID{"h1", "h2"}[i%2])
		r.run(ids[i])
	}
	return ids
}

func (r *rig) place(revision fleet.RevisionID, id fleet.TaskID, host fleet.HostID) {
	r.t.Helper()
	r.do(fleet.CreateTasks{Revision: revision, Tasks: []fleet.TaskID{id}},
		fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{id}})
}

func (r *rig) run(id fleet.TaskID) {
	r.t.Helper()
	r.report(fleet.TaskReport{Task: id, Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1})
}

// report reports a task as its host.
func (r *rig) report(t fleet.TaskReport) {
	r.t.Helper()
	host := r.s.Host(r.s.Task(t.Task).Host)
	r.seqs[host.ID]++
	r.do(fleet.Report{Host: host.ID, Session: host.Session.N, Seq: r.seqs[host.ID], Tasks: []fleet.TaskReport{t}})
}

func (r *rig) machine(id fleet.HostID) Machine { return Machine{id, r.s.Host(id).Session.Boot} }

// live makes a task's container on its host, journal line first.
func (r *rig) live(id fleet.TaskID) Machine {
	r.t.Helper()
	m := r.machine(r.s.Task(id).Host)
	r.c.StartRecorded(m, id, "app", 1, 1)
	r.c.ContainerCreated(m, id, "app", 1)
	r.c.ContainerStarted(m, id, "app", 1)
	return m
}

// story is a case: what happens, and the name of the invariant it breaks.
type story struct {
	name   string
	breaks string // empty: nothing
	happen func(r *rig)
}

func tell(t *testing.T, stories []story) {
	t.Helper()
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t)
			s.happen(r)
			if err := r.s.Check(); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, b := range r.broken {
				names = append(names, b.Name)
				if b.Name != s.breaks {
					t.Errorf("broken: %s", b)
				}
			}
			if (len(names) > 0) != (s.breaks != "") {
				t.Errorf("broken are %q, want %q", names, s.breaks)
			}
		})
	}
}
