package workload_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"skein/agent/sim/workload"
)

func TestDeploymentsComeAtWork(t *testing.T) {
	const n, days = 100, 700
	p := workload.Published()
	byHour, fails, versions := map[bool]int{}, 0, map[int]int{}
	all := until(t, workload.NewDeployments(chance(1), n, p.Deploy), days*day)
	for _, h := range all {
		d := h.what.(workload.Deploy)
		at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(h.at) // a Monday
		weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
		byHour[!weekend && at.Hour() >= 9 && at.Hour() < 17]++
		if d.Fails {
			fails++
		}
		if versions[d.Service]++; d.Version != versions[d.Service]+1 {
			t.Fatalf("service %d gets version %d after %d", d.Service, d.Version, versions[d.Service])
		}
	}
	total := float64(len(all))
	near(t, "days between two", n*days/total, 3, 0.06)
	near(t, "in working hours", float64(byHour[true])/total, 0.70, 0.02)
	near(t, "that fail", float64(fails)/total, 0.10, 0.01)
}

func TestScalingFollowsTheDay(t *testing.T) {
	list := []workload.Service{{Desired: 1000, Follows: true}, {Desired: 1000}, {Desired: 1, Follows: true}}
	r := workload.Published().Scale
	all := until(t, workload.NewScaling(chance(1), list, r), 3*day)
	most, least, at := 0, math.MaxInt, time.Duration(0)
	for _, h := range all {
		s := h.what.(workload.Scale)
		if s.Service != 0 {
			t.Fatalf("service %d does not follow, or cannot", s.Service)
		}
		least = min(least, s.Desired)
		if s.Desired > most {
			most, at = s.Desired, h.at
		}
	}
	near(t, "most", float64(most), 1400, 1)
	near(t, "least", float64(least), 600, 1)
	near(t, "hour of the most", (at % day).Hours(), 15, 1)
	if n := len(all); n > int(3*day/r.Step) || n < 500 {
		t.Errorf("%d steps in three days", n)
	}
}

func TestScalingThatNeverChangesEnds(t *testing.T) {
	list := []workload.Service{{Desired: 1000, Follows: true}}
	if n := len(until(t, workload.NewScaling(chance(1), list, workload.ScaleRates{Swing: 0.4, Step: day}),
		30*day)); n > 1 {
		t.Errorf("%d changes, though each step is at the same time of day", n)
	}
}

// What the law of Little says is what comes.
func TestJobsKeepAsManyRunningAsMeant(t *testing.T) {
	const days = 60
	w := workload.Draw(chance(4), 100, 4000, workload.Published())
	law := w.Preset.Jobs.Little()
	near(t, "meant to run", law.Running(), 1000, 1)
	jobs, tasks, seconds := 0.0, 0.0, 0.0
	for s := workload.NewJobs(chance(4), len(w.Kinds), w.Preset.Jobs); ; {
		at, what := s.Next()
		if at > days*day {
			break
		}
		jobs++
		for _, l := range what.(workload.Job).Lives {
			tasks++
			seconds += l.Lasts.Seconds()
		}
	}
	within := func(what string, got, want, share float64) { t.Helper(); near(t, what, got, want, share*want) }
	within("jobs a minute", jobs/(days*24*60), law.JobsPerMinute, 0.02)
	within("tasks a job", tasks/jobs, law.TasksPerJob, 0.03)
	within("mean lifetime", seconds/tasks, law.Lifetime.Seconds(), 0.05)
	within("running", seconds/(days*day).Seconds(), law.Running(), 0.06)
}

// The mixture's mean is 5,300 s, and 259 s where only the first two parts are
// taken, 90 to 10.
func TestMeanLifetimesAreThePublishedOnes(t *testing.T) {
	r := workload.Published().Jobs
	near(t, "mean of the mixture", r.Little().Lifetime.Seconds(), 5_300, 50)
	r.Lifetimes = r.Lifetimes[:2]
	r.Lifetimes[0].Share, r.Lifetimes[1].Share = 0.9, 0.1
	near(t, "mean of the quick ones", r.Little().Lifetime.Seconds(), 259, 2)
}

func TestJobsHaveTheirShares(t *testing.T) {
	r := workload.Published().Jobs
	r.PerMinute = 20
	byHour, exits, single, tasks := [24]float64{}, map[workload.Exit]float64{}, 0.0, 0.0
	all := until(t, workload.NewJobs(chance(6), 5, r), 10*day)
	for _, h := range all {
		byHour[h.at%day/time.Hour]++
		lives := h.what.(workload.Job).Lives
		if len(lives) == 1 {
			single++
		}
		for _, l := range lives {
			exits[l.Exit]++
			tasks++
		}
	}
	// Of the others, those below two are one too: 1 - 2^-0.9 of them.
	near(t, "of one task", single/float64(len(all)), 0.75+0.25*(1-math.Pow(2, -0.9)), 0.01)
	for i, want := range r.Exits {
		near(t, fmt.Sprint(workload.Exit(i)), exits[workload.Exit(i)]/tasks, want, 0.01)
	}
	near(t, "afternoon to night", byHour[15]/byHour[3], 3, 0.5)
}

func TestJobsComeInBursts(t *testing.T) {
	r := workload.Published().Jobs
	r.PerMinute, r.Swing = 60, 0
	counts := map[time.Duration]float64{}
	for _, h := range until(t, workload.NewJobs(chance(6), 5, r), 5*day) {
		counts[h.at/(20*time.Second)]++
	}
	bursts := 0.0
	for _, n := range counts {
		if n > 70 { // a second's rate is 1: 20 without a burst, up to 200 with one
			bursts++
		}
	}
	near(t, "bursts", bursts, 0.1*5*24*6, 40)
}

func TestFailuresComeAtTheirRates(t *testing.T) {
	const days = 3000
	w := workload.Draw(chance(1), 100, 100, workload.Published())
	r := w.Preset.Failures
	count, reboots := map[string]float64{}, 0.0
	for _, h := range until(t, workload.NewFailures(chance(2), w.Machines, r), days*day) {
		count[fmt.Sprintf("%T", h.what)]++
		if f, ok := h.what.(workload.HostFails); ok && f.After == r.Reboot {
			reboots++
		}
	}
	near(t, "hosts", count["workload.HostFails"], 100*days/120, 150)
	near(t, "zones", count["workload.ZoneFails"], days/90, 18)
	near(t, "agents", count["workload.AgentCrashes"], 100*days/10, 600)
	near(t, "reboots", reboots/count["workload.HostFails"], 1-r.Repair, 0.04)
}

func TestASteadyFleetHasFewEvents(t *testing.T) {
	count := func(p workload.Preset) int {
		return len(until(t, workload.Draw(chance(1), 100, 2000, p).Outcome(chance(1)), 10*day))
	}
	busy, steady := count(workload.Published()), count(workload.Steady())
	if steady > busy/20 || steady == 0 {
		t.Errorf("%d events in ten days, %d in a published fleet", steady, busy)
	}
}

func TestPresetsAreFoundByName(t *testing.T) {
	for _, want := range []string{"published", "steady"} {
		if p, ok := workload.ByName(want); !ok || p.Name != want {
			t.Errorf("%q: got %q", want, p.Name)
		}
	}
	if _, ok := workload.ByName("busy"); ok {
		t.Error("there is no preset called busy")
	}
}

func BenchmarkLife(b *testing.B) {
	s := workload.Draw(chance(1), 1000, 20_000, workload.Published()).Outcome(chance(1))
	for b.Loop() {
		s.Next()
	}
	b.ReportAllocs()
}
