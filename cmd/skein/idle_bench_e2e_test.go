//go:build e2e

package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

const (
	// idleWindow is one sample of an idle agent, idleWindows is how many are taken.
	idleWindow  = 10 * time.Second
	idleWindows = 6
	// failovers is how often a leader is taken away each way.
	failovers = 3
	// writers is how many orders are under way at any moment while a leader dies.
	writers = 8
)

// BenchmarkIdle is what agents cost that have nothing to do: three hosts with six
// tasks and a worker without one, for a minute. Rows of each role are the share of a
// core, wake-ups (voluntary context switches) a second and resident memory; then
// how long the same agents take to write again without their leader, and how long a
// write takes that was under way when it died.
func BenchmarkIdle(b *testing.B) {
	f := newFleet(b, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	_, err = f.lab.Add(f.Context(), "a")
	f.must(err)
	f.awaitReady("h1", 4, 3)
	f.create("h2", "web", f.register("h3", "web", nil), 6)
	f.awaitHealthy("h1", "web", 6)
	for b.Loop() {
		f.idle(b)
		f.failover(b, "agent-killed-to-write-ms", f.lab.KillAgent)
		f.failover(b, "power-off-to-write-ms", f.lab.Kill)
		f.inFlight(b, "agent-killed-in-flight-ms", f.lab.KillAgent)
		f.inFlight(b, "power-off-in-flight-ms", f.lab.Kill)
	}
}

// agentCost is what an agent has used, or uses.
type agentCost struct {
	cpu      time.Duration
	wakes    int
	resident int // bytes
}

// waitWindow lets agents be idle for as long as they are measured.
func waitWindow() { time.Sleep(idleWindow) }

// idle reports the median of windows, over all agents of a role, and its spread.
func (f *fleetUnderTest) idle(b *testing.B) {
	f.Helper()
	pids := f.agents()
	samples := map[string][]float64{}
	for range idleWindows {
		before := map[string]agentCost{}
		for name, pid := range pids {
			before[name] = f.costOf(pid)
		}
		waitWindow()
		for name, pid := range pids {
			was, is := before[name], f.costOf(pid)
			role, _, _ := strings.Cut(name, " ")
			add := func(unit string, v float64) { samples[role+"-"+unit] = append(samples[role+"-"+unit], v) }
			add("cpu-%", 100*(is.cpu-was.cpu).Seconds()/idleWindow.Seconds())
			add("wakes/s", float64(is.wakes-was.wakes)/idleWindow.Seconds())
			add("MiB", float64(is.resident)/(1<<20))
		}
	}
	for unit, values := range samples {
		reportMedian(b, unit, values)
	}
}

// reportMedian reports a median, and the distance between the quartiles as a part of it.
func reportMedian(b *testing.B, unit string, values []float64) {
	slices.Sort(values)
	n := len(values)
	median := values[n/2]
	b.ReportMetric(median, unit)
	b.ReportMetric((values[3*n/4]-values[n/4])/median, unit+"-spread")
}

// agents are the agents' processes, by role and name of their host.
func (f *fleetUnderTest) agents() map[string]int {
	f.Helper()
	view, err := f.lab.List(f.Context())
	f.must(err)
	hosts, err := get[types.Hosts](f, "h1", "/v1/hosts")
	f.must(err)
	pids := map[string]int{}
	for _, h := range hosts.Hosts {
		at := slices.IndexFunc(view.Hosts, func(v lab.HostView) bool { return v.Name == h.Name })
		role := h.Role
		if h.Name == f.leader("h1") {
			role = "leader"
		}
		pids[role+" "+h.Name] = view.Hosts[at].AgentPID
	}
	return pids
}

func (f *fleetUnderTest) leader(via string) string {
	f.Helper()
	var name string
	f.eventually("there is a leader", func() (string, bool) {
		s, err := get[types.Status](f, via, "/v1/status")
		if err != nil || s.Leader == nil {
			return fmt.Sprint(err), false
		}
		name = s.Leader.Name
		return name, true
	})
	return name
}

// costOf adds up a process's threads. Those of a Go program do not end while it idles.
func (f *fleetUnderTest) costOf(pid int) (c agentCost) {
	f.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	f.must(err)
	for _, thread := range threads {
		schedule, err := os.ReadFile(thread + "/schedstat")
		f.must(err)
		ran, err := strconv.ParseInt(strings.Fields(string(schedule))[0], 10, 64)
		f.must(err)
		c.cpu += time.Duration(ran)
		c.wakes += f.procField(thread+"/status", "voluntary_ctxt_switches")
	}
	c.resident = f.procField(fmt.Sprintf("/proc/%d/status", pid), "VmRSS") << 10
	return c
}

func (f *fleetUnderTest) procField(path, name string) int {
	f.Helper()
	file, err := os.Open(path)
	f.must(err)
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); key == name {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			f.must(err)
			return n
		}
	}
	f.Fatalf("%s has no %s", path, name)
	return 0
}

