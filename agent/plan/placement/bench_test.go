package placement_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// backlog is a fleet of ready hosts in three zones and services none of whose
// tasks has a host.
func backlog(tb testing.TB, hosts, services, each int) plan.Input {
	tb.Helper()
	b := &builder{tb: tb, s: fleet.New()}
	admission := func(i int) fleet.Admission {
		id := fmt.Sprintf("h-%016x", i)
		return fleet.Admission{ID: fleet.HostID(id), Name: id, Zone: string(rune('a' + i%3)), Addr: b.addr(i), PublicKey: id}
	}
	b.do(fleet.InitFleet{ID: "f", CABundle: []byte("x"), SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8),
		Gossip: make([]byte, 8)},
		Host: admission(0), RaftID: fleet.MakeRaftID(admission(0).ID, 1)})
	b.do(fleet.PutToken{ID: "t", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: fleet.MaxTokenUses,
		NotAfter: 1 << 40})
	seen := map[fleet.HostID]plan.HostLiveness{}
	for i := range hosts {
		a := admission(i)
		if i > 0 {
			b.do(fleet.AdmitHost{Token: "t", SecretHash: make([]byte, 32), Host: a})
		}
		b.do(fleet.OpenSession{Host: a.ID, Boot: "b", Nonce: 1, Addr: a.Addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: int64(16384 << (i % 4)), Memory: int64(65536 << (i % 4))}})
		b.do(fleet.Report{Host: a.ID, Session: 1, Seq: 1, SelfCheck: []fleet.Check{{Name: "disk", OK: true}}})
		seen[a.ID] = plan.HostLiveness{Liveness: plan.LivenessAlive}
	}
	sizes := []int64{64, 128, 256, 512, 1024}
	for i := range services {
		name := fmt.Sprintf("s%05d", i)
		c := fleet.Container{Name: "app", Image: "x", CPU: sizes[i%5], MemoryReservation: 4 * sizes[i%5], StopTimeoutS: 30}
		if i%5 < 3 {
			c.PortMappings = []fleet.PortMapping{{ContainerPort: 80, Protocol: fleet.TCP}}
		}
		b.do(fleet.RegisterTaskDef{Family: name,
			Def: fleet.TaskDef{NetworkMode: fleet.NetworkBridge, Containers: []fleet.Container{c}}})
		b.do(fleet.PutService{Name: name, TaskDef: fleet.MakeTaskDefID(name, 1), Desired: each, MinPercent: 100,
			MaxPercent: 200})
		b.do(b.s.Service(name).DefaultGoals())
		for made := 0; made < each; made += 500 {
			run := fleet.CreateTasks{Revision: fleet.MakeRevisionID(name, 1)}
			for j := made; j < min(each, made+500); j++ {
				run.Tasks = append(run.Tasks, fleet.TaskID(fmt.Sprintf("%016x%016x", i, j)))
			}
			b.do(run)
		}
	}
	return plan.Input{State: b.s, Now: 1, Scope: plan.Scope{Full: true}, Liveness: plan.FleetLiveness{Hosts: seen}}
}

type builder struct {
	tb testing.TB
	s  *fleet.State
}

func (b *builder) do(c fleet.Command) {
	b.tb.Helper()
	if r := b.s.Apply(b.s.Index()+1, fleet.Entry{At: 1, Items: []fleet.Item{{Command: c}}}).Results[0]; r.Err != nil {
		b.tb.Fatalf("%T: %v", c, r.Err)
	}
}

func (b *builder) addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 7000)
}

