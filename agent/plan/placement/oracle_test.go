package placement_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// small is a fleet of up to 4 hosts and one class of up to 8 tasks.
type small struct {
	hosts []smallHost
	need  fleet.Resources
	fixed bool // one task a host
	tasks int
}

type smallHost struct {
	zone       string
	capacity   fleet.Resources
	ineligible bool
}

func (s small) String() string {
	var b strings.Builder
	port := ""
	if s.fixed {
		port = " port=80"
	}
	fmt.Fprintf(&b, "web desired=%d cpu=%d mem=%d%s; unassigned: web/1 x%d; ", s.tasks, s.need.CPU, s.need.Memory, port,
		s.tasks)
	for i, h := range s.hosts {
		shut := ""
		if h.ineligible {
			shut = " cordoned"
		}
		fmt.Fprintf(&b, "h%d zone=%s cpu=%d mem=%d%s:; ", i, h.zone, h.capacity.CPU, h.capacity.Memory, shut)
	}
	return b.String()
}

func randomSmall(r *rand.Rand) small {
	s := small{need: fleet.Resources{CPU: 100 * (1 + r.Int64N(4)), Memory: 100 * (1 + r.Int64N(4))}, fixed: r.IntN(4) == 0,
		tasks: 1 + r.IntN(8)}
	for range 1 + r.IntN(4) {
		s.hosts = append(s.hosts, smallHost{zone: string(rune('a' + r.IntN(3))), ineligible: r.IntN(6) == 0,
			capacity: fleet.Resources{CPU: 100 * r.Int64N(10), Memory: 100 * r.Int64N(10)}})
	}
	return s
}

// fit is how many tasks of the class a host takes.
func (s small) fit(h smallHost) int {
	n := int(min(h.capacity.CPU/s.need.CPU, h.capacity.Memory/s.need.Memory))
	if h.ineligible {
		return 0
	}
	if s.fixed {
		n = min(n, 1)
	}
	return n
}

// brute tries every way to put tasks on hosts and returns how many fit at most,
// and how even the zones can be then: the least (most - fewest) over zones that
// have a host that takes tasks.
func (s small) brute() (most, spread int) {
	most = -1
	counts := make([]int, len(s.hosts))
	var try func(i, left int)
	try = func(i, left int) {
		if i == len(s.hosts) {
			placed := s.tasks - left
			if even := s.spread(counts); placed > most || placed == most && even < spread {
				most, spread = placed, even
			}
			return
		}
		for n := 0; n <= min(left, s.fit(s.hosts[i])); n++ {
			counts[i] = n
			try(i+1, left-n)
		}
		counts[i] = 0
	}
	try(0, s.tasks)
	return most, spread
}

func (s small) spread(counts []int) int {
	zones := map[string]int{}
	for i, h := range s.hosts {
		if s.fit(h) > 0 {
			zones[h.zone] += counts[i]
		}
	}
	most, fewest := 0, s.tasks
	for _, n := range zones {
		most, fewest = max(most, n), min(fewest, n)
	}
	return max(0, most-fewest)
}

// One class: whatever can be placed is placed, and zones are as even as they can
// be then.
func TestOneClassIsPlacedAsWellAsBruteForceCan(t *testing.T) {
	for seed := range uint64(500) {
		s := randomSmall(rand.New(rand.NewPCG(seed, 1)))
		w := plantest.Parse(t, s.String())
		counts, placed := make([]int, len(s.hosts)), 0
		for _, item := range placement.Next(w.Input()).Items {
			if run, ok := item.Command.(fleet.PlaceTasks); ok {
				w.Apply(item) // State refuses what does not fit
				for _, c := range run.Shares {
					var i int
					fmt.Sscanf(string(c.Host), "h%d", &i)
					counts[i] += len(c.Tasks)
					placed += len(c.Tasks)
				}
			}
		}
		most, best := s.brute()
		if placed != most {
			t.Fatalf("seed %d: %s\nplaced %d, possible are %d", seed, s, placed, most)
		}
		if got := s.spread(counts); got > best {
			t.Fatalf("seed %d: %s\nzones differ by %d, possible is %d: %v", seed, s, got, best, counts)
		}
	}
}

