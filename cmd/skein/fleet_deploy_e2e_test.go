//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// TestE2EDeployments rolls out versions, good ones and bad ones, by each strategy, while
// every host is sent requests. None may fail that a good version answers.
func TestE2EDeployments(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	f.must(f.at("h1").Send(f.Context(), http.MethodPost, "/v1/hook-targets", map[string]any{"target": "task:hook"}, nil))
	d := &deployments{fleetUnderTest: f}
	d.createShop()
	for _, part := range []struct {
		name string
		run  func(*deployments)
	}{
		{"a rolling update is a deployment", (*deployments).rolling},
		{"blue/green calls a task hook, bakes, and reads as it was written", (*deployments).blueGreen},
		{"a canary waits after its step", (*deployments).canary},
		{"linear shifts goes in steps, also with the leader killed at each", (*deployments).linearWithoutLeaders},
		{"an operator rolls back in the bake", (*deployments).rollBack},
		{"a hook that fails rolls back", (*deployments).failingHook},
		{"a version that never is healthy rolls back", (*deployments).unhealthy},
		{"a version that fails half of its requests rolls back", (*deployments).failingRequests},
		{"a person holds a deployment, and a newer one takes over", (*deployments).takeOver},
		{"a rolling version that dies trips the circuit breaker", (*deployments).breaker},
	} {
		if !t.Run(part.name, func(t *testing.T) {
			part.run(&deployments{fleetUnderTest: &fleetUnderTest{TB: t, lab: f.lab, dir: f.dir, image: f.image}})
		}) {
			return // the next part starts from where this one ends
		}
	}
}

// deployments is the fleet with the service shop at port 8088 of every host, and a
// definition named hook that may be called.
type deployments struct{ *fleetUnderTest }

const deployTasks = 2

func (d *deployments) createShop() {
	d.must(d.at("h2").Send(d.Context(), http.MethodPost, "/v1/services", map[string]any{
		"serviceName": "shop", "taskDefinition": d.version("1"), "desiredCount": deployTasks,
		"expose":                  map[string]any{"listen": 8088, "healthCheckPath": "/healthz"},
		"deploymentConfiguration": map[string]any{"strategy": "ROLLING", "bakeTimeInMinutes": 0},
	}, nil))
	d.awaitHealthy("h3", "shop", deployTasks)
	d.await("shop", "SUCCESSFUL")
	d.eventually("every host serves", func() (string, bool) {
		for _, host := range []string{"h1", "h2", "h3"} {
			if _, err := d.ask(http.DefaultClient, host, 8088); err != nil {
				return host + ": " + err.Error(), false
			}
		}
		return "", true
	})
}

// version registers a version of shop with more flags of the web command.
func (d *deployments) version(name string, flags ...string) string {
	d.Helper()
	return d.register("h1", "shop", func(c map[string]any) {
		c["environment"] = []any{map[string]any{"name": "VERSION", "value": name}}
		c["command"] = append([]string{"web", "--listen", ":8080"}, flags...)
	})
}

// hook registers the definition of a task hook that ends as its command does.
func (d *deployments) hook(command ...string) {
	d.Helper()
	d.register("h1", "hook", func(c map[string]any) {
		c["command"] = command
		delete(c, "portMappings")
		delete(c, "healthCheck")
	})
}

// deploy begins a deployment of a version.
func (d *deployments) deploy(version string, config map[string]any) (id string) {
	d.Helper()
	var answer struct {
		ID string `json:"deploymentId"`
	}
	d.must(d.at("h2").Send(d.Context(), http.MethodPatch, "/v1/services/shop",
		map[string]any{"taskDefinition": version, "deploymentConfiguration": config}, &answer))
	if answer.ID == "" {
		d.Fatal("no deployment was made")
	}
	return answer.ID
}