// BenchmarkBacklog plans 100,000 tasks that all wait, pass by pass as the leader
// does; applying is not counted. The floor is a plain loop that gives each task
// the next host.
func BenchmarkBacklog(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000} {
		for _, services := range []int{200, 5_000} {
			b.Run(fmt.Sprintf("%d hosts, %d services", hosts, services), func(b *testing.B) {
				whole := backlog(b, hosts, services, 100_000/services)
				floor := plainLoop(whole)
				for b.Loop() {
					b.StopTimer()
					in := whole
					in.State = whole.State.Clone()
					spent, placed, passes := time.Duration(0), 0, 0
					index := new(placement.Index)
					for {
						at := time.Now()
						p := index.Next(in)
						in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.CapacitySubject())}
						spent += time.Since(at)
						passes++
						placed += apply(in.State, p.Items)
						if !p.More {
							break
						}
					}
					b.StartTimer()
					if placed != 100_000 {
						b.Fatalf("%d tasks placed", placed)
					}
					b.ReportMetric(float64(spent.Nanoseconds())/float64(placed), "ns/task")
					b.ReportMetric(float64(spent.Nanoseconds())/float64(placed)/floor, "x-floor")
					b.ReportMetric(float64(passes), "passes")
				}
			})
		}
	}
}

// BenchmarkOneTask places one task into a fleet that is at rest, for a leader
// that has planned before and for a new one.
func BenchmarkOneTask(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000} {
		in := backlog(b, hosts, 1, 1)
		in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("s00000"))}
		index := new(placement.Index)
		for name, next := range map[string]func(plan.Input) plan.Plan{"index kept": index.Next,
			"new leader": placement.Next} {
			b.Run(fmt.Sprintf("%d hosts, %s", hosts, name), func(b *testing.B) {
				for b.Loop() {
					if p := next(in); len(p.Items) != 1 {
						b.Fatal("not placed")
					}
				}
			})
		}
	}
}

// BenchmarkCrowded is the dearest search: classes that all want more than there
// is, on as many hosts as are searched, so that no arrangement is the ideal one.
func BenchmarkCrowded(b *testing.B) {
	for _, size := range [][2]int{{4, 3}, {16, 16}, {128, 2}} {
		b.Run(fmt.Sprintf("%d hosts, %d classes", size[0], size[1]), func(b *testing.B) {
			var text strings.Builder
			for i := range size[0] {
				fmt.Fprintf(&text, "h%03d zone=%c cpu=%d mem=%d:\n", i, 'a'+rune(i%3), 1000+37*i, 1000+29*(size[0]-i))
			}
			for i := range size[1] {
				fmt.Fprintf(&text, "s%02d desired=64 cpu=%d mem=%d\nunassigned: s%02d/1 x%d\n", i, 130+61*i%400, 130+83*i%400, i,
					min(64, 6*size[0]/size[1]))
			}
			in := plantest.Parse(b, text.String()).Input()
			for b.Loop() {
				placement.Next(in)
			}
		})
	}
}

// BenchmarkNoRoom says why for 1,000 classes that fit nowhere.
func BenchmarkNoRoom(b *testing.B) {
	in := backlog(b, 10_000, 1_000, 1)
	var items []fleet.Item
	for h := range in.State.Hosts() {
		items = append(items, fleet.Item{Command: fleet.CordonHost{Host: h.ID}})
	}
	in.State.Apply(in.State.Index()+1, fleet.Entry{At: 1, Items: items})
	for b.Loop() {
		placement.Next(in)
	}
}

func apply(s *fleet.State, items []fleet.Item) int {
	placed := 0
	out := s.Apply(s.Index()+1, fleet.Entry{At: 1, Items: items})
	for i, r := range out.Results {
		if run, ok := items[i].Command.(fleet.PlaceTasks); ok && r.Err == nil {
			for _, c := range run.Shares {
				placed += len(c.Tasks)
			}
		}
	}
	return placed
}

// plainLoop is the nanoseconds a task costs when nothing is decided.
func plainLoop(in plan.Input) float64 {
	var hosts []fleet.HostID
	for h := range in.State.Hosts() {
		hosts = append(hosts, h.ID)
	}
	at, n := time.Now(), 0
	var runs []fleet.AssignTasks
	for task := range in.State.Unassigned() {
		runs = append(runs, fleet.AssignTasks{Host: hosts[n%len(hosts)], Tasks: []fleet.TaskID{task.ID}})
		n++
	}
	return float64(time.Since(at).Nanoseconds()) / float64(max(1, len(runs)))
}