// Several classes on fleets of any size: no task that waits afterwards fits any
// host, and each says so.
func TestNoTaskWaitsThatFits(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		var text strings.Builder
		for i := range 1 + r.IntN(4) {
			fmt.Fprintf(&text, "h%d zone=%c cpu=%d mem=%d:; ", i, 'a'+rune(r.IntN(3)), 100*r.IntN(20), 100*r.IntN(20))
		}
		for i := range 1 + r.IntN(4) {
			fmt.Fprintf(&text, "s%d desired=9 cpu=%d mem=%d dynamic; unassigned: s%d/1 x%d; ", i, 100*(1+r.IntN(5)),
				100*(1+r.IntN(5)), i, 1+r.IntN(6))
		}
		w := plantest.Parse(t, text.String())
		for _, item := range placement.Next(w.Input()).Items {
			w.Apply(item)
		}
		for task := range w.State.Unassigned() {
			need := w.State.TaskDef(task.TaskDef).Reservation()
			for host := range w.State.Hosts() {
				if host.Placeable() && need.Fits(w.State.Free(host.ID)) {
					t.Fatalf("seed %d: %s\n%s waits though %s has room", seed, text.String(), task.ID, host.ID)
				}
			}
			if !w.State.HasCondition(fleet.ServiceSubject(task.Service)) {
				t.Fatalf("seed %d: %s\n%s waits and nobody says why", seed, text.String(), task.ID)
			}
		}
		if p := placement.Next(w.Input()); len(p.Items) > 0 {
			t.Fatalf("seed %d: %s\na second pass wants %s", seed, text.String(), plantest.Text(p))
		}
	}
}

// The choice of a host is that of a plain scan over all of them by the stated
// order.
func TestChoiceIsThatOfAPlainScan(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 3))
		var text strings.Builder
		fmt.Fprintf(&text, "web desired=50 cpu=%d mem=%d; unassigned: web/%d x%d\n", 50*(1+r.IntN(4)), 50*(1+r.IntN(4)),
			1+r.IntN(2), 1+r.IntN(20))
		for i := range 2 + r.IntN(12) {
			fmt.Fprintf(&text, "h%02d zone=%c cpu=%d mem=%d:", i, 'a'+rune(r.IntN(3)), 1000+500*r.IntN(4), 1000+500*r.IntN(4))
			if n := r.IntN(4); n > 0 {
				fmt.Fprintf(&text, "web/%d x%d", 1+r.IntN(2), n)
			}
			text.WriteString("\n")
		}
		placedAsByAPlainScan(t, seed, text.String())
	}
}

// plainScan places each unassigned task by looking at all hosts.
func plainScan(w *plantest.World) map[fleet.TaskID]fleet.HostID {
	s := w.State.Clone()
	placed := map[fleet.TaskID]fleet.HostID{}
	for _, task := range slices.Collect(s.Unassigned()) {
		var best fleet.HostID
		var bestKey []int64
		for host := range s.Hosts() {
			if !host.Placeable() || !s.TaskDef(task.TaskDef).Reservation().Fits(s.Free(host.ID)) {
				continue
			}
			if key := scanKey(s, task, host); best == "" || slices.Compare(key, bestKey) < 0 {
				best, bestKey = host.ID, key
			}
		}
		placed[task.ID] = best
		if best != "" {
			s.Apply(s.Index()+1,
				fleet.Entry{Items: []fleet.Item{{Command: fleet.AssignTasks{Host: best, Tasks: []fleet.TaskID{task.ID}}}}})
		}
	}
	return placed
}

// scanKey orders hosts for a task: least first.
func scanKey(s *fleet.State, task *fleet.Task, host *fleet.Host) []int64 {
	var zoneRev, zoneAll, hostRev, hostAll int64
	for other := range s.LiveTasksOfService(task.Service) {
		if other.Host == "" || other.Desired != fleet.TaskRunning {
			continue
		}
		same := int64(0)
		if other.Revision == task.Revision {
			same = 1
		}
		if s.Host(other.Host).Zone == host.Zone {
			zoneRev, zoneAll = zoneRev+same, zoneAll+1
		}
		if other.Host == host.ID {
			hostRev, hostAll = hostRev+same, hostAll+1
		}
	}
	var unit fleet.Resources
	for h := range s.Hosts() {
		unit.CPU, unit.Memory = max(unit.CPU, h.Capacity.CPU), max(unit.Memory, h.Capacity.Memory)
	}
	free := s.Free(host.ID)
	share := min(free.CPU<<20/unit.CPU, free.Memory<<20/unit.Memory)
	return []int64{zoneRev, zoneAll, hostRev, hostAll, -share}
}

