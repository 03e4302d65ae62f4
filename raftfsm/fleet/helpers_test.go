package fleet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// world is a State under test. Every entry goes through do, which checks what
// it touched.
type world struct {
	t testing.TB
	*State
	at      Time
	outcome Outcome
}

const start Time = 1_700_000_000_000

func newWorld(t testing.TB) *world { return &world{t: t, State: New(), at: start} }

// do applies one command and returns its result.
func (w *world) do(c Command) Result { return w.item(Item{Command: c}) }

func (w *world) item(items ...Item) Result {
	w.t.Helper()
	before := w.fingerprint()
	w.outcome = w.Apply(w.Index()+1, Entry{At: w.at, Items: items})
	if err := w.CheckChangeSet(w.outcome.ChangeSet); err != nil {
		w.t.Fatalf("after %T: %v", items[0].Command, err)
	}
	res := w.outcome.Results[0]
	if len(items) == 1 && res.Err != nil {
		w.unchanged(before, items[0].Command)
	}
	return res
}

// fingerprint lists all rows. Rows are immutable, so their addresses say whether
// any was replaced; the fleet's row is replaced as time goes, so it counts by
// value, without its time.
func (w *world) fingerprint() []any {
	var all []any
	for table, row := range w.Rows() {
		switch row := row.(type) {
		case *Meta:
			all = append(all, row.LastEvent)
		case *Fleet:
			f := *row
			f.Now = 0
			all = append(all, fmt.Sprintf("%+v", f))
		default:
			all = append(all, table, row)
		}
	}
	return all
}

// unchanged proves that a refused command left State as it was.
func (w *world) unchanged(before []any, c Command) {
	w.t.Helper()
	if !slices.Equal(before, w.fingerprint()) {
		w.t.Fatalf("%T was refused and changed rows", c)
	}
	if t := slices.Collect(w.outcome.ChangeSet.Subjects()); len(t) > 0 {
		w.t.Fatalf("%T was refused and touched %v", c, t)
	}
	if err := w.Check(); err != nil {
		w.t.Fatalf("%T was refused: %v", c, err)
	}
}

// refused applies a command that must be refused with a sentinel and a text.
func (w *world) refused(c Command, sentinel error, text string) {
	w.t.Helper()
	err := w.do(c).Err
	if !errors.Is(err, sentinel) || !strings.Contains(fmt.Sprint(err), text) {
		w.t.Errorf("%T:\n got: %v\nwant: %v with %q", c, err, sentinel, text)
	}
}

// noop applies a command that must be accepted and change nothing.
func (w *world) noop(c Command) {
	w.t.Helper()
	before := w.fingerprint()
	w.must(c)
	if !slices.Equal(before, w.fingerprint()) {
		w.t.Errorf("%T changed rows", c)
	}
}

// checked runs the full Check.
func (w *world) checked() {
	w.t.Helper()
	if err := w.Check(); err != nil {
		w.t.Fatal(err)
	}
}

// lastEvent is the newest decision.
func (w *world) lastEvent() Event {
	for e := range w.EventsAfter(w.LastEvent() - 1) {
		return *e
	}
	return Event{}
}

func (w *world) task(id TaskID) *Task {
	w.t.Helper()
	t := w.Task(id)
	if t == nil {
		w.t.Fatalf("no task %s", id)
	}
	return t
}

func (w *world) assign(n int, ids ...TaskID) {
	w.t.Helper()
	w.must(AssignTasks{Host: hostID(n), Tasks: ids})
}

// runs is a service whose tasks run, i on host i.
func (w *world) runs(name string, desired int) []TaskID {
	w.t.Helper()
	w.service(name, desired)
	ids := w.create(name, 1, desired)
	for i, id := range ids {
		w.assign(i+1, id)
		w.report(i+1, running(id))
	}
	return ids
}

func (w *world) counts(name string) Counts { return w.Counts(name, "") }

// must applies a command that may not be refused.
func (w *world) must(c Command) []string {
	w.t.Helper()
	res := w.do(c)
	if res.Err != nil {
		w.t.Fatalf("%T: %v", c, res.Err)
	}
	return res.IDs
}

func (w *world) wait(ms int64) { w.at += Time(ms) }

func blob(n int) []byte { return make([]byte, n) }

func admission(n int) Admission {
	zones := []string{"a", "b", "c"}
	return Admission{
		ID: HostID(fmt.Sprintf("h-%016d", n)), Name: fmt.Sprintf("h%d", n), Zone: zones[(n-1)%3],
		Addr: addr(n), PublicKey: fmt.Sprintf("key%d", n),
	}
}

func addr(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 7000)
}

func initFleet() InitFleet {
	return InitFleet{
		ID: "f-1", Name: "test", CABundle: blob(8), SealedKeys: SealedKeys{Version: 1, CA: blob(9), Gossip: blob(9)},
		Host: admission(1), RaftID: MakeRaftID(admission(1).ID, 1),
	}
}

func session(n int, nonce uint64) OpenSession {
	a := admission(n)
	return OpenSession{
		Host: a.ID, Boot: fmt.Sprintf("boot-%d", n), Nonce: nonce, Addr: a.Addr, Zone: a.Zone,
		Capacity: Resources{CPU: 4096, Memory: 8192},
	}
}

var addrNone netip.AddrPort

func hostID(n int) HostID { return admission(n).ID }

