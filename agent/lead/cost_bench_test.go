package lead

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// fullSize says that benchmarks run at the sizes of DESIGN.md's bars: 1,000,000
// tasks on 10,000 hosts, which takes minutes and 2 GiB. Otherwise a tenth.
var fullSize = os.Getenv("SKEIN_BENCH") == "full"

// costFleet is a fleet under the real Loop, at any size: State stands for the log,
// and every entry is applied as soon as it is proposed. Nothing is checked.
type costFleet struct {
	tb       testing.TB
	s        *fleet.State
	loop     *Loop
	now      Instant
	liveness map[fleet.HostID]plan.HostLiveness
	seqs     map[fleet.HostID]uint64
	planning time.Duration // processor time of the planners
	applying time.Duration // processor time of the log's own apply
	commands int
}

// newCostFleet is a fleet of ready hosts in three zones and of services without a
// task; a host takes perHost tasks.
func newCostFleet(tb testing.TB, hosts, services, desired, perHost int) *costFleet {
	tb.Helper()
	f := &costFleet{tb: tb, s: fleet.New(), now: Instant{Wall: start, Mono: time.Hour},
		liveness: map[fleet.HostID]plan.HostLiveness{}, seqs: map[fleet.HostID]uint64{}}
	var timed []Planner
	for _, p := range Planners() {
		timed = append(timed, Planner{By: p.By, Next: func(in plan.Input) plan.Plan {
			began := processorTime()
			out := p.Next(in)
			f.planning += processorTime() - began
			return out
		}})
	}
	f.loop = NewLoop(NewTaskIDs(rand.NewChaCha8([32]byte{})).Next, timed...)
	admission := func(i int) fleet.Admission {
		id := fmt.Sprintf("h-%016x", i)
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7000)
		return fleet.Admission{ID: fleet.HostID(id), Name: id, Zone: string(rune('a' + i%3)), Addr: addr, PublicKey: id}
	}
	f.do(fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
		Gossip: make([]byte, 8)},
		Host: admission(0), RaftID: fleet.MakeRaftID(admission(0).ID, 1)})
	f.do(fleet.PutToken{ID: "join", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: fleet.MaxTokenUses,
		NotAfter: start.Add(time.Hour)})
	for i := range hosts {
		a := admission(i)
		if i > 0 {
			f.do(fleet.AdmitHost{Token: "join", SecretHash: make([]byte, 32), Host: a})
		}
		f.do(fleet.OpenSession{Host: a.ID, Boot: "b", Nonce: 1, Addr: a.Addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: int64(perHost) * 64, Memory: int64(perHost) * 64}},
			fleet.Report{Host: a.ID, Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
		f.seqs[a.ID] = 1
		f.liveness[a.ID] = plan.HostLiveness{Liveness: plan.LivenessAlive, Session: 1}
	}
	for i := range services {
		f.service(i, desired)
	}
	return f
}

func costService(i int) string { return fmt.Sprintf("service-%05d", i) }

// service is one of three kinds, with room to start its tasks twice.
func (f *costFleet) service(i, desired int) {
	name := costService(i)
	c := fleet.Container{Name: "app", Image: "x", CPU: int64(16 << (i % 2)), MemoryReservation: int64(16 << (i % 2)),
		StopTimeoutS: 30}
	if i%3 == 0 {
		c.PortMappings = []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}}
	}
	f.do(fleet.RegisterTaskDef{Family: name,
		Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}},
		fleet.PutService{Name: name, TaskDef: fleet.MakeTaskDefID(name, 1), Desired: desired, MinPercent: 100,
			MaxPercent: 200})
}

// do applies commands as from elsewhere; a refusal is fatal.
func (f *costFleet) do(commands ...fleet.Command) Event {
	f.tb.Helper()
	items := make([]fleet.Item, len(commands))
	for i, c := range commands {
		items[i] = fleet.Item{Command: c}
	}
	results, event := f.commit(items)
	for i, r := range results {
		if r.Err != nil {
			f.tb.Fatalf("%T: %v", commands[i], r.Err)
		}
	}
	return event
}

func (f *costFleet) commit(items []fleet.Item) ([]fleet.Result, Event) {
	out := f.s.Apply(f.s.Index()+1, fleet.Entry{At: f.now.Wall, Items: items})
	return out.Results, Applied{State: f.s.Clone(), ChangeSet: out.ChangeSet}
}

