//go:build e2e

package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"skein/agent/api/types"
)

// headless creates a service without a balancer, whose deployments are judged by others.
func (c *customer) headless(name string) {
	c.Helper()
	c.steps("h1", step{"service create -f " + c.file(map[string]any{"serviceName": name, "taskDefinition": "judged",
		"desiredCount": 1, "deploymentConfiguration": map[string]any{"bakeTimeInMinutes": 0}}), 0,
		[]string{"created " + name}},
		step{"deployment watch " + name, 0, []string{"SUCCESSFUL"}})
}

// greenOf is a request to deploy blue/green once more, as the fields say.
func (c *customer) greenOf(fields map[string]any) (path string) {
	c.Helper()
	config := map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": []any{}}
	for name, value := range fields {
		config[name] = value
	}
	return c.file(map[string]any{"forceNewDeployment": true, "deploymentConfiguration": config})
}

func webhook(url string, more map[string]any, stages ...string) map[string]any {
	hook := map[string]any{"targetType": "WEBHOOK", "name": "check", "hookTargetArn": url, "lifecycleStages": stages}
	for name, value := range more {
		hook[name] = value
	}
	return map[string]any{"lifecycleHooks": []any{hook}}
}

func hookTimeout(minutes float64, action string) map[string]any {
	return map[string]any{"timeoutConfiguration": map[string]any{"timeoutInMinutes": minutes, "action": action}}
}

// patientWebhook: a signed webhook asks to be called back twice, and what it gives back comes
// again.
func (c *customer) patientWebhook() {
	c.headless("patient")
	for _, host := range []string{"h1", "h2", "h3"} {
		exit, err := c.lab.Exec(c.Context(), host, []string{"sh", "-c", "mkdir -p /run/skein-hooks && echo ' " + hookSecret +
			" ' >/run/skein-hooks/secret"}, nil, nil, nil)
		c.must(err)
		if exit != 0 {
			c.Fatalf("%s has no secret", host)
		}
	}
	url := c.twins.on("patient", func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			fmt.Fprintf(w, `{"hookStatus": "IN_PROGRESS", "callBackDelay": 1, "hookDetails": {"calls": %d}}`, n)
			return
		}
		_, _ = io.WriteString(w, `{"hookStatus": "SUCCEEDED"}`)
	})
	c.steps("h2", step{"deploy patient --watch -f " + c.greenOf(webhook(url, map[string]any{
		"secretFile": "/run/skein-hooks/secret", "hookDetails": map[string]any{"team": "shop"}}, "POST_SCALE_UP")), 0,
		[]string{"patient.2", "check at POST_SCALE_UP"}})
	calls := c.twins.called("patient")
	if len(calls) != 3 {
		c.Fatalf("called %d times", len(calls))
	}
	for n, call := range calls {
		if call.unsigned != nil || call.key == "" || call.key != calls[0].key ||
			call.payload.ExecutionID != calls[0].payload.ExecutionID {
			c.Errorf("call %d: %+v", n+1, call)
		}
	}
	if details := string(calls[2].payload.HookDetails); !strings.Contains(details, `"calls":2`) ||
		!strings.Contains(details, `"team":"shop"`) {
		c.Errorf("the third call has details %s", details)
	}
}

