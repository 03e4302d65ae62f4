package ecs

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

func TestTheDefaultsOfAServiceThatNamesAnImageAndACount(t *testing.T) {
	s, err := ReadCreate([]byte(`{"serviceName": "web", "taskDefinition": "web", "desiredCount": 6}`),
		Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	s, taken := s.WithDefaults()
	config, more := s.Deployment.Over(nil, true)
	taken = append(taken, more...)
	want := map[string]string{
		"placement":                        "spread over zones, then hosts",
		"versionConsistency":               "enabled",
		"schedulingStrategy":               "REPLICA",
		"restarts":                         "back off",
		"onDisconnect":                     "keep",
		"deploymentConfiguration.strategy": "ROLLING",
		"deploymentConfiguration.minimumHealthyPercent": "100",
		"deploymentConfiguration.maximumPercent":        "200",
		"healthCheckGracePeriodSeconds":                 "0",

		"deploymentConfiguration.bakeTimeInMinutes":        "1",
		"deploymentConfiguration.progressDeadlineSeconds":  "600",
		"deploymentConfiguration.deploymentCircuitBreaker": "enabled, with rollback",
		"deploymentConfiguration.analysis": "over 10 s, from 20 requests on: 5 % errors, and 1.5 times the other " +
			"version's",
	}
	got := map[string]string{}
	for _, d := range taken {
		got[d.Field] = d.Value
		if d.Why == "" {
			t.Errorf("%s does not say why", d.Field)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults, -want +got\n%s", diff)
	}
	if *s.Desired != 6 || *s.MinPercent != 100 || *s.MaxPercent != 200 || *s.GraceS != 0 ||
		s.OnDisconnect.StopAfterMs != 0 {
		t.Errorf("the values are not the defaults: %+v", s)
	}
	wantConfig := fleet.DeploymentConfig{
		Strategy: fleet.Rolling, BakeS: 60, ProgressS: 600, Breaker: fleet.Breaker{Enable: true, Rollback: true},
		Analysis: &fleet.Analysis{WindowS: 10, MinRequests: 20, ErrorShare: 500, Ratio: 150},
	}
	if diff := cmp.Diff(wantConfig, config); diff != "" {
		t.Errorf("deployments, -want +got\n%s", diff)
	}
}

func TestAFullServiceTakesNoDefaultThatCouldBeGiven(t *testing.T) {
	s, err := ReadCreate(
		[]byte(`{"serviceName": "web", "taskDefinition": "arn:aws:ecs:eu-west-1:123:task-definition/web:7", "desiredCount": 0,
		"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 150, "strategy": "ROLLING"}, "deploymentController": {"type": "ECS"},
		"healthCheckGracePeriodSeconds": 30, "onDisconnect": {"stopAfterSeconds": 60}, "schedulingStrategy": "REPLICA",
		"tags": [{"key": "a", "value": "b"}], "clientToken": "t-1"}`), Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	zero, fifty, more, grace := 0, 50, 150, 30
	want := Service{Name: "web", TaskDef: "web:7", Desired: &zero, MinPercent: &fifty, MaxPercent: &more, GraceS: &grace,
		OnDisconnect: &fleet.OnDisconnect{StopAfterMs: 60_000}, Tags: map[string]string{"a": "b"}, Token: "t-1",
		Deployment: &Deployment{Strategy: fleet.Rolling}}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if _, taken := s.WithDefaults(); len(taken) != len(alwaysTaken) {
		t.Errorf("took %v", taken)
	}
}

func TestAnUpdateKeepsWhatIsNotGiven(t *testing.T) {
	s, err := ReadUpdate([]byte(`{"desiredCount": 3, "tags": []}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.TaskDef != "" || s.MinPercent != nil || s.OnDisconnect != nil || *s.Desired != 3 {
		t.Errorf("read as %+v", s)
	}
	if s.Tags == nil || len(s.Tags) != 0 {
		t.Errorf("an empty list must empty the tags, got %v", s.Tags)
	}
}

func TestServiceRefusals(t *testing.T) {
	create := func(fields string) string {
		return `{"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, ` + fields + `}`
	}
	tests := map[string]struct{ doc, want string }{
		"no name":       {`{"taskDefinition": "web", "desiredCount": 1}`, "serviceName: missing"},
		"an empty name": {`{"serviceName": "", "taskDefinition": "web", "desiredCount": 1}`, `serviceName: ""`},
		"a name for updates": {`{"service": "web", "taskDefinition": "web", "desiredCount": 1}`,
			"service: names a service to update"},
		"no definition": {`{"serviceName": "web", "desiredCount": 1}`, "taskDefinition: missing"},
		"a definition that cannot be": {`{"serviceName": "web", "taskDefinition": "web:0", "desiredCount": 1}`,
			`taskDefinition: "web:0"`},
		"no count":         {`{"serviceName": "web", "taskDefinition": "web"}`, "desiredCount: missing"},
		"a negative count": {create(`"healthCheckGracePeriodSeconds": -1`), "healthCheckGracePeriodSeconds: -1 is below 0"},
		"a minimum above all": {create(`"deploymentConfiguration": {"minimumHealthyPercent": 101}`),
			"deploymentConfiguration.minimumHealthyPercent: 101 is above 100"},
		"a maximum below all": {create(`"deploymentConfiguration": {"maximumPercent": 99}`),
			"deploymentConfiguration.maximumPercent: 99 is below 100"},
		"a strategy that nobody knows": {create(`"deploymentConfiguration": {"strategy": "SHADOW"}`),
			`deploymentConfiguration.strategy: "SHADOW" is not known; allowed are ROLLING, BLUE_GREEN, LINEAR, CANARY`},
		"a daemon": {create(`"schedulingStrategy": "DAEMON"`), `schedulingStrategy: "DAEMON" is not known`},
		"a balancer": {create(`"loadBalancers": [{"containerName": "a"}]`),
			"loadBalancers[0].targetGroupArn: missing"},
		"two ways to be reached": {create(`"expose": {"listen": 80},
			"loadBalancers": [{"containerName": "a", "containerPort": 80, "targetGroupArn": "a"}]`),
			"expose: given beside loadBalancers"},
		"a path of a TCP port": {create(`"expose": {"listen": 80, "protocol": "TCP", "path": "/x"}`),
			"expose.protocol: TCP connections say neither host nor path"},
		"a rule that is none": {create(`"loadBalancers": [{"containerName": "a", "containerPort": 80, "targetGroupArn": "a",
			"advancedConfiguration": {"productionListenerRule": "web"}}]`),
			`loadBalancers[0].advancedConfiguration.productionListenerRule: "web": LISTENER/RULE`},
		"a token with a space": {create(`"clientToken": "a b"`), `clientToken: "a b"`},
		"a token that is too long": {create(`"clientToken": "` + strings.Repeat("a", 37) + `"`),
			"clientToken: 37 bytes, at most 36"},
		"a misspelt field": {create(`"desiredcount": 2`),
			"desiredcount: unknown field; names are camelCase: write desiredCount"},
		"an onDisconnect that never ends": {create(`"onDisconnect": {"stopAfterSeconds": 99999999}`),
			"onDisconnect.stopAfterSeconds: 99999999 is above"},
		"an ignored field, when strict": {`{"STRICT": 0,` + create(`"cluster": "default"`)[1:],
			"cluster: ignored: an agent knows one cluster"},
		"a number where a list belongs": {create(`"tags": 3`), "tags: is a number, must be a list"},
		"a string where a count belongs": {strings.Replace(create(`"tags": []`), "1", `"1"`, 1),
			"desiredCount: is a string, must be a whole number"},
		"an exec into containers of later": {create(`"enableExecuteCommand": true`), "enableExecuteCommand: comes with exec"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			doc, strict := strings.CutPrefix(tt.doc, `{"STRICT": 0,`)
			if strict {
				doc = "{" + doc
			}
			_, err := ReadCreate([]byte(doc), Options{Strict: strict})
			if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestRunAndStop(t *testing.T) {
	run, err := ReadRun(
		[]byte(`{"taskDefinition": "job:2", "count": 10, "startedBy": "cron/night", "group": "batch", "clientToken": "x"}`),
		Options{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Run{TaskDef: "job:2", Count: 10, StartedBy: "cron/night", Group: "batch", Token: "x"},
		run); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if run, err = ReadRun([]byte(`{"taskDefinition": "job"}`), Options{}); err != nil || run.Count != 1 {
		t.Errorf("one task is the default, got %+v, %v", run, err)
	}
	stop, err := ReadStop([]byte(`{"task": "abc", "reason": "too loud"}`), Options{})
	if err != nil || stop.Reason != "too loud" {
		t.Errorf("got %+v, %v", stop, err)
	}
	refusals := map[string]string{
		`{}`:                                     "taskDefinition: missing",
		`{"taskDefinition": "job", "count": 11}`: "count: 11 is above 10 (1 to 10)",
		`{"taskDefinition": "job", "count": 0}`:  "count: 0 is below 1",
		`{"taskDefinition": "job", "overrides": {"cpu": "1"}}`: "overrides: comes with the whole task model",
		`{"taskDefinition": "job", "group": "service:web"}`:    `group: "service:web": groups that begin with service:`,
		`{"taskDefinition": "job", "startedBy": "a;b"}`:        `startedBy: "a;b"`,
	}
	for doc, want := range refusals {
		if _, err := ReadRun([]byte(doc), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", doc, err, want)
		}
	}
	if _, err := ReadStop([]byte(`{"reason": "a\u001b[2J"}`), Options{}); err == nil ||
		!strings.Contains(err.Error(), "control characters") {
		t.Errorf("an escape sequence must be refused, got %v", err)
	}
}

// The rows are the golden vectors of ECS API, DeploymentConfiguration.
func TestStuckConfigurationsAreSeen(t *testing.T) {
	tests := []struct {
		desired, low, high int
		stuck              bool
	}{
		{4, 100, 200, false}, {4, 50, 100, false}, {2, 75, 100, true}, {3, 100, 125, true},
		{1, 100, 200, false}, {1, 0, 100, false}, {7, 100, 100, true}, {0, 100, 100, false},
	}
	for _, tt := range tests {
		if got := StuckWhy(tt.desired, tt.low, tt.high) != ""; got != tt.stuck {
			t.Errorf("desired %d with %d/%d: stuck %v, want %v", tt.desired, tt.low, tt.high, got, tt.stuck)
		}
	}
}

func FuzzReadService(f *testing.F) {
	f.Add([]byte(`{"serviceName": "web", "taskDefinition": "web", "desiredCount": 6}`))
	f.Add([]byte(`{"deploymentConfiguration": {"maximumPercent": 1e9}, "tags": [null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := ReadCreate(data, Options{})
		if err != nil {
			var list *strictjson.Errors
			if errors.As(err, &list) && len(list.Fields) == 0 {
				t.Fatal("a refusal that names nothing")
			}
			return
		}
		if s.Name == "" || s.TaskDef == "" || s.Desired == nil || *s.Desired < 0 {
			t.Fatalf("accepted a service that cannot be: %+v", s)
		}
	})
}