// A planner that keeps its index plans as one that does not, whatever happens
// in between.
func TestAKeptIndexPlansAsANewOne(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 4))
		w := plantest.Parse(t, "web desired=60 cpu=300 mem=300 dynamic; job desired=60 cpu=700 mem=100;"+
			"h0:; h1 zone=b:; h2 zone=c:; h3:; h4 zone=b: web/1 x3; unassigned: web/1 x2, job/1")
		index := new(placement.Index)
		scope := plan.Scope{Full: true}
		for step := range 40 {
			in := w.Input()
			in.Scope = scope
			got, want := index.Next(in), placement.Next(w.Input())
			if plantest.Text(got) != plantest.Text(want) {
				t.Fatalf("seed %d, step %d:\n  kept: %s\n   new: %s", seed, step, plantest.Text(got), plantest.Text(want))
			}
			var changeSet fleet.ChangeSet
			if r.IntN(3) > 0 { // sometimes nothing of the plan commits
				changeSet = w.Apply(got.Items...)
			}
			more := disturb(w, r)
			w.Wait(plan.ConditionRefresh)
			scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.CapacitySubject(), fleet.ServiceSubject("job"),
				fleet.ServiceSubject("web"))}
			scope.Merge(changeSet)
			scope.Merge(more)
		}
	}
}

// What an earlier planner of the same pass did may never commit: the index must
// not remember it.
func TestAKeptIndexForgetsWhatDidNotCommit(t *testing.T) {
	w := plantest.Parse(t, "web desired=2; h0:; h1 cordoned:; unassigned: web/1")
	index := new(placement.Index)
	folded := w.Input()
	folded.State = w.State.Clone()
	folded.State.Apply(folded.State.Index()+1,
		fleet.Entry{At: w.Now, Items: []fleet.Item{{Command: fleet.SilenceHost{Host: "h0", Session: 1}}}})
	folded.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.CapacitySubject(), fleet.HostSubject("h0"))}
	if got := plantest.Text(index.Next(folded)); !strings.Contains(got, "1 cordoned, 1 not ready") {
		t.Fatalf("in the pass: %s", got)
	}
	in := w.Input()
	in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.CapacitySubject())}
	if got, want := plantest.Text(index.Next(in)), "place web-1 on h0"; got != want {
		t.Errorf("in the next pass: %s, want %s", got, want)
	}
}

// disturb changes something and returns what.
func disturb(w *plantest.World, r *rand.Rand) fleet.ChangeSet {
	id := fleet.HostID(fmt.Sprintf("h%d", r.IntN(5)))
	host := w.State.Host(id)
	var c fleet.Command
	switch r.IntN(6) {
	case 0:
		c = fleet.CordonHost{Host: id}
	case 1:
		c = fleet.UncordonHost{Host: id}
	case 2:
		c = fleet.SilenceHost{Host: id, Session: host.Session.N}
	case 3:
		if host.State == fleet.HostLost {
			return fleet.ChangeSet{}
		}
		c = fleet.ReturnHost{Host: id, Session: host.Session.N}
	case 4:
		liveness := w.Liveness.Hosts[id]
		liveness.Liveness = plan.Liveness(r.IntN(5))
		w.Liveness.Hosts[id] = liveness
		return fleet.ChangeSetOf(fleet.HostSubject(id))
	default:
		service := []string{"web", "job"}[r.IntN(2)]
		if n := w.State.Counts(service, ""); n.Pending+n.Running >= w.State.Service(service).MaxRunning() {
			return fleet.ChangeSet{}
		}
		c = fleet.CreateTasks{Revision: w.State.Service(service).Revision, Tasks: []fleet.TaskID{w.NewID()}}
	}
	return w.Apply(fleet.Item{Command: c})
}

// placedAsByAPlainScan fails where a planner places a task of the fleet elsewhere than
// a plain scan of all hosts does.
func placedAsByAPlainScan(t *testing.T, seed uint64, text string) {
	t.Helper()
	w := plantest.Parse(t, text)
	want := plainScan(w)
	got := map[fleet.TaskID]fleet.HostID{}
	for _, item := range placement.Next(w.Input()).Items {
		if run, ok := item.Command.(fleet.PlaceTasks); ok {
			for _, c := range run.Shares {
				for _, id := range c.Tasks {
					got[id] = c.Host
				}
			}
		}
	}
	for id, host := range want {
		if got[id] != host {
			t.Fatalf("seed %d:\n%s%s goes to %q, a plain scan says %q", seed, text, id, got[id], host)
		}
	}
}

// A service that runs on more hosts than are asked about one by one is placed as a
// plain scan does it.
func TestAServiceOnManyHostsIsPlacedAsByAPlainScan(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 9))
		var text strings.Builder
		fmt.Fprintf(&text, "web desired=400 cpu=64 mem=64\n")
		for i := range 90 {
			fmt.Fprintf(&text, "h%02d zone=%c cpu=%d mem=4096: web/1 running x%d\n", i, 'a'+rune(i%3), 1024+64*r.IntN(8),
				1+r.IntN(3))
		}
		fmt.Fprintf(&text, "unassigned: web/1 x%d\n", 1+r.IntN(60))
		placedAsByAPlainScan(t, seed, text.String())
	}
}
