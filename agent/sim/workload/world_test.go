package workload_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"skein/agent/sim/virtual"
	"skein/agent/sim/workload"
	"skein/raftfsm/fleet"
)

const day = 24 * time.Hour

func chance(seed uint64) *virtual.Chance { return virtual.NewChance(seed, "workload") }

// happening is an event and its time.
type happening struct {
	at   time.Duration
	what workload.Event
}

// until are the events of a time, checked to be in order.
func until(t testing.TB, s workload.Source, end time.Duration) (all []happening) {
	t.Helper()
	last := time.Duration(0)
	for {
		at, what := s.Next()
		if at < last {
			t.Fatalf("%T at %s comes after %s", what, at, last)
		}
		if (what == nil) != (at == workload.Never) {
			t.Fatalf("%T at %s", what, at)
		}
		if last = at; at >= end {
			return all
		}
		all = append(all, happening{at, what})
	}
}

func TestEqualSeedsDrawEqualWorlds(t *testing.T) {
	for _, p := range []workload.Preset{workload.Published(), workload.Steady()} {
		a, b := workload.Draw(chance(7), 100, 2000, p), workload.Draw(chance(7), 100, 2000, p)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s: two worlds of one seed differ", p.Name)
		}
		if reflect.DeepEqual(a.Machines, workload.Draw(chance(8), 100, 2000, p).Machines) {
			t.Errorf("%s: another seed has the same machines", p.Name)
		}
		if !reflect.DeepEqual(until(t, a.Outcome(chance(9)), 3*day), until(t, b.Outcome(chance(9)), 3*day)) {
			t.Errorf("%s: two lives of one seed differ", p.Name)
		}
	}
}

// Other rates of one kind of event must not move the others.
func TestEachKindOfEventHasItsOwnChance(t *testing.T) {
	w := workload.Draw(chance(7), 100, 2000, workload.Published())
	others := func() (rest []happening) {
		for _, h := range until(t, w.Outcome(chance(9)), 3*day) {
			if _, job := h.what.(workload.Job); !job {
				rest = append(rest, h)
			}
		}
		return rest
	}
	before := others()
	w.Preset.Jobs.PerMinute *= 3
	if !reflect.DeepEqual(before, others()) {
		t.Error("more jobs moved other events")
	}
}

// state is a real fleet on the machines of a world.
func state(t testing.TB, w *workload.World) *fleet.State {
	t.Helper()
	s := fleet.New()
	apply(t, s, fleet.InitFleet{
		ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1, CA: []byte("k"), Gossip: []byte("k")},
		Host: admission(w, 0), RaftID: fleet.MakeRaftID(hostID(0), 1),
	})
	apply(t, s, fleet.PutToken{ID: "tok", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: len(w.Machines),
		NotAfter: s.Now() + 1e9})
	for i, m := range w.Machines {
		if i > 0 {
			apply(t, s, fleet.AdmitHost{Token: "tok", SecretHash: make([]byte, 32), Host: admission(w, i)})
		}
		apply(t, s, fleet.OpenSession{Host: hostID(i), Boot: "b", Nonce: 1, Addr: admission(w, i).Addr, Zone: m.Zone,
			Capacity: m.Capacity})
	}
	return s
}

func hostID(i int) fleet.HostID { return fleet.HostID(fmt.Sprintf("h-%016x", i)) }

func admission(w *workload.World, i int) fleet.Admission {
	return fleet.Admission{
		ID: hostID(i), Name: w.Machines[i].Name, Zone: w.Machines[i].Zone, PublicKey: fmt.Sprintf("key%d", i),
		Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 7000),
	}
}

func apply(t testing.TB, s *fleet.State, c fleet.Command) []string {
	t.Helper()
	r := s.Apply(s.Index()+1, fleet.Entry{At: 1_700_000_000_000, Items: []fleet.Item{{Command: c}}}).Results[0]
	if r.Err != nil {
		t.Fatalf("%T: %v", c, r.Err)
	}
	return r.IDs
}