func (d *deployments) deployment(id string) (types.Deployment, error) {
	for _, host := range []string{"h1", "h2", "h3"} {
		one, err := get[types.Deployment](d.fleetUnderTest, host, "/v1/deployments/"+id)
		if err == nil {
			return one, nil
		}
		d.Logf("%s: %v", host, err)
	}
	return types.Deployment{}, fmt.Errorf("no host answers")
}

// awaitStage waits until a deployment is in a stage.
func (d *deployments) awaitStage(id, stage string) types.Deployment {
	d.Helper()
	return d.awaitThat(id, stage, func(one types.Deployment) bool { return one.Stage == stage })
}

// await waits until a deployment has ended, as it should.
func (d *deployments) await(id, status string) types.Deployment {
	d.Helper()
	one := d.awaitThat(id, "has ended", func(one types.Deployment) bool { return !one.EndedAt.IsZero() })
	if one.Status != status {
		d.Fatalf("%s is %s, not %s: %s", id, one.Status, status, one.Reason)
	}
	return one
}

func (d *deployments) awaitThat(id, what string, holds func(types.Deployment) bool) (one types.Deployment) {
	d.Helper()
	d.eventually(id+": "+what, func() (string, bool) {
		var err error
		if one, err = d.deployment(id); err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%s %s step %d, waits for %q, %s", one.Status, one.Stage, one.Step, one.Waits,
			one.Reason), holds(one)
	})
	return one
}

// answersAre asks every host, and fails unless the revision answers each time.
func (d *deployments) answersAre(revision string) {
	d.Helper()
	for _, host := range []string{"h1", "h2", "h3"} {
		for range 20 {
			got, err := d.revisionAt(host)
			d.must(err)
			if got != revision {
				d.Fatalf("%s answers with %s, not %s", host, got, revision)
			}
		}
	}
}

func (d *deployments) revisionAt(host string) (string, error) {
	request, err := http.NewRequest(http.MethodGet, d.ingressURL(host, 8088), nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var id struct{ Revision string }
	return id.Revision, json.NewDecoder(response.Body).Decode(&id)
}

// written is all that people may have written of listeners and rules.
func (d *deployments) written() string {
	d.Helper()
	all, err := get[types.Listeners](d.fleetUnderTest, "h1", "/v1/listeners")
	d.must(err)
	for i := range all.Listeners {
		for j := range all.Listeners[i].Rules {
			all.Listeners[i].Rules[j].ModifyIndex = 0
		}
	}
	text, err := json.Marshal(all.Listeners)
	d.must(err)
	return string(text)
}

func (d *deployments) rolling() {
	l := d.startLoad(8088)
	id := d.deploy(d.version("2"), map[string]any{"strategy": "ROLLING", "bakeTimeInMinutes": 0.05})
	one := d.await(id, "SUCCESSFUL")
	d.answersAre(one.Target.Revision)
	l.stop(d.fleetUnderTest)
}

func (d *deployments) blueGreen() {
	d.hook("version")
	written := d.written()
	l := d.startLoad(8088)
	id := d.deploy(d.version("3"), map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0.1,
		"lifecycleHooks": []any{map[string]any{"targetType": "TASK", "hookTargetArn": "hook",
			"lifecycleStages": []string{"POST_SCALE_UP", "BAKE_TIME"}}}})
	baking := d.awaitStage(id, "BAKE_TIME")
	if baking.Target.Production != 10_000 || baking.Source == nil || baking.Source.Running != deployTasks {
		d.Errorf("in the bake: %+v and %+v", baking.Target, baking.Source)
	}
	d.answersAre(baking.Target.Revision)
	one := d.await(id, "SUCCESSFUL")
	d.answersAre(one.Target.Revision)
	l.stop(d.fleetUnderTest)
	if is := d.written(); is != written {
		d.Errorf("listeners read otherwise than before:\n%s\n%s", written, is)
	}
	if stages := stagesOf(one); len(stages) != 11 {
		d.Errorf("it went through %q", stages)
	}
	for _, h := range one.Hooks {
		if h.Status != "SUCCEEDED" {
			d.Errorf("hook %+v", h)
		}
	}
	if len(one.Hooks) != 2 {
		d.Errorf("%d hooks were called", len(one.Hooks))
	}
	d.eventually("blue's tasks are gone", func() (string, bool) {
		tasks := d.tasks("h1", "shop")
		return fmt.Sprint(len(tasks)), len(tasks) == deployTasks
	})
}