// fleetOf is a fleet of n ready hosts h1, h2, ... in zones a, b, c in turn.
func fleetOf(t testing.TB, n int) *world {
	t.Helper()
	w := newWorld(t)
	w.must(initFleet())
	w.must(PutToken{ID: "tok", TokenKind: TokenJoin, Hash: blob(32), Uses: 1000, NotAfter: w.at + 3_600_000})
	for i := 1; i <= n; i++ {
		if i > 1 {
			w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(i)})
		}
		w.must(session(i, 1))
		w.must(Report{Host: hostID(i), Session: 1, Seq: 1, SelfCheck: []Check{{Name: "disk", OK: true, Required: true}}})
	}
	return w
}

// trafficOf is fleetOf of the format that brought traffic, with a listener "shop" on port
// 80 whose default rule forwards to group "blue", a group "green" beside it, and a
// definition "web:1" with a port to forward to.
func trafficOf(t testing.TB, n int) *world {
	t.Helper()
	w := newWorld(t)
	first := initFleet()
	first.Format = formatOfRoutes
	w.must(first)
	w.must(PutToken{ID: "tok", TokenKind: TokenJoin, Hash: blob(32), Uses: 1000, NotAfter: w.at + 3_600_000})
	for i := 1; i <= n; i++ {
		if i > 1 {
			w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(i)})
		}
		open := session(i, 1)
		open.Format = formatOfRoutes
		w.must(open)
		w.must(Report{Host: hostID(i), Session: 1, Seq: 1, SelfCheck: []Check{{Name: "disk", OK: true, Required: true}}})
	}
	w.must(group("blue"))
	w.must(group("green"))
	w.must(PutListener{Name: "shop", Port: 80, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)})
	def := webDef()
	def.Containers[0].PortMappings = []PortMapping{{ContainerPort: 8080, Protocol: TCP}}
	w.must(RegisterTaskDef{Family: "web", Def: def})
	return w
}

func group(name TargetGroupName) PutTargetGroup {
	return PutTargetGroup{Name: name, Protocol: GroupHTTP1, DeregistrationDelayS: 30,
		Check: TargetCheck{Path: "/", IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}}
}

// forward is an action that forwards to one group, or to two.
func forward(first TargetGroupName, weight int, second ...TargetGroupName) *Action {
	f := &Forward{Groups: []GroupWeight{{Group: first, Weight: weight}}}
	for _, g := range second {
		f.Groups = append(f.Groups, GroupWeight{Group: g, Weight: TotalWeight - weight})
	}
	return &Action{Forward: f}
}

func host(values ...string) []RuleCondition {
	return []RuleCondition{{Field: FieldHost, Values: values}}
}

// balanced is a service of the definition "web:1" that is bound to "blue".
func balanced(desired int) PutService {
	return PutService{Name: "web", TaskDef: "web:1", Desired: desired, MinPercent: 100, MaxPercent: 200,
		LoadBalancers: []LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "blue", AlternateGroup: "green",
			ProductionRule: "shop/default"}}}
}

// serves is a service of one task on each host, which runs and is a healthy target.
func (w *world) serves(n int) []TaskID {
	w.t.Helper()
	w.must(balanced(n))
	ids := w.create("web", 1, n)
	for i, id := range ids {
		w.must(AssignTasks{Host: hostID(i + 1), Tasks: ids[i : i+1], Ports: [][]PortBinding{{
			{Container: "app", ContainerPort: 8080, HostPort: 49153, Protocol: TCP}}}})
		w.report(i+1, target(id, TargetHealthy))
	}
	return ids
}

// target is a report of a task that runs and is in group blue.
func target(id TaskID, state TargetState) TaskReport {
	r := running(id)
	r.Targets = []TargetReport{{Group: "blue", State: state}}
	return r
}

func webDef() TaskDef {
	return TaskDef{NetworkMode: NetworkBridge, Containers: []Container{{
		Name: "app", Image: "web:1", CPU: 256, MemoryReservation: 128, StopTimeoutS: 30,
	}}}
}

func (w *world) service(name string, desired int) {
	w.t.Helper()
	id := w.must(RegisterTaskDef{Family: name, Def: webDef()})[0]
	w.must(PutService{Name: name, TaskDef: TaskDefID(id), Desired: desired, MinPercent: 100, MaxPercent: 200})
}

// create makes tasks of a service's current revision: ids name-1, name-2, ...
func (w *world) create(name string, from, to int) []TaskID {
	w.t.Helper()
	var ids []TaskID
	for i := from; i <= to; i++ {
		ids = append(ids, TaskID(fmt.Sprintf("%s-%d", name, i)))
	}
	w.planned(name)
	w.must(CreateTasks{Revision: w.Service(name).Revision, Tasks: ids})
	return ids
}

// planned gives a service the goals of its own numbers.
func (w *world) planned(name string) {
	w.t.Helper()
	w.must(w.Service(name).DefaultGoals())
}

// report sends the next report of a host in its session.
func (w *world) report(n int, tasks ...TaskReport) Result {
	w.t.Helper()
	h := w.Host(hostID(n))
	return w.do(Report{Host: h.ID, Session: h.Session.N, Seq: h.ReportSeq + 1, Tasks: tasks})
}

func running(id TaskID) TaskReport { return TaskReport{Task: id, Status: TaskRunning, Attempt: 1} }

func stopped(id TaskID, code int) TaskReport {
	return TaskReport{Task: id, Status: TaskStopped, Attempt: 1, Exits: []ContainerExit{{Container: "app", Code: &code}}}
}
