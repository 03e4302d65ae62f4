package converge_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

// rig drives a Machine over the twins in one goroutine: a host whose agent can
// die at any step, whose power can go, and whose calls can hang.
type rig struct {
	t          testing.TB
	m          *converge.Machine
	wall       time.Time
	mono       time.Duration
	boot       int
	limits     converge.Limits
	containers *fake.Containers
	network    *fake.Network
	cgroups    *fake.Cgroups

	journal []converge.Record     // durable
	owed    []converge.Record     // given to a write that failed: the next one has them too
	wanted  *converge.SavedWanted // durable
	routes  *converge.SavedRoutes // durable
	served  []converge.ServeRoutes
	pending []converge.Effect // asked for, not carried out
	hung    []converge.Effect // kept back by hangs
	hangs   func(converge.Effect) bool
	faults  func(converge.Effect) error // instead of carrying out
	check   func(converge.Action) int   // result of health checks; nil: healthy
	armed   time.Duration
	dead    bool // the agent
	down    bool // no voter: reports get lost

	session uint64
	index   uint64
	ref     uint64
	auto    bool // acknowledge reports at once
	reports []fleet.Report
	level   map[fleet.TaskID]fleet.TaskReport // newest acknowledged or sent
	answers map[uint64]error
	notes   []converge.Effect
	carried []converge.Effect
	starts  map[string]int        // task, container and boot -> starts that took effect
	final   map[fleet.TaskID]bool // the fleet has heard that it stopped
	crashIn int                   // kill the agent after so many effects; 0 = never
}

const (
	hostName = "h1"
	// machineUp is how long the machine has run when a test begins: no clock stands
	// near 0, which also means never.
	machineUp = 100 * time.Hour
)

func newRig(t testing.TB) *rig {
	r := &rig{
		t:       t,
		wall:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		mono:    machineUp,
		boot:    1,
		level:   map[fleet.TaskID]fleet.TaskReport{},
		answers: map[uint64]error{},
		starts:  map[string]int{},
		final:   map[fleet.TaskID]bool{},
		auto:    true,
	}
	r.containers = fake.NewContainers(func() time.Time { return r.wall })
	r.network = fake.NewNetwork(r.containers.Alive)
	r.cgroups = fake.NewCgroups()
	r.containers.Put("registry.lab:5000/web:1", webImage)
	return r
}

var digestWeb = "sha256:" + strings.Repeat("ab", 32)

// webImage runs whatever it is told: "stay", "exit N", "deaf".
var webImage = fake.Image{Digest: digestWeb, Program: func(argv []string) (fake.Run, bool) {
	switch strings.Join(argv, " ") {
	case "exit 0":
		return fake.Run{}, true
	case "exit 1":
		return fake.Run{ExitCode: 1}, true
	case "deaf":
		return fake.Run{After: fake.Forever, IgnoresTerm: true}, true
	case "alloc 64":
		return fake.Run{MemoryMiB: 64}, true
	}
	return fake.Run{After: fake.Forever, OnTerm: 143}, true
}}

func (r *rig) bootID() string { return fmt.Sprintf("boot-%d", r.boot) }

func (r *rig) now() converge.Now {
	return converge.Now{Wall: fleet.TimeOf(r.wall), Mono: r.mono}
}

// agent starts an agent on what the disk holds.
func (r *rig) agent() *rig {
	r.m = converge.NewMachine(converge.MachineConfig{
		Fleet: "f1", Host: "h-1", HostName: hostName, Zone: "a", Boot: r.bootID(), LogDir: "/log",
		ResolvConf: "/etc/resolv.conf",
		Limits:     r.limits,
	}, converge.Saved{Journal: slices.Clone(r.journal), Wanted: r.wanted, Routes: r.routes}, r.now())
	r.pending, r.hung, r.dead = nil, nil, false
	r.session = 0
	r.step(converge.RuntimeUp{Version: "twin"})
	return r
}

// up is an agent with a session, as in a healthy fleet.
func (r *rig) up() *rig {
	r.agent()
	r.meet()
	return r
}

// meet opens the next session.
func (r *rig) meet() {
	r.session++
	if last := uint64(len(r.reports)); r.session <= last {
		r.session = last + 1
	}
	r.down = false
	r.step(converge.SessionOpened{Session: r.session})
}