// lead makes the loop leader and lets it plan until it rests.
func (f *costFleet) lead() {
	f.tb.Helper()
	f.run(LivenessChanged{Liveness: plan.FleetLiveness{Hosts: f.liveness}}, BecameLeader{State: f.s.Clone()})
}

// run hands events to the loop and lets time pass until nothing more is proposed.
func (f *costFleet) run(events ...Event) {
	f.tb.Helper()
	for quiet := 0; quiet < 4; {
		next := f.step(events)
		if next == nil {
			quiet++
			f.now.Mono, f.now.Wall = f.now.Mono+GatherMost, f.now.Wall.Add(GatherMost)
		} else {
			quiet = 0
		}
		events = next
	}
}

func (f *costFleet) step(events []Event) (next []Event) {
	for _, e := range f.loop.Step(f.now, events...) {
		p, ok := e.(Propose)
		if !ok {
			continue
		}
		done := ProposalDone{N: p.N}
		began := processorTime()
		for _, items := range p.Entries {
			f.commands += len(items)
			results, event := f.commit(items)
			done.Index, done.Results = f.s.Index(), append(done.Results, results...)
			next = append(next, event)
		}
		f.applying += processorTime() - began
		next = append(next, done)
	}
	return next
}

// started has every host report all its tasks RUNNING, and lets them settle.
func (f *costFleet) started() {
	f.tb.Helper()
	for id := range f.liveness {
		var reports []fleet.TaskReport
		for _, task := range slices.Collect(f.s.HeldBy(id)) {
			reports = append(reports, fleet.TaskReport{Task: task.ID, Status: fleet.TaskRunning, Attempt: 1})
		}
		f.seqs[id]++
		f.do(fleet.Report{Host: id, Session: 1, Seq: f.seqs[id], Tasks: reports})
	}
	f.now.Mono, f.now.Wall = f.now.Mono+2*fleet.HealthySettle, f.now.Wall.Add(2*fleet.HealthySettle)
}

// processorTime is what this process has used of the processors, so that other
// work on the machine does not count.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for wrong arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBacklog is a fleet from empty to assigned: passes, commands, reasons,
// fold and apply. Metrics are processor time.
func BenchmarkBacklog(b *testing.B) {
	sizes := [][3]int{{100, 10, 1_000}, {1_000, 100, 1_000}}
	if fullSize {
		sizes = append(sizes, [3]int{10_000, 1_000, 1_000})
	}
	took := make([]float64, len(sizes))
	for n, size := range sizes {
		tasks := size[1] * size[2]
		b.Run(fmt.Sprintf("%d-tasks-on-%d-hosts", tasks, size[0]), func(b *testing.B) {
			var all, planning, applying []float64
			for range b.N {
				b.StopTimer()
				f := newCostFleet(b, size[0], size[1], size[2], 2*tasks/size[0])
				b.StartTimer()
				began := processorTime()
				f.lead()
				all = append(all, (processorTime() - began).Seconds())
				planning, applying = append(planning, f.planning.Seconds()), append(applying, f.applying.Seconds())
				f.assigned(size[1], size[2])
				b.ReportMetric(float64(f.loop.Stats().Passes), "passes")
				b.ReportMetric(float64(f.commands), "commands")
			}
			report(b, "cpu-s", all)
			report(b, "cpu-s-planning", planning)
			report(b, "cpu-s-apply", applying)
			took[n] = median(all) // the function runs again for a larger b.N
			if n > 0 && took[n-1] > 0 {
				b.ReportMetric(took[n]/took[n-1], "x-of-a-tenth")
			}
		})
	}
}

func (f *costFleet) assigned(services, desired int) {
	f.tb.Helper()
	for i := range services {
		if c := f.s.Counts(costService(i), ""); c.Pending != desired {
			f.tb.Fatalf("%s: %+v", costService(i), c)
		}
	}
	for task := range f.s.Unassigned() {
		f.tb.Fatalf("%s has no host", task.ID)
	}
}

// report gives the median of what was measured, and its spread: the distance
// between the quartiles as a part of the median.
func report(b *testing.B, unit string, values []float64) {
	m := median(values)
	b.ReportMetric(m, unit)
	if len(values) >= 4 && m > 0 {
		b.ReportMetric((quantile(values, 0.75)-quantile(values, 0.25))/m, unit+"-spread")
	}
}

