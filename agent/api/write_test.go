package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/api/write"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func TestWritesAreAnsweredOnceCommitted(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)

	got := want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	if at(t, got, "taskDefinition", "taskDefinition") != "web:1" || at(t, got, "clientToken") == "" ||
		at(t, got, "index") != float64(x.voter.State().Index()) {
		t.Errorf("registered: %v", got)
	}
	got = want(t, 201, root, "POST", "/v1/services", webService)
	if at(t, got, "service", "desiredCount") != 6.0 || at(t, got, "service", "containerImages", 0, "imageDigest") != sha ||
		len(got["defaults"].([]any)) != 12 {
		t.Errorf("created: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 2}`)
	if at(t, got, "service", "desiredCount") != 2.0 {
		t.Errorf("scaled: %v", got)
	}
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	got = want(t, 200, root, "PATCH", "/v1/services/web",
		`{"taskDefinition": "web", "deploymentConfiguration": {"maximumPercent": 150}}`)
	if at(t, got, "service", "taskDefinition") != "web:2" || at(t, got, "service", "revision") != "web/2" ||
		at(t, got, "service", "desiredCount") != 2.0 ||
		at(t, got, "service", "deploymentConfiguration", "maximumPercent") != 150.0 ||
		at(t, got, "service", "deploymentConfiguration", "minimumHealthyPercent") != 100.0 {
		t.Errorf("updated: %v", got)
	}
	got = want(t, 200, root, "PATCH", "/v1/services/web", `{"forceNewDeployment": true}`)
	if at(t, got, "service", "revision") != "web/3" {
		t.Errorf("forced: %v", got)
	}
	got = want(t, 201, root, "POST", "/v1/tasks", `{"taskDefinition": "web:1", "count": 3, "startedBy": "me"}`)
	if len(got["tasks"].([]any)) != 3 || at(t, got, "tasks", 0, "taskDefinition") != "web:1" {
		t.Errorf("run: %v", got)
	}
	id := at(t, got, "tasks", 0, "taskId").(string)
	got = want(t, 200, root, "DELETE", "/v1/tasks/"+id[:8]+"?reason=enough", "")
	if at(t, got, "tasks", 0, "taskId") != id || at(t, got, "tasks", 0, "stopCode") != "UserInitiated" ||
		at(t, got, "tasks", 0, "stoppedReason") != "enough" {
		t.Errorf("stopped: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/hosts/h3/cordon", `{"why": "disk"}`)
	if at(t, got, "host", "cordon", "why") != "disk" || at(t, got, "host", "cordon", "by") != "operator" {
		t.Errorf("cordoned: %v", got)
	}
	if got = want(t, 200, root, "POST", "/v1/hosts/h3/uncordon", ""); at(t, got, "host", "cordon") != nil {
		t.Errorf("uncordoned: %v", got)
	}
	want(t, 409, root, "POST", "/v1/hosts/h3/forget?force=true", "") // it is a voter
	got = want(t, 200, root, "PUT", "/v1/settings/voters", `{"value": 5}`)
	if at(t, got, "value") != 5.0 || x.voter.State().Fleet().Settings.Voters != 5 {
		t.Errorf("set: %v", got)
	}
	want(t, 409, root, "DELETE", "/v1/services/web", "")
	got = want(t, 200, root, "DELETE", "/v1/services/web", `{"force": true}`)
	if at(t, got, "service") != nil {
		t.Errorf("deleted: %v", got)
	}
	if d := x.voter.State().Service("web"); d != nil {
		t.Error("the service is still there")
	}
}

func TestAnUpgradeIsFinalizedOnceEveryAgentReadsTheFormat(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	refused := func(say string) {
		t.Helper()
		got := want(t, 409, root, "POST", "/v1/fleet/finalize", "")
		if message := at(t, got, "error", "message").(string); !strings.Contains(message, say) {
			t.Errorf("refused with %q, want %q", message, say)
		}
	}
	notes := func(say string) {
		t.Helper()
		got := want(t, 200, root, "GET", "/v1/status", "")
		if notes := fmt.Sprint(got["notes"]); !strings.Contains(notes, say) {
			t.Errorf("status says %s, want %q", notes, say)
		}
	}
	refused("no agent reads more")
	for i, host := range []int{3, 1, 2} {
		if i > 0 {
			refused("upgrade skein first on h")
			notes("agents differ")
		}
		a := admission(host)
		x.voter.must(t, fleet.OpenSession{
			Host: a.ID, Boot: fmt.Sprint("boot-", host), Nonce: 9, Addr: a.Addr, Gossip: a.Addr, Zone: a.Zone,
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Version: "0.2.0", Format: fleet.FormatVersion + 1,
		})
	}
	got := want(t, 200, root, "POST", "/v1/fleet/finalize", "")
	if at(t, got, "fleet", "format") != float64(fleet.FormatVersion+1) {
		t.Errorf("finalized: %v", got)
	}
	refused("no agent reads more")
}

func TestAnUpgradeIsEndedByForceWhileWorkersAreBehind(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	for voter := range x.voter.State().Voters() {
		h := x.voter.State().Host(voter.Host)
		x.voter.must(t, fleet.OpenSession{
			Host: h.ID, Boot: h.Session.Boot, Nonce: 9, Addr: h.Addr, Gossip: h.Addr, Zone: h.Zone,
			Capacity: fleet.Resources{CPU: 4096, Memory: 8192}, Version: "0.2.0", Format: fleet.FormatVersion + 1,
		})
	}
	want(t, 409, root, "POST", "/v1/fleet/finalize", "")
	got := want(t, 200, root, "POST", "/v1/fleet/finalize", `{"force": true}`)
	if at(t, got, "fleet", "format") != float64(fleet.FormatVersion+1) {
		t.Errorf("finalized: %v", got)
	}
}

func TestRefusedWritesSayWhatAndWhy(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	tests := []struct {
		method, target, body string
		status               int
		code, field, say     string
	}{
		{"POST", "/v1/services", `{"serviceName": "web", "taskDefinition": "web", "desiredCount": 1}`, 409, "exists", "",
			"create service web"},
		{"POST", "/v1/services", `{"serviceName": "api", "taskDefinition": "api", "desiredCount": 1}`, 400, "invalid",
			"taskDefinition", `"api" does not exist`},
		{"POST", "/v1/services", `{"serviceName": "api", "taskDefinition": "web"}`, 400, "invalid", "desiredCount",
			"missing"},
		{"PATCH", "/v1/services/nope", `{"desiredCount": 1}`, 404, "not-found", "", `service "nope"`},
		{"PATCH", "/v1/services/web", `{"serviceName": "other"}`, 400, "invalid", "serviceName", "differs from the address"},
		{"POST", "/v1/services/nope/scale", `{"desiredCount": 1}`, 404, "not-found", "", "nope"},
		{"POST", "/v1/services/web/scale", `{}`, 400, "invalid", "desiredCount", "missing"},
		{"POST", "/v1/services/web/scale", `{"desiredCount": -1}`, 400, "invalid", "desiredCount", "-1 is below 0"},
		{"DELETE", "/v1/services/nope", "", 404, "not-found", "", "nope"},
		{"DELETE", "/v1/services/web?force=maybe", "", 400, "invalid", "force", "neither true nor false"},
		{"POST", "/v1/tasks", `{"taskDefinition": "api"}`, 400, "invalid", "taskDefinition", "does not exist"},
		{"DELETE", "/v1/tasks/ffffffff", "", 404, "not-found", "", "ffffffff"},
		{"POST", "/v1/hosts/h99/cordon", "", 404, "not-found", "", "h99"},
		{"POST", "/v1/hosts/h1/cordon", `{"why": "a\u001b[2J"}`, 400, "invalid", "why", "control characters"},
		{"POST", "/v1/hosts/h5/forget", "", 409, "conflict", "", "h5 is ready"},
		{"POST", "/v1/tokens", `{}`, 400, "invalid", "kind", "missing"},
		{"POST", "/v1/tokens", `{"kind": "admin"}`, 400, "invalid", "kind", "allowed are join, operator"},
		{"POST", "/v1/tokens", `{"kind": "operator", "uses": 2}`, 400, "invalid", "uses", "for join tokens"},
		{"POST", "/v1/tokens", `{"kind": "join", "validSeconds": 604801}`, 400, "invalid", "validSeconds", "above 604800"},
		{"DELETE", "/v1/tokens/nope", "", 404, "not-found", "", "nope"},
		{"PUT", "/v1/settings/voters", `{"value": 4}`, 400, "invalid", "voters", "3, 5 and 7"},
		{"PUT", "/v1/settings/colour", `{"value": 4}`, 404, "not-found", "", "lostAfterMs"},
		{"POST", "/v1/taskdefs?strict", strings.Replace(webDef, `"family"`, `"taskRoleArn": "x", "family"`, 1), 400,
			"invalid", "taskRoleArn", "strict accepts only"},
		{"POST", "/v1/taskdefs", strings.Replace(webDef, `"containerPort": 8080}`, `"containerPort": 8080, "hostPort": 7700}`,
			1), 400, "invalid", "containerDefinitions[0].portMappings[0].hostPort", "the agent's own"},
		{"POST", "/v1/taskdefs",
			strings.Replace(webDef, `"containerPort": 8080}`, `"containerPort": 8080, "hostPort": 50000}`, 1), 400, "invalid",
			"containerDefinitions[0].portMappings[0].hostPort", "range given out"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.target+" "+tt.say, func(t *testing.T) {
			before := x.voter.State().Index()
			got := want(t, tt.status, root, tt.method, tt.target, tt.body)
			message, _ := at(t, got, "error", "message").(string)
			field, _ := at(t, got, "error", "field").(string)
			if at(t, got, "error", "code") != tt.code || field != tt.field || !strings.Contains(message, tt.say) {
				t.Errorf("got %v", got)
			}
			if tt.status == 400 && tt.code == "invalid" && tt.field != "voters" && x.voter.State().Index() != before {
				t.Error("a request that cannot be was proposed")
			}
		})
	}
}

func TestHostileBodiesAreRefusedOnEveryWrite(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	bodies := map[string]struct {
		body   string
		status []int
	}{
		"malformed":         {`{"a"`, []int{400}},
		"a list":            {`[]`, []int{400}},
		"null":              {`null`, []int{400}},
		"a number":          {`17`, []int{400}},
		"two documents":     {`{} {}`, []int{400}},
		"unknown field":     {`{"doesNotExist": 1}`, []int{400}},
		"given twice":       {`{"clientToken": "a", "clientToken": "b"}`, []int{400}},
		"wrong type":        {`{"clientToken": {}}`, []int{400}},
		"not UTF-8":         {"{\"clientToken\": \"\xff\"}", []int{400}},
		"deeply nested":     {`{"clientToken": ` + strings.Repeat("[", 200_000), []int{400}},
		"deep but complete": {`{"clientToken": ` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, []int{400}},
		"huge":              {`{"clientToken": "` + strings.Repeat("x", write.MaxBody) + `"}`, []int{413}},
		"huge number":       {`{"clientToken": ` + strings.Repeat("9", 100_000) + `}`, []int{400, 413}},
		"a token too long":  {`{"clientToken": "` + strings.Repeat("x", 100) + `"}`, []int{400}},
	}
	before := x.voter.State().Index()
	for _, rt := range write.Endpoints() {
		target := strings.NewReplacer("{name}", "web", "{listener}", "web", "{id}", "h5").Replace(rt.Pattern)
		for name, tt := range bodies {
			code, got, _ := do(t, root, rt.Method, target, tt.body)
			ok := false
			for _, status := range tt.status {
				ok = ok || code == status
			}
			if !ok {
				t.Errorf("%s %s: %s gave %d: %v", rt.Method, target, name, code, got)
			} else if at(t, got, "error", "message") == "" || at(t, got, "error", "code") == "" {
				t.Errorf("%s %s: %s says nothing: %v", rt.Method, target, name, got)
			}
		}
		if code, got, _ := do(t, root, rt.Method, target, "a=b", "Content-Type",
			"application/x-www-form-urlencoded"); code != 415 {
			t.Errorf("%s %s: a form gave %d: %v", rt.Method, target, code, got)
		}
	}
	if after := x.voter.State().Index(); after != before {
		t.Errorf("something was proposed: index %d, was %d", after, before)
	}
}

func TestImagesThatCannotBePinnedAreWarnedOf(t *testing.T) {
	tests := map[string]struct {
		resolve func(ctx context.Context, image string) (string, error)
		say     string
	}{
		"a registry that is down": {func(context.Context, string) (string, error) {
			return "", fmt.Errorf("dial: %w", port.ErrRegistry)
		}, "could not be found within 2s"},
		"an image that does not exist": {func(context.Context, string) (string, error) { return "", port.ErrImageNotFound },
			"does not exist; no task can start"},
		"a registry that hangs": {func(ctx context.Context, _ string) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}, "could not be found within 2s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTestAPI(t, func(c *Config) { c.Images = fakeImages(tt.resolve) })
				fleetOf(t, x.voter, 3)
				root := x.Handler(TrustRoot)
				want(t, 201, root, "POST", "/v1/taskdefs", webDef)
				begin := time.Now()
				got := want(t, 201, root, "POST", "/v1/services", webService)
				if message := at(t, got, "warnings", 0, "message").(string); !strings.Contains(message, tt.say) {
					t.Errorf("warned %q", message)
				}
				if time.Since(begin) > 2*time.Second {
					t.Errorf("took %v", time.Since(begin))
				}
			})
		})
	}
	t.Run("a digest in the reference needs no registry", func(t *testing.T) {
		x := newTestAPI(t, func(c *Config) { c.Images = nil })
		fleetOf(t, x.voter, 1)
		root := x.Handler(TrustRoot)
		want(t, 201, root, "POST", "/v1/taskdefs", strings.Replace(webDef, "web:1", "web:1@"+sha, 1))
		if got := want(t, 201, root, "POST", "/v1/services", webService); len(got["warnings"].([]any)) != 0 ||
			at(t, got, "service", "containerImages", 0, "imageDigest") != sha {
			t.Errorf("got %v", got)
		}
	})
}