// age is how long the test goes on.
func (r *rig) age() time.Duration { return r.mono - machineUp }

// kill ends the agent: whatever was asked for and not done is lost.
func (r *rig) kill() { r.dead, r.pending, r.hung, r.owed = true, nil, nil, nil }

// reboot is a power loss and a start of the machine, without its agent.
func (r *rig) reboot() {
	r.kill()
	r.boot++
	r.containers.Reboot()
	r.network.Reboot()
	r.cgroups.Reboot()
}

// step gives events to the machine and keeps what it asks for.
func (r *rig) step(events ...converge.Event) {
	if r.dead {
		return
	}
	var acks []converge.Event
	answered := false
	for _, e := range r.m.Step(r.now(), events) {
		switch do := e.Do.(type) {
		case converge.ArmTimer:
			r.armed = do.At
		case converge.Answer:
			r.answers[do.Ref], answered = do.Err, true
		case converge.ServeRoutes:
			if answered {
				r.t.Error("a frame is answered before its routes are served")
			}
			r.served = append(r.served, do)
		case converge.Note:
			r.notes = append(r.notes, e)
		case converge.SendReports:
			acks = append(acks, r.sent(do.Report)...)
		default:
			r.pending = append(r.pending, e)
		}
	}
	if len(acks) > 0 {
		r.step(acks...)
	}
}

// sent takes a report and returns what the voter answers.
func (r *rig) sent(report fleet.Report) []converge.Event {
	if r.down {
		return nil
	}
	r.reports = append(r.reports, report)
	for _, t := range report.Tasks {
		r.level[t.Task] = t
		r.final[t.Task] = r.final[t.Task] || t.Status == fleet.TaskStopped
	}
	if !r.auto {
		return nil
	}
	return []converge.Event{converge.ReportAcked{Session: report.Session, Seq: report.Seq}}
}

// settle carries out everything there is until nothing is left at this instant.
func (r *rig) settle() {
	r.t.Helper()
	for range 100_000 {
		if r.dead {
			return
		}
		if ids := r.containers.Changed(); len(ids) > 0 {
			r.step(converge.ContainerChanged{ID: ids[0]})
			continue
		}
		if len(r.pending) == 0 {
			return
		}
		e := r.pending[0]
		r.pending = r.pending[1:]
		r.carry(e)
	}
	r.t.Fatalf("the machine never came to rest; pending %v", r.pending)
}

// carry does what an effect says and answers.
func (r *rig) carry(e converge.Effect) {
	if r.hangs != nil && r.hangs(e) {
		r.hung = append(r.hung, e)
		return
	}
	r.carried = append(r.carried, e)
	done := converge.Done{ID: e.ID}
	if do, ok := e.Do.(converge.Journal); ok {
		r.owed = append(r.owed, do.Records...)
	}
	if r.faults != nil {
		done.Err = r.faults(e)
	}
	if done.Err == nil {
		r.perform(e, &done)
	}
	if r.crashIn > 0 {
		if r.crashIn--; r.crashIn == 0 {
			r.kill()
			return
		}
	}
	r.step(done)
}

func (r *rig) perform(e converge.Effect, d *converge.Done) {
	ctx := context.Background()
	switch do := e.Do.(type) {
	case converge.FindImage:
		d.Digest, _, d.Err = r.containers.HasImage(ctx, do.Ref)
	case converge.Pull:
		d.Digest, d.Err = r.containers.Pull(ctx, do.Ref)
	case converge.Journal:
		r.journal, r.owed = append(r.journal, r.owed...), nil
	case converge.SaveWanted:
		w := do.Wanted
		r.wanted = &w
	case converge.SaveRoutes:
		r.routes = &do.Routes
	case converge.CheckTarget:
		d.Code = 200
		if r.check != nil {
			d.Code = r.check(do)
		}
	case converge.CountConnections:
		d.Open, d.Err = r.network.Connections(ctx, do.PID, do.Ports)
	case converge.PrepareCgroup:
		d.Path, d.Err = r.cgroups.Prepare(ctx, e.Task, do.Bounds)
	case converge.Create:
		d.PID, d.Err = r.containers.Create(ctx, do.Spec)
	case converge.SetupNetwork:
		d.Addr, d.Err = r.network.Setup(ctx, do.Spec)
	case converge.Start:
		d.Err = r.start(do.Container)
	case converge.Signal:
		d.Err = r.containers.Signal(ctx, do.Container, do.Number, do.All)
	case converge.Delete:
		d.Err = r.containers.Delete(ctx, do.Container)
	case converge.TeardownNetwork:
		d.Err = r.network.Teardown(ctx, e.Task)
	case converge.RemoveCgroup:
		d.Err = r.cgroups.Remove(ctx, e.Task)
	case converge.ExecCheck, converge.HTTPCheck:
		if r.check != nil {
			d.Code = r.check(do)
		}
	case converge.List:
		d.Found, d.Err = r.list(do)
	case converge.RotateLogs, converge.RemoveLogs:
	default:
		r.t.Fatalf("unknown effect %T", do)
	}
}