func TestARealFleetTakesAllThatIsDrawn(t *testing.T) {
	for seed, shape := range map[uint64][2]int{1: {3, 10}, 2: {10, 200}, 3: {100, 2000}, 4: {300, 20_000}} {
		w := workload.Draw(chance(seed), shape[0], shape[1], workload.Published())
		s := state(t, w)
		for i := range w.Services {
			v := &w.Services[i]
			apply(t, s, v.Put(fleet.TaskDefID(apply(t, s, v.Register(1))[0]), nil))
		}
		for i := range w.Kinds {
			def := apply(t, s, w.Kinds[i].Register())[0]
			apply(t, s, fleet.RunTasks{TaskDef: fleet.TaskDefID(def), Tasks: []fleet.TaskID{fleet.TaskID(def[:3] + "x")}})
		}
		for _, h := range until(t, w.Outcome(chance(seed)), 2*day) {
			follow(t, s, w, h.what)
		}
		if err := s.Check(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// follow gives a fleet the commands that an event asks for.
func follow(t testing.TB, s *fleet.State, w *workload.World, e workload.Event) {
	t.Helper()
	switch e := e.(type) {
	case workload.Deploy:
		v := &w.Services[e.Service]
		def := apply(t, s, e.Register(w.Services))[0]
		apply(t, s, v.Put(fleet.TaskDefID(def), s.Service(v.Name)))
		if image := s.TaskDef(fleet.TaskDefID(def)).Containers[0].Image; image != fmt.Sprintf("%s:v%d", v.Name, e.Version) {
			t.Fatalf("version %d of %s runs %s", e.Version, v.Name, image)
		}
	case workload.Scale:
		v := s.Service(w.Services[e.Service].Name)
		if e.Desired == v.Desired {
			t.Fatalf("%s is scaled to the %d it has", v.Name, v.Desired)
		}
		apply(t, s, fleet.ScaleService{Name: v.Name, Desired: e.Desired})
	}
}

// First fit, the largest first, with no thought: if this finds room, a planner does.
func TestAllThatIsDrawnFits(t *testing.T) {
	for seed := range uint64(20) {
		w := workload.Draw(chance(seed), 30, 600, workload.Published())
		free := make([]fleet.Resources, len(w.Machines))
		for i, m := range w.Machines {
			free[i] = m.Capacity
		}
		for i := range w.Services {
			takes := w.Services[i].Def.Reservation()
			for range w.Services[i].Desired {
				if !place(free, takes) {
					t.Fatalf("seed %d: no room for a task of service %d, %+v\n%s", seed, i, takes, w)
				}
			}
		}
	}
}

func place(free []fleet.Resources, takes fleet.Resources) bool {
	for i := range free {
		if takes.Fits(free[i]) {
			free[i] = free[i].Sub(takes)
			return true
		}
	}
	return false
}

func TestReservationsReachTheTarget(t *testing.T) {
	for _, shape := range [][2]int{{10, 100}, {100, 1000}, {100, 2000}, {1000, 20_000}, {1000, 60_000}} {
		for _, p := range []workload.Preset{workload.Published(), workload.Steady()} {
			w := workload.Draw(chance(5), shape[0], shape[1], p)
			services, jobs := w.Reserved()
			all, capacity := services.Add(jobs), w.Capacity()
			got := max(float64(all.CPU)/float64(capacity.CPU), float64(all.Memory)/float64(capacity.Memory))
			if got < p.Utilisation-0.08 || got > p.Utilisation+0.01 {
				t.Errorf("%d tasks on %d hosts reserve %.2f of them, want %.2f\n%s", shape[1], shape[0], got, p.Utilisation, w)
			}
		}
	}
}

func TestAWorldOfNothing(t *testing.T) {
	for _, shape := range [][2]int{{0, 0}, {0, 10}, {3, 0}} {
		w := workload.Draw(chance(1), shape[0], shape[1], workload.Published())
		_ = w.String()
		until(t, w.Outcome(chance(1)), 2*day)
	}
}
