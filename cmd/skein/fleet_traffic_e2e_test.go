//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// TestE2ETraffic sends requests to every host all the while, and none may fail.
func TestE2ETraffic(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	shop := f.register("h1", "shop", nil)
	f.must(f.at("h2").Send(f.Context(), http.MethodPost, "/v1/services", map[string]any{
		"serviceName": "shop", "taskDefinition": shop, "desiredCount": 3,
		"expose": map[string]any{"listen": 8088, "healthCheckPath": "/healthz"},
	}, nil))
	f.awaitHealthy("h3", "shop", 3)
	f.eventually("every host serves", func() (string, bool) {
		for _, host := range []string{"h1", "h2", "h3"} {
			if _, err := f.ask(http.DefaultClient, host, 8088); err != nil {
				return host + ": " + err.Error(), false
			}
		}
		return "", true
	})
	for _, part := range []struct {
		name string
		run  func(*fleetUnderTest)
	}{
		{"nothing is lost while a service is scaled out and in", (*fleetUnderTest).scaleUnderLoad},
		{"nothing is lost by a rolling update", (*fleetUnderTest).updateUnderLoad},
		{"nothing is lost while agents restart", (*fleetUnderTest).restartUnderLoad},
		{"nothing is lost while an agent is upgraded", (*fleetUnderTest).upgradeUnderLoad},
		{"an agent that is killed loses what was in flight on its host", (*fleetUnderTest).killUnderLoad},
		{"an agent that is held down refuses", (*fleetUnderTest).heldAgentRefuses},
		{"traffic is shifted by weights", (*fleetUnderTest).shiftUnderLoad},
		{"a deleted service takes its listener with it", (*fleetUnderTest).deleteExposed},
	} {
		if !t.Run(part.name,
			func(t *testing.T) { part.run(&fleetUnderTest{TB: t, lab: f.lab, dir: f.dir, image: f.image}) }) {
			return // the next part starts from where this one ends
		}
	}
}

// ask sends one request to a host's ingress and returns the service that answered.
func (f *fleetUnderTest) ask(c *http.Client, host string, port int) (service string, err error) {
	return askURL(c, f.ingressURL(host, port))
}

func (f *fleetUnderTest) ingressURL(host string, port int) string {
	f.Helper()
	return strings.Replace(f.hostURL(host), fmt.Sprint(":", lab.StatusPort), fmt.Sprint(":", port), 1)
}

func askURL(c *http.Client, url string) (service string, err error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, body)
	}
	var id struct {
		Service string `json:"service"`
	}
	return id.Service, json.Unmarshal(body, &id)
}

// load is requests to every host, over connections that are kept and over new ones.
type load struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu     sync.Mutex
	sent   int
	failed []string
	worst  time.Duration
}

// startLoad sends requests to every host until stop.
func (f *fleetUnderTest) startLoad(port int) *load {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	l := &load{cancel: cancel}
	f.Cleanup(cancel)
	for _, host := range []string{"h1", "h2", "h3"} {
		url := f.ingressURL(host, port)
		for _, keep := range []bool{true, false} {
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: !keep}, Timeout: 20 * time.Second}
			l.done.Go(func() {
				defer c.CloseIdleConnections()
				for pace := time.NewTicker(10 * time.Millisecond); ctx.Err() == nil; <-pace.C {
					began := time.Now()
					_, err := askURL(c, url)
					l.count(url, err, time.Since(began))
				}
			})
		}
	}
	return l
}

func (l *load) count(url string, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	l.worst = max(l.worst, took)
	if err != nil {
		l.failed = append(l.failed, fmt.Sprintf("%s %s: %v", time.Now().Format("15:04:05.000"), url, err))
	}
}

// stop ends the load; each request that failed fails the test.
func (l *load) stop(f *fleetUnderTest) {
	f.Helper()
	sent, failed := l.end()
	f.Logf("%d requests, %d failed, slowest %s", sent, len(failed), l.slowest())
	if len(failed) > 0 {
		f.Errorf("%d of %d requests failed, the first: %s", len(failed), sent, failed[0])
	}
	if sent < 100 {
		f.Errorf("no more than %d requests were sent", sent)
	}
}