func TestAdviceAboutWhatCannotWork(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	warned := func(got map[string]any, say string) {
		t.Helper()
		if all := fmt.Sprint(got["warnings"]); !strings.Contains(all, say) {
			t.Errorf("no warning of %q in %s", say, all)
		}
	}
	warned(want(t, 201, root, "POST", "/v1/taskdefs", strings.Replace(webDef, `"memory": 64`, `"memory": 9000`, 1)),
		"no host of this fleet could ever take such a task")
	warned(want(t, 200, root, "PATCH", "/v1/services/web", `{"deploymentConfiguration": {"maximumPercent": 100}}`),
		"updates and drains will be stuck")
	want(t, 201, root, "POST", "/v1/taskdefs", strings.Replace(strings.Replace(webDef, `"web"`, `"fixed"`, 1),
		`"containerPort": 8080}`, `"containerPort": 8080, "hostPort": 80}`, 1))
	warned(want(t, 201, root, "POST", "/v1/services",
		`{"serviceName": "fixed", "taskDefinition": "fixed", "desiredCount": 7}`),
		"host port 80 is free once on each host: of 7 tasks, those beyond the 6 hosts")
	id := at(t, want(t, 200, root, "GET", "/v1/tasks?service=web&limit=1", ""), "tasks", 0, "taskId").(string)
	warned(want(t, 200, root, "DELETE", "/v1/tasks/"+id, ""), "service web will start another")
	warned(want(t, 200, root, "DELETE", "/v1/tasks/"+id, ""), "asked to stop before")
	warned(want(t, 201, root, "POST", "/v1/taskdefs",
		strings.Replace(webDef, `"family"`, `"executionRoleArn": "x", "family"`, 1)), "no AWS roles")
}