func stagesOf(one types.Deployment) (stages []string) {
	for _, s := range one.Stages {
		stages = append(stages, s.Stage)
	}
	return stages
}

func (d *deployments) canary() {
	l := d.startLoad(8088)
	id := d.deploy(d.version("4"), map[string]any{"strategy": "CANARY", "bakeTimeInMinutes": 0.05,
		"lifecycleHooks":      []any{},
		"canaryConfiguration": map[string]any{"canaryPercent": 20, "canaryBakeTimeInMinutes": 0.1}})
	d.awaitThat(id, "has a fifth", func(one types.Deployment) bool { return one.Target.Production == 2_000 })
	one := d.await(id, "SUCCESSFUL")
	if n := len(slices.DeleteFunc(stagesOf(one), func(s string) bool { return s != "PRODUCTION_TRAFFIC_SHIFT" })); n != 2 {
		d.Errorf("%d shifts: %q", n, stagesOf(one))
	}
	d.answersAre(one.Target.Revision)
	l.stop(d.fleetUnderTest)
}

func (d *deployments) linearWithoutLeaders() {
	l := d.startLoad(8088)
	id := d.deploy(d.version("5"), map[string]any{"strategy": "LINEAR", "bakeTimeInMinutes": 0.05,
		"linearConfiguration": map[string]any{"stepPercent": 50, "stepBakeTimeInMinutes": 0.05}})
	killed := map[string]bool{}
	var one types.Deployment
	d.eventually("it ends though leaders die", func() (string, bool) {
		var err error
		if one, err = d.deployment(id); err != nil {
			return err.Error(), false
		}
		at := fmt.Sprintf("%s %d", one.Stage, one.Step)
		if one.EndedAt.IsZero() && !killed[at] && len(killed) < 4 {
			killed[at] = true
			s, err := get[types.Status](d.fleetUnderTest, "h1", "/v1/status")
			if err == nil && s.Leader != nil {
				d.must(d.lab.CrashAgent(d.Context(), s.Leader.Name))
			}
		}
		return fmt.Sprintf("%s %s, waits for %q", one.Status, at, one.Waits), !one.EndedAt.IsZero()
	})
	d.awaitReady("h1", 3, 3)
	if one.Status != "SUCCESSFUL" {
		d.Errorf("%s: %s", one.Status, one.Reason)
	}
	sent, failed := l.end()
	d.Logf("leaders killed at %v: %d requests, %d lost: %q", killed, sent, len(failed), failed)
	if len(failed) > 2*len(killed) {
		d.Errorf("%d requests were lost by %d kills: %q", len(failed), len(killed), failed)
	}
	d.answersAre(one.Target.Revision)
}

func (d *deployments) rollBack() {
	l := d.startLoad(8088)
	id := d.deploy(d.version("6"), map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5})
	baking := d.awaitStage(id, "BAKE_TIME")
	d.answersAre(baking.Target.Revision)
	began := time.Now()
	d.must(d.at("h3").Send(d.Context(), http.MethodPost, "/v1/deployments/"+id+"/orders",
		types.OrderBody{Order: "rollback"}, nil))
	d.eventually("blue answers everywhere", func() (string, bool) {
		for _, host := range []string{"h1", "h2", "h3"} {
			if got, err := d.revisionAt(host); err != nil || got != baking.Source.Revision {
				return fmt.Sprint(host, " ", got, " ", err), false
			}
		}
		return "", true
	})
	d.Logf("from the order until every host answers with blue: %s", time.Since(began).Round(time.Millisecond))
	d.await(id, "ROLLBACK_SUCCESSFUL")
	d.answersAre(baking.Source.Revision)
	l.stop(d.fleetUnderTest)
}