// start counts the starts that let a process run. Stopped is final (I6).
func (r *rig) start(id string) error {
	if c := r.find(id); c != nil && c.State == port.ContainerCreated {
		if r.final[c.Task] {
			r.t.Errorf("%s starts in %s, and the fleet has heard that it stopped", id, r.bootID())
		}
		r.starts[id+"@"+r.bootID()]++
	}
	return r.containers.Start(context.Background(), id)
}

func (r *rig) list(do converge.List) (*converge.Found, error) {
	f := &converge.Found{}
	var err error
	if f.Containers, err = r.containers.List(context.Background()); err != nil {
		return nil, err
	}
	if do.Full {
		f.Networks, _ = r.network.Tasks(context.Background())
		f.Cgroups, _ = r.cgroups.Tasks(context.Background())
	}
	return f, nil
}

// find is a container as the runtime tells it, or nil.
func (r *rig) find(id string) *port.ContainerStatus {
	all, err := r.containers.List(context.Background())
	if err != nil {
		return nil
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i]
		}
	}
	return nil
}

// pass lets time go by, stopping wherever the machine wants to be woken.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	end := r.mono + d
	r.settle()
	for range 200_000 {
		next := end
		if r.armed > r.mono && r.armed < end {
			next = r.armed
		}
		if at, ok := r.containers.NextDue(); ok {
			next = min(next, r.mono+max(at.Sub(r.wall), 1))
		}
		r.wall = r.wall.Add(next - r.mono)
		r.mono = next
		r.containers.Step()
		r.step(converge.Tick{})
		r.settle()
		if r.mono >= end {
			return
		}
	}
	r.t.Fatal("time never passed: the machine arms timers without end")
}

// heard lets time go by with a voter that beats every second.
func (r *rig) heard(d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= time.Second {
		r.step(converge.VoterHeard{})
		r.pass(min(d, time.Second))
	}
}

// until lets time go by until a condition holds.
func (r *rig) until(what string, within time.Duration, ok func() bool) {
	r.t.Helper()
	for end := r.mono + within; ; {
		r.settle()
		if ok() {
			return
		}
		if r.mono >= end {
			r.t.Fatalf("%s: not within %s\n%s", what, within, r.describe())
		}
		r.step(converge.VoterHeard{})
		r.pass(100 * time.Millisecond)
	}
}

func (r *rig) describe() string {
	var b strings.Builder
	for _, t := range r.m.Status().Tasks {
		fmt.Fprintf(&b, "%s %s desired %s health %s attempt %d why %q reason %q exits %v\n", t.Task[:4], t.Status, t.Desired,
			t.Health, t.Attempt, t.Why, t.Reason, t.Exits)
	}
	for _, c := range r.m.Status().Conditions {
		fmt.Fprintf(&b, "condition %s: %s\n", c.Code, c.Reason)
	}
	return b.String()
}

// send gives a frame and returns the answer.
func (r *rig) send(f converge.Frame) error {
	r.ref++
	f.Ref = r.ref
	if f.Fleet == "" {
		f.Fleet = "f1"
	}
	if f.Epoch == 0 {
		f.Epoch = 1
	}
	if f.Session == 0 {
		f.Session = r.session
	}
	r.step(f)
	return r.answers[f.Ref]
}

// sendAll gives what is wanted as a whole, sendChange as what changed.
func (r *rig) sendAll(w fleet.Wanted) error    { return r.send(converge.Frame{Complete: true, Wanted: w}) }
func (r *rig) sendChange(w fleet.Wanted) error { return r.send(converge.Frame{Wanted: w}) }

