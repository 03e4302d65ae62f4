package workload_test

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"testing"

	"skein/agent/sim/workload"
	"skein/raftfsm/fleet"
)

// near fails unless a figure is within so much of what it should be.
func near(t *testing.T, what string, got, want, by float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > by {
		t.Errorf("%s: got %.4g, want %.4g to within %.2g", what, got, want, by)
	}
}

func TestMachinesHaveTheirShares(t *testing.T) {
	const n = 20_000
	zones, types := map[string]float64{}, map[string]float64{}
	for _, m := range workload.Fleet(chance(1), n, workload.Mixed()) {
		zones[m.Zone] += 1.0 / n
		types[m.Type] += 1.0 / n
	}
	for i, want := range []float64{0.40, 0.35, 0.25} {
		near(t, "zone", zones[string(rune('a'+i))], want, 0.0001)
	}
	for _, want := range workload.Mixed().Types {
		near(t, "type "+want.Name, types[want.Name], want.Share, 0.015)
	}
}

func TestEvenASmallFleetHasAllItsZones(t *testing.T) {
	for hosts := 3; hosts < 20; hosts++ {
		zones := map[string]bool{}
		for _, m := range workload.Fleet(chance(uint64(hosts)), hosts, workload.Mixed()) {
			zones[m.Zone] = true
		}
		if len(zones) != 3 {
			t.Errorf("%d hosts are in %d zones", hosts, len(zones))
		}
	}
}

func TestAUniformFleetIsUniform(t *testing.T) {
	capacity := fleet.Resources{CPU: 8192, Memory: 32768}
	for _, m := range workload.Fleet(chance(1), 100, workload.Uniform(capacity)) {
		if m.Capacity != capacity {
			t.Fatalf("%+v", m)
		}
	}
}

// services are many on machines that have room for any.
func services(tasks int) []workload.Service {
	room := workload.Room{
		Hosts: tasks, Target: fleet.Resources{CPU: 650 * int64(tasks), Memory: 1 << 40},
		Most: fleet.Resources{CPU: 1 << 20, Memory: 1 << 20},
	}
	return workload.Services(chance(3), tasks, room, workload.Published().Mix)
}

// The figures beside the table that the sizes come from: of a million tasks the
// largest service has 20 %, the median one 3, 47 % have at most 2, and the top
// 1 % have 80 %.
func TestSizesOfServicesAreZipfs(t *testing.T) {
	const tasks = 1_000_000
	all := services(tasks)
	sum, top, few := 0, 0, 0
	for i, s := range all {
		sum += s.Desired
		if i < len(all)/100 {
			top += s.Desired
		}
		if s.Desired <= 2 {
			few++
		}
		if i > 0 && s.Desired > all[i-1].Desired {
			t.Fatalf("service %d is larger than the one before", i)
		}
	}
	if len(all) != tasks/50 || sum != tasks {
		t.Fatalf("%d services have %d tasks", len(all), sum)
	}
	near(t, "largest", float64(all[0].Desired)/tasks, 0.20, 0.02)
	near(t, "top 1 %", float64(top)/tasks, 0.80, 0.02)
	near(t, "at most 2", float64(few)/float64(len(all)), 0.47, 0.02)
	near(t, "median", float64(all[len(all)/2].Desired), 3, 0)
}

func TestTasksHaveTheirClasses(t *testing.T) {
	const tasks = 200_000
	byCPU := map[int64]float64{}
	for _, s := range services(tasks) {
		byCPU[s.Def.Containers[0].CPU] += float64(s.Desired) / tasks
	}
	sizes := slices.Sorted(maps.Keys(byCPU))
	shares := []float64{0.05, 0.10, 0.35, 0.25, 0.15, 0.07, 0.03}
	if len(sizes) != len(shares) {
		t.Fatalf("%v", byCPU)
	}
	for i, want := range shares {
		near(t, "cpu class", byCPU[sizes[i]], want, 0.02)
	}
}

func TestServicesHaveTheirShares(t *testing.T) {
	all := services(500_000)
	share := func(of func(*workload.Service, *fleet.Container) bool) float64 {
		n := 0
		for i := range all {
			if of(&all[i], &all[i].Def.Containers[0]) {
				n++
			}
		}
		return float64(n) / float64(len(all))
	}
	type (
		service   = *workload.Service
		container = *fleet.Container
	)
	port := func(c container, fixed bool) bool {
		return len(c.PortMappings) == 1 && (c.PortMappings[0].HostPort > 0) == fixed
	}
	near(t, "soft", share(func(_ service, c container) bool { return c.MemoryReservation > 0 }), 0.5, 0.02)
	near(t, "dynamic", share(func(_ service, c container) bool { return port(c, false) }), 0.60, 0.02)
	near(t, "fixed", share(func(_ service, c container) bool { return port(c, true) }), 0.02, 0.005)
	near(t, "checked", share(func(s service, _ container) bool { return s.Def.Checked() }), 0.70, 0.02)
	near(t, "follows", share(func(s service, _ container) bool { return s.Follows }), 0.30, 0.02)
	near(t, "100/200", share(func(s service, _ container) bool { return s.MinPercent == 100 && s.MaxPercent == 200 }),
		0.78, 0.04)
}

// A service whose bounds leave neither a start nor a stop would be stuck for
// ever, also when it is scaled down.
func TestBoundsLeaveRoomToMove(t *testing.T) {
	for _, s := range services(100_000) {
		for _, desired := range []int{s.Desired, max(1, int(math.Round(0.6*float64(s.Desired))))} {
			least, most := (desired*s.MinPercent+99)/100, desired*s.MaxPercent/100
			if least >= desired && most <= desired {
				t.Fatalf("%d tasks at %d/%d cannot move", desired, s.MinPercent, s.MaxPercent)
			}
		}
	}
}

func TestFixedPortsDoNotMeet(t *testing.T) {
	taken := map[int]string{}
	w := workload.Draw(chance(2), 1000, 20_000, workload.Published())
	for _, s := range w.Services {
		for _, p := range s.Def.Containers[0].PortMappings {
			if other := taken[p.HostPort]; p.HostPort > 0 && other != "" {
				t.Errorf("%s and %s want port %d", s.Name, other, p.HostPort)
			}
			taken[p.HostPort] = s.Name
			if p.HostPort > 0 && 3*s.Desired > len(w.Machines) {
				t.Errorf("%s wants port %d on %d hosts", s.Name, p.HostPort, s.Desired)
			}
		}
	}
	if len(taken) < 2 {
		t.Error("no service has a fixed port")
	}
}

func TestNoTaskIsTooLargeToMove(t *testing.T) {
	for seed := range uint64(30) {
		w := workload.Draw(chance(seed), 9, 90, workload.Published())
		slices.SortFunc(w.Machines, func(a, b workload.Machine) int { return cmp.Compare(a.Capacity.CPU, b.Capacity.CPU) })
		for _, s := range w.Services {
			if r := s.Def.Reservation(); r.CPU > w.Machines[4].Capacity.CPU/4 {
				t.Fatalf("seed %d: a task of %+v on machines like %+v", seed, r, w.Machines[4])
			}
		}
	}
}
