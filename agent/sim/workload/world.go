package workload

import (
	"fmt"
	"strings"
	"time"

	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// World is a fleet as it begins: nothing runs yet. It takes a day or two until as
// many jobs run as the law of Little says, since the long ones last hours.
type World struct {
	Preset   Preset // with the rates scaled to the fleet
	Machines []Machine
	Services []Service
	Kinds    []Kind
}

// One job has at most a twentieth of all job tasks, and may always have four: a
// tail of 10,000 tasks is for fleets with room for it. A choice of this package.
const (
	jobShare = 20
	jobLeast = 4
)

// Draw draws a world of so many hosts and, on average, so many running tasks.
func Draw(c *virtual.Chance, hosts, tasks int, p Preset) *World {
	w := &World{Preset: p, Machines: Fleet(c, hosts, p.Shape)}
	if hosts == 0 {
		return w
	}
	jobs := int(float64(tasks)*p.Batch + 0.5)
	w.Services = Services(c, tasks-jobs, RoomOf(w.Machines, p.Utilisation*(1-p.Batch)), p.Mix)
	w.Kinds = Kinds(c, jobs, RoomOf(w.Machines, p.Utilisation*p.Batch), p.Mix)
	w.Preset.Jobs.MostTasks = min(p.Jobs.MostTasks, max(jobs/jobShare, jobLeast))
	if p.Jobs.PerMinute == 0 {
		w.Preset.Jobs = w.Preset.Jobs.filling(float64(jobs))
	}
	return w
}

// Outcome is the stream of all that happens to the world. Each kind of event has a
// chance of its own, so that a change to one moves nothing in another.
func (w *World) Outcome(c *virtual.Chance) Source {
	p, part := w.Preset, func(name string) *virtual.Chance { return virtual.NewChance(c.Uint64(), name) }
	return Merge(
		NewDeployments(part("deployments"), len(w.Services), p.Deploy),
		NewScaling(part("scaling"), w.Services, p.Scale),
		NewJobs(part("jobs"), len(w.Kinds), p.Jobs),
		NewFailures(part("failures"), w.Machines, p.Failures),
	)
}

// Capacity is that of all machines.
func (w *World) Capacity() (all fleet.Resources) {
	for _, m := range w.Machines {
		all = all.Add(m.Capacity)
	}
	return all
}

// Reserved is what services reserve as they are drawn, and jobs on average.
func (w *World) Reserved() (services, jobs fleet.Resources) {
	for i := range w.Services {
		services = services.Add(w.Services[i].Def.Reservation().Times(w.Services[i].Desired))
	}
	for i := range w.Kinds {
		jobs = jobs.Add(w.Kinds[i].Def.Reservation())
	}
	if n := len(w.Kinds); n > 0 {
		each := w.Preset.Jobs.Little().Running() / float64(n)
		jobs = fleet.Resources{CPU: int64(float64(jobs.CPU) * each), Memory: int64(float64(jobs.Memory) * each)}
	}
	return services, jobs
}

// Tasks is how many tasks services want, and how many the largest one does.
func (w *World) Tasks() (all, largest int) {
	for _, s := range w.Services {
		all, largest = all+s.Desired, max(largest, s.Desired)
	}
	return all, largest
}

// String is the block of figures to print beside a result.
func (w *World) String() string {
	var b strings.Builder
	p, capacity := w.Preset, w.Capacity()
	tasks, largest := w.Tasks()
	services, jobs := w.Reserved()
	fmt.Fprintf(&b, "workload    %s\n", p.Name)
	fmt.Fprintf(&b, "machines    %d in %d zones, %d cores, %d GiB\n", len(w.Machines), len(zonesOf(w.Machines)),
		capacity.CPU/1024, capacity.Memory/1024)
	fmt.Fprintf(&b, "services    %d with %d tasks, the largest %d; they reserve %s\n", len(w.Services), tasks, largest,
		shares(services, capacity))
	fmt.Fprintf(&b, "jobs        %s; they reserve %s\n", p.Jobs.Little(), shares(jobs, capacity))
	fmt.Fprintf(&b, "deployments %.1f a day, %.0f %% fail\n",
		perSecond(float64(len(w.Services)), p.Deploy.Every)*day.Seconds(), 100*p.Deploy.Fail)
	fmt.Fprintf(&b, "failures    %s\n", w.failures(30*day))
	return b.String()
}

func (w *World) failures(in time.Duration) string {
	f := Failures{rates: w.Preset.Failures, hosts: len(w.Machines)}
	counts := []float64{0, 0, 0}
	for i, rate := range f.kinds() {
		counts[i] = rate * in.Seconds()
	}
	return fmt.Sprintf("in %.0f days %.1f of hosts, %.2f of zones, %.0f of agents", in.Hours()/24, counts[0], counts[1],
		counts[2])
}

func shares(of, all fleet.Resources) string {
	percent := func(part, whole int64) float64 { return 100 * float64(part) / float64(max(whole, 1)) }
	return fmt.Sprintf("%.1f %% of cpu, %.1f %% of memory", percent(of.CPU, all.CPU), percent(of.Memory, all.Memory))
}