// badWebhook: an answer that says nothing, no answer in time, and none at all.
func (c *customer) badWebhook() {
	c.headless("garbled")
	garbage := c.twins.always("garbage", `<html>OK</html>`)
	c.steps("h2", step{"deploy garbled --watch -f " + c.greenOf(webhook(garbage, nil, "PRE_SCALE_UP")), exitRolledBack,
		[]string{"ROLLBACK_SUCCESSFUL", "check", "no JSON object", "<html>OK</html>"}})
	hang := c.twins.on("hang", func(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	hangs := func(action string) string {
		return "deploy garbled --watch -f " + c.greenOf(webhook(hang, hookTimeout(0.1, action), "POST_SCALE_UP"))
	}
	c.steps("h2", step{hangs("ROLLBACK"), exitRolledBack, []string{"ROLLBACK_SUCCESSFUL", "check", "no verdict by"}})
	c.steps("h2", step{hangs("CONTINUE"), 0, []string{"SUCCESSFUL"}})
	down := c.twins.on("down", func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		_, _ = io.WriteString(w, `{"hookStatus": "SUCCEEDED"}`)
	})
	c.steps("h2", step{"deploy garbled --watch -f " + c.greenOf(webhook(down, nil, "POST_SCALE_UP")), 0,
		[]string{"SUCCESSFUL"}})
	if calls := c.twins.called("down"); len(calls) != 2 || calls[0].key != calls[1].key {
		c.Errorf("after a call without an answer: %+v", calls)
	}
}

// pauses: people answer a hook, hold a deployment, and let it go on.
func (c *customer) pauses() {
	c.headless("asked")
	pause := map[string]any{"lifecycleHooks": []any{map[string]any{"targetType": "PAUSE", "name": "look",
		"lifecycleStages": []string{"POST_SCALE_UP"}}}}
	waiting := func() (id, hook string) {
		id = c.deploy("asked -f " + c.greenOf(pause))
		return id, c.awaitPerson(id)
	}
	id, hook := waiting()
	c.steps("h1",
		step{"deployment list", 0, []string{"skein deployment continue " + id + " --hook " + hook}},
		step{"deployment pause " + id, 0, []string{"is paused"}},
		step{"deployment continue " + id + " --hook " + hook, 0, []string{"goes on"}},
		step{"deployment show " + id, 0, []string{"paused"}},
		step{"deployment continue " + id, 0, []string{"goes on"}},
		step{"deployment watch " + id, 0, []string{"SUCCESSFUL"}})
	id, hook = waiting()
	c.steps("h1",
		step{"deployment continue " + id + " --hook " + hook + " --refuse", 0, []string{"goes back"}},
		step{"deployment watch " + id, exitRolledBack, []string{"ROLLBACK_SUCCESSFUL", "look"}})
}

// alarmed: a Prometheus server says nothing, that all is well, and that it is not.
func (c *customer) alarmed() {
	d := c.deployments()
	c.headless("watched")
	c.steps("h1",
		step{"alarm put errors --url http://127.0.0.9:9090 --query errors --above 0.05", 1,
			[]string{"skein hook-target allow"}},
		step{"alarm put errors --url " + c.twins.url + " --query errors --above 0.05 --every 1", 0, nil},
		step{"alarm", 0, []string{"errors", "above 0.05"}})
	alarms := map[string]any{"alarms": map[string]any{"alarmNames": []string{"errors"}, "enable": true, "rollback": true}}

	c.twins.gives("errors", "") // no data is no alarm, and no word that all is well
	out, _, exit := c.skein("h1", strings.Fields("deploy watched --watch -f "+c.greenOf(alarms))...)
	if exit != 0 || !strings.Contains(out, "SUCCESSFUL") {
		c.Errorf("without data it ends with %d: %s", exit, out)
	}
	c.steps("h1", step{"deployment show watched", 0, []string{"errors: INSUFFICIENT_DATA"}})

	c.twins.gives("errors", "0.5")
	id := c.deploy("watched -f " + c.greenOf(alarms))
	d.awaitThat(id, "it does not begin", func(one types.Deployment) bool {
		return strings.Contains(one.Waits, "does not begin while alarms fire: errors (0.5 > 0.05)") &&
			strings.Contains(one.Waits, "--despite-alarms")
	})
	despite := c.deploy("watched --despite-alarms --bake 2s")
	if one := d.await(despite, "SUCCESSFUL"); len(one.Alarms) != 1 || !one.Alarms[0].Ignored {
		c.Errorf("despite alarms: %+v", one.Alarms)
	}
	d.await(id, "STOPPED")

	c.twins.gives("errors", "0.01")
	id = c.deploy("watched --bake 5m")
	d.awaitStage(id, "BAKE_TIME")
	d.awaitThat(id, "the alarm is well", func(one types.Deployment) bool { return one.Alarms[0].Status == "OK" })
	c.twins.gives("errors", "0.5")
	began := time.Now()
	c.steps("h1", step{"deployment watch " + id, exitRolledBack, []string{"ROLLBACK_SUCCESSFUL", "errors", "0.5 > 0.05"}})
	c.Logf("from a number above the threshold to the end of the rollback: %s", time.Since(began).Round(time.Millisecond))
}

// probed: requests are really sent by the test rule, before production gets any.
func (c *customer) probed() {
	c.register("h1", "slow", func(container map[string]any) {
		container["command"] = []string{"web", "--listen", ":8080", "--slow", "400"}
	})
	c.steps("h1", step{"service create -f " + c.file(map[string]any{"serviceName": "probed", "taskDefinition": "judged",
		"desiredCount": 1, "expose": map[string]any{"listen": 8090, "healthCheckPath": "/healthz"},
		"deploymentConfiguration": map[string]any{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}}), 0, nil},
		step{"deployment watch probed", 0, []string{"SUCCESSFUL"}})
	probe := func(fields map[string]any) string {
		return "deploy probed --watch -f " + c.greenOf(map[string]any{"probe": fields})
	}
	c.steps("h1",
		step{probe(map[string]any{"path": "/", "contains": "probed/2", "count": 5}), 0, []string{"SUCCESSFUL"}},
		step{"deployment show probed", 0, []string{"probe at POST_TEST_TRAFFIC_SHIFT: SUCCEEDED"}},
		step{probe(map[string]any{"path": "/", "contains": "something else"}), exitRolledBack,
			[]string{"ROLLBACK_SUCCESSFUL", "something else"}},
		step{probe(map[string]any{"path": "/nowhere"}), exitRolledBack, []string{"ROLLBACK_SUCCESSFUL", "404"}},
		step{probe(map[string]any{"path": "/", "latencyMs": 150}) + " --task-definition slow", exitRolledBack,
			[]string{"ROLLBACK_SUCCESSFUL", "at most 150 are allowed"}})
	if got, err := revisionOfURL(c.ingressURL("h2", 8090), "", ""); got != "probed/2" {
		c.Errorf("after probes that failed, %s answers: %v", got, err)
	}
}
