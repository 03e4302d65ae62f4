package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
)

// canary is a deployment in the middle of its first step.
func canary() *types.Deployment {
	at := func(s int) types.Stamp { return types.Stamp(1_800_000_000_000 + s*1000) }
	return &types.Deployment{
		ID: "web.4", Service: "web", Strategy: "CANARY", Status: "IN_PROGRESS", Stage: "PRODUCTION_TRAFFIC_SHIFT",
		Phase: "traffic shift", Step: 1, Steps: 2, CreatedAt: at(0), UpdatedAt: at(30), WaitsUntil: at(90),
		Target: types.DeploymentRevision{Revision: "web/7", TaskDef: "web:9", Running: 4, Healthy: 4, Test: 10_000,
			Production: 1000},
		Source: &types.DeploymentRevision{Revision: "web/6", Running: 4, Healthy: 4},
		Hooks: []types.HookRun{
			{ID: "web.4-1", Hook: "smoke", Stage: "POST_TEST_TRAFFIC_SHIFT", Status: "SUCCEEDED", Answer: "exit code 0: fine",
				BeganAt: at(10), EndedAt: at(12)},
			{ID: "web.4-2", Hook: "look", Stage: "PRE_PRODUCTION_TRAFFIC_SHIFT", Step: 1, Status: "AWAITING_ACTION",
				BeganAt: at(20)},
		},
		Alarms: []types.AlarmState{{Name: "ingress", Status: "OK", Answer: "within bounds", Since: at(9)}},
		Stages: []types.StageRecord{
			{Stage: "SCALE_UP", Phase: "deployment", BeganAt: at(1), EndedAt: at(9), Why: "all tasks are healthy"},
			{Stage: "PRODUCTION_TRAFFIC_SHIFT", Phase: "traffic shift", Step: 1, BeganAt: at(30)},
		},
		Waits: "web.4: look waits for a\x1b[2J person",
	}
}

func TestAPictureOfADeploymentHasWhatOneAsksFor(t *testing.T) {
	d := canary()
	text := strings.Join(picture(d, time.UnixMilli(1_800_000_040_000)), "\n")
	for _, want := range []string{
		"web.4  CANARY  web/6 -> web/7 (web:9)  IN_PROGRESS",
		"PRODUCTION_TRAFFIC_SHIFT (traffic shift), step 1 of 2, 50s left",
		"production 10 %, test 100 % to web/7",
		"web/6: 4 running, 4 healthy, 0 starting",
		"smoke at POST_TEST_TRAFFIC_SHIFT: SUCCEEDED: exit code 0: fine",
		"look at PRE_PRODUCTION_TRAFFIC_SHIFT, step 1: AWAITING_ACTION (skein deployment continue web.4 --hook web.4-2)",
		"ingress: OK: within bounds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") {
		t.Error("what others wrote steers the terminal")
	}
}

func TestEachThingIsToldOnceInItsOwnLine(t *testing.T) {
	var b strings.Builder
	show := &lines{out: &b, told: map[string]bool{}}
	d := canary()
	show.draw(d)
	first := b.String()
	show.draw(d)
	if b.String() != first || !strings.Contains(first, "SCALE_UP ended: all tasks are healthy") ||
		!strings.Contains(first, "traffic of web/7: production 10 %, test 100 %") {
		t.Errorf("told:\n%s", b.String())
	}
	d.Target.Production = 10_000
	d.Rollback = &types.Rollback{Reason: "alarm ingress fires", Revision: "web/6"}
	show.draw(d)
	more := strings.TrimPrefix(b.String(), first)
	if strings.Count(more, "\n") != 2 || !strings.Contains(more, "production 100 %") ||
		!strings.Contains(more, "goes back to web/6: alarm ingress fires") {
		t.Errorf("told more:\n%s", more)
	}
}

func TestWhatOneLookFindsIsToldInOrder(t *testing.T) {
	var b strings.Builder
	show := &lines{out: &b, told: map[string]bool{}}
	show.draw(canary())
	last := -1
	for _, what := range []string{"SCALE_UP (deployment)", "SCALE_UP ended", "smoke at", "look at",
		"PRODUCTION_TRAFFIC_SHIFT step 1 of 2 (traffic shift)"} {
		at := strings.Index(b.String(), what)
		if at <= last {
			t.Fatalf("%q is not behind what came before it:\n%s", what, b.String())
		}
		last = at
	}
}

func TestAPictureSaysWhatDoesNotJudgeADeployment(t *testing.T) {
	d := canary()
	d.Warnings = []string{"alarm cpu has no data (no answer came)"}
	d.Breaker = &types.BreakerState{Failures: 1, Threshold: 3, BuiltIn: true, Last: "task x: exit 1"}
	text := strings.Join(picture(d, time.UnixMilli(1_800_000_040_000)), "\n")
	for _, want := range []string{"  warning   alarm cpu has no data (no answer came)",
		"  breaker   1 of 3 failures (built in), last: task x: exit 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestTheExitCodeSaysHowADeploymentEnded(t *testing.T) {
	codes := map[string]int{"SUCCESSFUL": 0, "ROLLBACK_SUCCESSFUL": 3, "STOPPED": 4, "ROLLBACK_FAILED": 5}
	for status, code := range codes {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d := canary()
			switch asked++; {
			case asked == 1 && r.URL.Path == "/v1/deployments/web":
				w.WriteHeader(http.StatusServiceUnavailable) // an election
				return
			case r.URL.Path == "/v1/deployments/web":
			case r.URL.Path != "/v1/deployments/web.4":
				t.Errorf("asked for %s", r.URL.Path)
			default:
				d.Status, d.Reason = status, "so it was"
			}
			json.NewEncoder(w).Encode(d)
		}))
		err := run(t.Context(), []string{"deployment", "watch", "web", "--address", server.URL})
		server.Close()
		got := 0
		if err != nil {
			got = exitCode(err)
		}
		if got != code || err != nil && !strings.Contains(err.Error(), "web.4: "+status+": so it was") {
			t.Errorf("%s: exit code %d, %v", status, got, err)
		}
	}
}