func (d *deployments) failingHook() {
	d.hook("no-such-command")
	l := d.startLoad(8088)
	id := d.deploy(d.version("7"), map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0,
		"lifecycleHooks": []any{map[string]any{"targetType": "TASK", "hookTargetArn": "hook",
			"lifecycleStages": []string{"POST_PRODUCTION_TRAFFIC_SHIFT"}}}})
	one := d.await(id, "ROLLBACK_SUCCESSFUL")
	if !strings.Contains(one.Reason, "hook") {
		d.Errorf("it does not say that the hook failed: %q", one.Reason)
	}
	d.answersAre(one.Source.Revision)
	l.stop(d.fleetUnderTest)
}

func (d *deployments) unhealthy() {
	l := d.startLoad(8088)
	id := d.deploy(d.version("8", "--unhealthy"), map[string]any{"strategy": "CANARY", "bakeTimeInMinutes": 0,
		"lifecycleHooks": []any{}, "progressDeadlineSeconds": 10})
	one := d.await(id, "ROLLBACK_SUCCESSFUL")
	if one.Target.Production != 0 {
		d.Errorf("it had traffic: %+v", one.Target)
	}
	l.stop(d.fleetUnderTest)
}

func (d *deployments) failingRequests() {
	source, err := d.revisionAt("h1")
	d.must(err)
	l := d.startLoad(8088)
	id := d.deploy(d.version("9", "--fail", "50"), map[string]any{"strategy": "CANARY", "bakeTimeInMinutes": 1,
		"canaryConfiguration": map[string]any{"canaryPercent": 10, "canaryBakeTimeInMinutes": 5}})
	d.awaitThat(id, "has a tenth", func(one types.Deployment) bool { return one.Target.Production == 1_000 })
	began := time.Now()
	d.awaitThat(id, "goes back", func(one types.Deployment) bool { return one.Rollback != nil })
	d.Logf("from a tenth for a version that fails half of it until it goes back: %s",
		time.Since(began).Round(time.Millisecond))
	d.await(id, "ROLLBACK_SUCCESSFUL")
	d.answersAre(source)
	if _, failed := l.end(); len(failed) == 0 {
		d.Error("no request failed, so that none can have told of the version")
	}
}

func (d *deployments) takeOver() {
	source, err := d.revisionAt("h1")
	d.must(err)
	l := d.startLoad(8088)
	held := d.deploy(d.version("10"), map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0,
		"lifecycleHooks": []any{map[string]any{"targetType": "PAUSE",
			"lifecycleStages": []string{"POST_PRODUCTION_TRAFFIC_SHIFT"}}}})
	d.awaitThat(held, "awaits a person", func(one types.Deployment) bool {
		return slices.ContainsFunc(one.Hooks, func(h types.HookRun) bool { return h.Status == "AWAITING_ACTION" })
	})
	newer := d.deploy(d.version("11"), map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0,
		"lifecycleHooks": []any{}})
	d.await(held, "STOPPED")
	one := d.await(newer, "SUCCESSFUL")
	if one.Source == nil || one.Source.Revision != source {
		d.Errorf("its source is %+v, not %s", one.Source, source)
	}
	d.answersAre(one.Target.Revision)
	l.stop(d.fleetUnderTest)
}

func (d *deployments) breaker() {
	source, err := d.revisionAt("h1")
	d.must(err)
	l := d.startLoad(8088)
	id := d.deploy(d.version("12", "--no-such-flag"), map[string]any{"strategy": "ROLLING", "bakeTimeInMinutes": 0,
		"lifecycleHooks": []any{}, "deploymentCircuitBreaker": map[string]any{"enable": true, "rollback": true}})
	one := d.await(id, "ROLLBACK_SUCCESSFUL")
	if one.Breaker == nil || one.Breaker.Failures < 3 {
		d.Errorf("the breaker counted %+v", one.Breaker)
	}
	d.answersAre(source)
	l.stop(d.fleetUnderTest)
}
