//go:build e2e

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

const (
	// weightChanges is how often all traffic goes from one service to the other and back.
	weightChanges = 60
	// weightLook is how often each host is asked who answers.
	weightLook = 2 * time.Millisecond
)

// BenchmarkWeightChange is how long a change of weights takes on five hosts, from when the agent
// says that it is committed, and from when it was asked for, until the last host serves it: what
// clients see, who ask each host every 2 ms.
func BenchmarkWeightChange(b *testing.B) {
	f := newFleet(b, lab.UpOptions{Zones: []string{"a", "b", "c", "a", "b"}})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 5, 3)
	services := []string{"blue", "green"}
	for _, name := range services {
		f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/target-groups",
			map[string]any{"name": name, "protocolVersion": "HTTP1"}, nil))
		f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/services", map[string]any{
			"serviceName": name, "taskDefinition": f.register("h1", name, nil), "desiredCount": 1,
			"loadBalancers": []any{map[string]any{"targetGroupArn": name, "containerName": "web", "containerPort": 8080}},
		}, nil))
	}
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/listeners", map[string]any{"name": "web", "port": 8088,
		"protocol": "HTTP", "defaultAction": types.Action{Forward: &types.Forward{Groups: weightsAll("blue")}}}, nil))
	for _, name := range services {
		f.awaitHealthy("h1", name, 1)
	}
	w := f.watchHosts([]string{"h1", "h2", "h3", "h4", "h5"}, 8088)
	w.await(f, "blue", time.Time{})
	for b.Loop() {
		var committed, asked []time.Duration
		for i := range weightChanges {
			to := services[(i+1)%2]
			began := time.Now()
			f.must(f.at(fmt.Sprint("h", i%5+1)).Send(f.Context(), http.MethodPost,
				"/v1/listeners/web/rules/default/weights", types.WeightsBody{Weights: weightsAll(to)}, nil))
			said := time.Now()
			last := w.await(f, to, began)
			committed, asked = append(committed, max(last.Sub(said), 0)), append(asked, last.Sub(began))
		}
		report(b, "committed", committed)
		report(b, "asked", asked)
	}
}

func report(b *testing.B, what string, took []time.Duration) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), what+"-median-ms")
	b.ReportMetric(ms(took[len(took)*9/10]), what+"-p90-ms")
	b.ReportMetric(ms(took[len(took)-1]), what+"-worst-ms")
}

func weightsAll(group string) []types.GroupWeight {
	return []types.GroupWeight{{Group: group, Weight: 10_000}}
}

// hostsWatch is who answers at each host.
type hostsWatch struct {
	mu    sync.Mutex
	hosts map[string]answering
	moved chan struct{} // one is enough
}

// answering is the service that answered a host last, and since when.
type answering struct {
	service string
	since   time.Time
	err     error
}

// watchHosts asks hosts all the time, until the test ends.
func (f *fleetUnderTest) watchHosts(hosts []string, port int) *hostsWatch {
	f.Helper()
	w := &hostsWatch{hosts: map[string]answering{}, moved: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(f.Context())
	var asking sync.WaitGroup
	f.Cleanup(func() { cancel(); asking.Wait() })
	for _, host := range hosts {
		url := f.ingressURL(host, port)
		w.hosts[host] = answering{}
		asking.Go(func() {
			c := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			defer c.CloseIdleConnections()
			for pace := time.NewTicker(weightLook); ctx.Err() == nil; <-pace.C {
				service, err := askURL(c, url)
				w.note(host, service, err)
			}
		})
	}
	return w
}

func (w *hostsWatch) note(host, service string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if was := w.hosts[host]; was.service != service || (was.err == nil) != (err == nil) {
		w.hosts[host] = answering{service, time.Now(), err}
		select {
		case w.moved <- struct{}{}:
		default:
		}
	}
}

// await returns when the last host began to serve the service, which it did not before began.
func (w *hostsWatch) await(f *fleetUnderTest, service string, began time.Time) (last time.Time) {
	f.Helper()
	limit := time.NewTimer(within)
	defer limit.Stop()
	for {
		w.mu.Lock()
		all, seen := true, fmt.Sprintf("%+v", w.hosts)
		last = began
		for _, a := range w.hosts {
			all = all && a.service == service && a.err == nil
			if a.since.After(last) {
				last = a.since
			}
		}
		w.mu.Unlock()
		if all {
			return last
		}
		select {
		case <-w.moved:
		case <-limit.C:
			f.Fatalf("not all hosts serve %s within %s: %s", service, within, seen)
		}
	}
}