// failover takes the leader away, and reports how long an order at another voter
// takes that is given at that moment.
func (f *fleetUnderTest) failover(b *testing.B, unit string, take func(ctx context.Context, host string) error) {
	f.Helper()
	var took []float64
	for i := range failovers {
		leader := f.leader("h1")
		other := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}[leader]
		f.must(take(f.Context(), leader))
		began := time.Now()
		f.eventually("an order is taken", func() (string, bool) {
			err := f.at(other).Send(f.Context(), http.MethodPost, "/v1/services/web/scale",
				map[string]any{"desiredCount": 6 + i%2}, nil)
			return fmt.Sprint(err), err == nil
		})
		took = append(took, float64(time.Since(began).Milliseconds()))
		f.must(f.lab.Start(f.Context(), leader))
		f.awaitReady(other, 4, 3)
	}
	reportMedian(b, unit, took)
}

// inFlight takes the leader away while orders are given at another voter one after the
// other, and reports how long those took that were under way then.
func (f *fleetUnderTest) inFlight(b *testing.B, unit string, take func(ctx context.Context, host string) error) {
	f.Helper()
	var took []float64
	for range failovers {
		leader := f.leader("h1")
		other := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}[leader]
		agent := f.at(other)
		ctx, stop := context.WithCancel(f.Context())
		var lasting sync.WaitGroup
		longest := make([]time.Duration, writers)
		for i := range writers {
			lasting.Go(func() { longest[i] = f.orders(ctx, agent, i) })
		}
		f.must(take(f.Context(), leader))
		f.eventually("an order is taken", func() (string, bool) {
			err := writeOnce(f.Context(), agent, writers, 0)
			return fmt.Sprint(err), err == nil
		})
		stop()
		lasting.Wait()
		for _, d := range longest {
			took = append(took, float64(d.Milliseconds()))
		}
		f.must(f.lab.Start(f.Context(), leader))
		f.awaitReady(other, 4, 3)
	}
	reportMedian(b, unit, took)
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/hosts/h4/uncordon", types.PlainBody{}, nil))
}

// orders gives orders until the context ends, and returns how long the longest took:
// the one that was under way when the leader died.
func (f *fleetUnderTest) orders(ctx context.Context, agent *client.Client, writer int) (longest time.Duration) {
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		if err := writeOnce(f.Context(), agent, writer, n); err != nil {
			f.Logf("order %d of writer %d, after %s: %v", n, writer, time.Since(began), err)
		}
		longest = max(longest, time.Since(began))
	}
	return longest
}

// writeOnce is a small write: each changes the reason why no work comes to the worker.
func writeOnce(ctx context.Context, agent *client.Client, writer, n int) error {
	return agent.Send(ctx, http.MethodPost, "/v1/hosts/h4/cordon",
		types.CordonBody{Why: fmt.Sprintf("order %d of writer %d", n, writer)}, nil)
}