func median(values []float64) float64 { return quantile(values, 0.5) }

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// atRest is a fleet all of whose tasks run and serve, planned by a leader that has
// nothing more to say.
func atRest(b *testing.B, hosts, services, desired int) *costFleet {
	b.Helper()
	f := newCostFleet(b, hosts, services, desired, 2*services*desired/hosts)
	f.lead()
	f.started()
	f.run(BecameLeader{State: f.s.Clone()})
	return f
}

// largeFleet is the fleet of the bars, or a tenth of it.
func largeFleet(b *testing.B) *costFleet {
	if fullSize {
		return atRest(b, 10_000, 1_000, 1_000)
	}
	return atRest(b, 1_000, 100, 1_000)
}

// measure reports the processor time of an operation that is run n times, after
// something that is not measured.
func measure(b *testing.B, unit string, per time.Duration, before, op func(i int)) {
	var took []float64
	for i := range b.N {
		b.StopTimer()
		before(i)
		b.StartTimer()
		began := processorTime()
		op(i)
		took = append(took, float64(processorTime()-began)/float64(per))
	}
	report(b, unit, took)
}

// BenchmarkEvents are single events of a large fleet at rest, through the loop: pass,
// commands, fold and apply. Where a bar is below a millisecond an op is 100 events.
func BenchmarkEvents(b *testing.B) {
	f := largeFleet(b)
	nothing := func(int) {}
	b.Run("new-leader's-first-full-pass", func(b *testing.B) {
		measure(b, "cpu-ms", time.Millisecond, nothing, func(int) {
			f.step([]Event{LostLeadership{}, BecameLeader{State: f.s.Clone()}})
		})
	})
	f.run()
	b.Run("scale-by-one", func(b *testing.B) {
		measure(b, "cpu-ms", time.Millisecond, nothing, func(int) {
			for i := range 100 {
				name := costService(i)
				f.runOnce(f.do(fleet.ScaleService{Name: name, Desired: f.s.Service(name).Desired + 1}))
			}
		})
		b.ReportMetric(100, "scales/op")
	})
	b.Run("report-of-a-task", func(b *testing.B) {
		task := f.someTask()
		health := fleet.HealthHealthy
		measure(b, "cpu-us", time.Microsecond, nothing, func(int) {
			for range 100 {
				health ^= fleet.HealthHealthy ^ fleet.HealthUnhealthy
				f.seqs[task.Host]++
				f.do(fleet.Report{Host: task.Host, Session: 1, Seq: f.seqs[task.Host], Tasks: []fleet.TaskReport{
					{Task: task.ID, Status: fleet.TaskRunning, Health: health, Attempt: 1}}})
			}
		})
		b.ReportMetric(100, "reports/op")
	})
	b.Run("host-lost", func(b *testing.B) {
		next := 0
		var tasks int
		measure(b, "cpu-ms", time.Millisecond, nothing, func(int) {
			id := fleet.HostID(fmt.Sprintf("h-%016x", next))
			next++
			tasks = len(slices.Collect(f.s.HeldBy(id)))
			f.runOnce(f.do(fleet.SilenceHost{Host: id, Session: 1}))
		})
		b.ReportMetric(float64(tasks), "tasks")
	})
}

// runOnce hands an event to the loop and lets it plan once, and takes what it
// proposes as committed.
func (f *costFleet) runOnce(e Event) {
	f.step([]Event{e})
	f.now.Mono, f.now.Wall = f.now.Mono+GatherMost, f.now.Wall.Add(GatherMost)
	f.step(f.step(nil))
}

func (f *costFleet) someTask() *fleet.Task {
	for task := range f.s.Tasks() {
		return task
	}
	f.tb.Fatal("there is no task")
	return nil
}

// BenchmarkFourHosts places 4,000 replicas on 4 hosts, reasons and apply included.
func BenchmarkFourHosts(b *testing.B) {
	var f *costFleet
	measure(b, "cpu-ms", time.Millisecond, func(int) { f = newCostFleet(b, 4, 1, 4_000, 2_000) }, func(int) { f.lead() })
	f.assigned(1, 4_000)
	b.ReportMetric(f.planning.Seconds()*1e3, "cpu-ms-planning")
}