func (l *load) end() (sent int, failed []string) {
	l.cancel()
	l.done.Wait()
	return l.sent, l.failed
}

func (l *load) slowest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.worst.Round(time.Millisecond)
}

// newClient connects anew for each request.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
}

func (f *fleetUnderTest) scaleUnderLoad() {
	l := f.startLoad(8088)
	for _, desired := range []int{6, 3} {
		f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/services/shop/scale",
			types.ScaleBody{Desired: desired}, nil))
		f.awaitHealthy("h2", "shop", desired)
		f.eventually("what is surplus is gone", func() (string, bool) {
			n := len(f.tasks("h2", "shop"))
			return fmt.Sprint(n, " tasks"), n == desired
		})
	}
	l.stop(f)
}

func (f *fleetUnderTest) updateUnderLoad() {
	next := f.register("h1", "shop", func(c map[string]any) {
		c["environment"] = []any{map[string]any{"name": "VERSION", "value": "2"}}
	})
	l := f.startLoad(8088)
	f.must(f.at("h2").Send(f.Context(), http.MethodPatch, "/v1/services/shop",
		map[string]any{"taskDefinition": next}, nil))
	f.eventually("the update ends", func() (string, bool) {
		s, err := f.service("h3", "shop")
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v", s), s.Steady && s.TaskDef == next && s.Old == 0
	})
	l.stop(f)
}

func (f *fleetUnderTest) shiftUnderLoad() {
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/target-groups", map[string]any{"name": "cart",
		"protocolVersion": "HTTP1", "healthCheck": map[string]any{"path": "/healthz"}}, nil))
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/services", map[string]any{
		"serviceName": "cart", "taskDefinition": f.register("h1", "cart", nil), "desiredCount": 2,
		"loadBalancers": []any{map[string]any{"targetGroupArn": "cart", "containerName": "web", "containerPort": 8080}},
	}, nil))
	f.awaitHealthy("h1", "cart", 2)
	const maxOff = 12
	l := f.startLoad(8088)
	for _, weight := range []int{500, 5_000, 0} {
		f.must(f.at("h3").Send(f.Context(), http.MethodPost, "/v1/listeners/shop-8088/rules/default/weights",
			types.WeightsBody{Weights: []types.GroupWeight{{Group: "shop-blue", Weight: 10_000 - weight},
				{Group: "cart", Weight: weight}}}, nil))
		for _, host := range []string{"h1", "h2", "h3"} {
			url := f.ingressURL(host, 8088)
			f.eventually(fmt.Sprintf("%s gives cart its share of %d", host, weight), func() (string, bool) {
				const n = 400
				carts := 0
				for range n {
					service, err := askURL(http.DefaultClient, url)
					f.must(err)
					if service == "cart" {
						carts++
					}
				}
				off := carts - n*weight/10_000 // the load is given some of each share
				return fmt.Sprintf("%d of %d", carts, n), off <= maxOff && off >= -maxOff && (weight > 0 || carts == 0)
			})
		}
	}
	l.stop(f)
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/listeners/shop-8088/rules/default/weights",
		types.WeightsBody{Weights: []types.GroupWeight{{Group: "shop-blue", Weight: 10_000}}}, nil))
	f.remove("h1", "cart")
	f.must(f.at("h1").Send(f.Context(), http.MethodDelete, "/v1/target-groups/cart", types.PlainBody{}, nil))
}

func (f *fleetUnderTest) deleteExposed() {
	f.remove("h2", "shop")
	f.eventually("nobody listens any more", func() (string, bool) {
		routes, err := get[types.Listeners](f, "h3", "/v1/listeners")
		if err != nil || len(routes.Listeners) > 0 {
			return fmt.Sprintf("%+v %v", routes.Listeners, err), false
		}
		for _, host := range []string{"h1", "h2", "h3"} {
			if service, err := f.ask(newClient(), host, 8088); err == nil {
				return host + " still serves " + service, false
			}
		}
		return "", true
	})
}