// snapshot gives a complete list at the next index.
func (r *rig) snapshot(tasks ...fleet.WantedTask) {
	r.t.Helper()
	if err := r.trySnapshot(tasks...); err != nil {
		r.t.Fatalf("snapshot refused: %v", err)
	}
	r.settle()
}

func (r *rig) trySnapshot(tasks ...fleet.WantedTask) error {
	r.index++
	return r.sendAll(fleet.Wanted{Index: r.index, Tasks: tasks, TaskDefs: defsFor(tasks)})
}

// task returns a task's status; the zero value when it is not there.
func (r *rig) task(id fleet.TaskID) converge.TaskStatus {
	for _, t := range r.m.Status().Tasks {
		if t.Task == id {
			return t
		}
	}
	return converge.TaskStatus{}
}

// is reports a task's status.
func (r *rig) is(id fleet.TaskID, s fleet.TaskStatus) func() bool {
	return func() bool { return r.task(id).Status == s }
}

// did lists the effects of a type carried out so far.
func did[T converge.Action](r *rig) []T {
	var out []T
	for _, e := range r.carried {
		if a, ok := e.Do.(T); ok {
			out = append(out, a)
		}
	}
	return out
}

// kept lists the effects of a type that hang.
func kept[T converge.Action](r *rig) []T {
	var out []T
	for _, e := range r.hung {
		if a, ok := e.Do.(T); ok {
			out = append(out, a)
		}
	}
	return out
}

// thaw lets what hung go on.
func (r *rig) thaw() {
	r.hangs = nil
	r.pending, r.hung = append(r.hung, r.pending...), nil
	r.settle()
}

func hang[T converge.Action](e converge.Effect) bool {
	_, ok := e.Do.(T)
	return ok
}

// neverTwice fails when a container was let run twice in one boot.
func (r *rig) neverTwice() {
	r.t.Helper()
	for id, n := range r.starts {
		if n > 1 {
			r.t.Errorf("%s was started %d times in one boot", id, n)
		}
	}
}

// taskID makes a valid id that people can tell apart.
func taskID(n int) fleet.TaskID { return fleet.TaskID(fmt.Sprintf("%04x%028x", n, n)) }

func webDef() fleet.TaskDef {
	return fleet.TaskDef{ID: "web:1", NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{
		{Name: "app", Image: "registry.lab:5000/web:1", CPU: 128, Memory: 32, Command: []string{"stay"}, StopTimeoutS: 30},
	}}
}

// defs are the definitions that tests use, by id; webDef is there always.
var defs = map[fleet.TaskDefID]fleet.TaskDef{}

func define(id fleet.TaskDefID, change func(*fleet.TaskDef)) fleet.TaskDefID {
	d := webDef()
	d.ID = id
	change(&d)
	defs[id] = d
	return id
}

func defsFor(tasks []fleet.WantedTask) []fleet.TaskDef {
	var out []fleet.TaskDef
	seen := map[fleet.TaskDefID]bool{}
	for _, t := range tasks {
		if seen[t.TaskDef] {
			continue
		}
		seen[t.TaskDef] = true
		if d, ok := defs[t.TaskDef]; ok {
			out = append(out, d)
		} else {
			out = append(out, webDef())
		}
	}
	return out
}

// web is task n of service web, wanted running.
func web(n int) fleet.WantedTask {
	return fleet.WantedTask{
		ID: taskID(n), Service: "web", Revision: "web/1", TaskDef: "web:1", Desired: fleet.TaskRunning,
		Images: []fleet.ImagePin{{Container: "app", Digest: digestWeb}}, Last: fleet.TaskPending,
		Ports: []fleet.PortBinding{{Container: "app", ContainerPort: 80, HostPort: 50000 + n, Protocol: fleet.TCP}},
	}
}

func with(t fleet.WantedTask, change func(*fleet.WantedTask)) fleet.WantedTask {
	change(&t)
	return t
}

func stopped(t fleet.WantedTask) fleet.WantedTask {
	t.Desired = fleet.TaskStopped
	return t
}

func of(t fleet.WantedTask, def fleet.TaskDefID) fleet.WantedTask {
	t.TaskDef = def
	return t
}

var errInjected = errors.New("injected")
