package ecs

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/raftfsm/fleet"
)

// read reads a deploymentConfiguration out of an update.
func readConfig(t *testing.T, config string) *Deployment {
	t.Helper()
	s, err := ReadUpdate([]byte(`{"deploymentConfiguration": `+config+`}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Deployment
}

func TestDefaultsByStrategy(t *testing.T) {
	breaker := fleet.Breaker{Enable: true, Rollback: true}
	for _, c := range []struct {
		name, config string
		want         fleet.DeploymentConfig
		taken        []string
	}{
		{"rolling has a breaker and a short bake", `{}`,
			fleet.DeploymentConfig{Strategy: fleet.Rolling, BakeS: 60, ProgressS: 600, Breaker: breaker},
			[]string{"strategy", "bakeTimeInMinutes", "progressDeadlineSeconds", "deploymentCircuitBreaker"}},
		{"blue/green bakes for longer", `{"strategy": "BLUE_GREEN"}`,
			fleet.DeploymentConfig{Strategy: fleet.BlueGreen, BakeS: 300, ProgressS: 600},
			[]string{"bakeTimeInMinutes", "progressDeadlineSeconds"}},
		{"a canary is as ECS has it", `{"strategy": "CANARY"}`,
			fleet.DeploymentConfig{Strategy: fleet.Canary, BakeS: 300, ProgressS: 600, CanaryShare: 500, StepBakeS: 600},
			[]string{"bakeTimeInMinutes", "progressDeadlineSeconds", "canaryConfiguration.canaryPercent",
				"canaryConfiguration.canaryBakeTimeInMinutes"}},
		{"linear is as ECS has it", `{"strategy": "LINEAR"}`,
			fleet.DeploymentConfig{Strategy: fleet.Linear, BakeS: 300, ProgressS: 600, StepShare: 1000, StepBakeS: 360},
			[]string{"bakeTimeInMinutes", "progressDeadlineSeconds", "linearConfiguration.stepPercent",
				"linearConfiguration.stepBakeTimeInMinutes"}},
		{"what is given is taken, to the second and the tenth of a percent",
			`{"strategy": "CANARY", "bakeTimeInMinutes": 0.5, "progressDeadlineSeconds": 0,
			"canaryConfiguration": {"canaryPercent": 0.1, "canaryBakeTimeInMinutes": 0}}`,
			fleet.DeploymentConfig{Strategy: fleet.Canary, BakeS: 30, CanaryShare: 10}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, defaults := readConfig(t, c.config).Over(nil, false)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			var taken []string
			for _, d := range defaults {
				taken = append(taken, strings.TrimPrefix(d.Field, "deploymentConfiguration."))
				if d.Value == "" || d.Why == "" {
					t.Errorf("%s says neither what nor why", d.Field)
				}
			}
			if diff := cmp.Diff(c.taken, taken); diff != "" {
				t.Errorf("taken, -want +got\n%s", diff)
			}
		})
	}
}

func TestAnUpdateOfDeploymentsKeepsWhatIsNotGiven(t *testing.T) {
	hook := fleet.Hook{Name: "pause", Stages: []fleet.LifecycleStage{fleet.StageScaleUp + 1}, Pause: true}
	canary := fleet.DeploymentConfig{Strategy: fleet.Canary, BakeS: 30, ProgressS: 7, CanaryShare: 250, StepBakeS: 11,
		Hooks: []fleet.Hook{hook}, Probe: &fleet.Probe{Path: "/", Count: 1}}
	rolling := fleet.DeploymentConfig{Strategy: fleet.Rolling, BakeS: 30, Breaker: fleet.Breaker{Enable: true},
		EarlySuccess: &fleet.EarlySuccess{HealthyPercent: 100}}
	with := func(c fleet.DeploymentConfig, change func(*fleet.DeploymentConfig)) fleet.DeploymentConfig {
		change(&c)
		return c
	}
	for _, c := range []struct {
		name   string
		was    fleet.DeploymentConfig
		config string
		want   fleet.DeploymentConfig
	}{
		{"nothing is given", canary, `{}`, canary},
		{"nothing is given of a service of before", fleet.DeploymentConfig{}, `{}`,
			fleet.DeploymentConfig{Strategy: fleet.Rolling}},
		{"one field", canary, `{"canaryConfiguration": {"canaryPercent": 5}}`,
			with(canary, func(c *fleet.DeploymentConfig) { c.CanaryShare = 500 })},
		{"hooks are emptied, and the probe is turned off", canary, `{"lifecycleHooks": [], "probe": {"enable": false}}`,
			with(canary, func(c *fleet.DeploymentConfig) { c.Hooks, c.Probe = []fleet.Hook{}, nil })},
		{"another strategy with steps takes its own", canary, `{"strategy": "LINEAR"}`,
			with(canary, func(c *fleet.DeploymentConfig) {
				c.Strategy, c.CanaryShare, c.StepShare, c.StepBakeS = fleet.Linear, 0, 1000, 360
			})},
		{"back to rolling", canary, `{"strategy": "ROLLING"}`,
			with(canary, func(c *fleet.DeploymentConfig) {
				c.Strategy, c.CanaryShare, c.StepBakeS, c.BakeS, c.Breaker = fleet.Rolling, 0, 0, 60, DefaultBreaker()
			})},
		{"from rolling to a strategy that has no breaker", rolling, `{"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 2}`,
			fleet.DeploymentConfig{Strategy: fleet.BlueGreen, BakeS: 120}},
		{"steps of another strategy stay, for State to refuse", rolling, `{"canaryConfiguration": {"canaryPercent": 5}}`,
			with(rolling, func(c *fleet.DeploymentConfig) { c.CanaryShare = 500 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := readConfig(t, c.config).Over(&c.was, true)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestDeploymentConfigurationIsRead(t *testing.T) {
	s, err := ReadUpdate([]byte(`{"despiteAlarms": true, "deploymentConfiguration": {
		"deploymentCircuitBreaker": {"enable": true, "rollback": false, "resetOnHealthyTask": false,
			"thresholdConfiguration": {"type": "COUNT", "value": 7}},
		"alarms": {"alarmNames": ["slow", "wrong"], "enable": true, "rollback": true},
		"earlySuccessCriteria": {"enable": true, "healthyPercent": 90, "sourceServiceRevisionCleanup": "DEFERRED"},
		"analysis": {"windowSeconds": 30, "minRequests": 5, "errorPercent": 0.25, "latencyMs": 400, "quantile": 0.95,
			"ratio": 2},
		"probe": {"path": "/health", "count": 5, "status": 204, "contains": "ok", "latencyMs": 300, "host": "shop.example"},
		"lifecycleHooks": [
			{"hookTargetArn": "https://hooks.example/deploy/smoke?x=1", "lifecycleStages": ["BAKE_TIME", "POST_SCALE_UP"],
				"hookDetails": {"a": [1.50, "b"]}, "secretFile": "/etc/skein/hook.secret",
				"timeoutConfiguration": {"timeoutInMinutes": 5, "action": "CONTINUE"}},
			{"targetType": "AWS_LAMBDA", "hookTargetArn": "arn:aws:ecs:eu-west-1:123:task-definition/digest:3",
				"lifecycleStages": ["PRE_SCALE_UP"]},
			{"targetType": "TASK", "hookTargetArn": "digest", "lifecycleStages": ["ROLLBACK_ENDED"]},
			{"targetType": "PAUSE", "lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"], "name": "look",
				"timeoutConfiguration": {"timeoutInMinutes": 20160}}]}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := Deployment{
		Breaker: &fleet.Breaker{Enable: true, KeepCount: true, Type: fleet.ThresholdCount, Value: 7},
		Alarms:  &fleet.Alarms{Names: []string{"slow", "wrong"}, Rollback: true},
		Early:   &Optional[fleet.EarlySuccess]{&fleet.EarlySuccess{HealthyPercent: 90, Deferred: true}},
		Analysis: &Optional[fleet.Analysis]{&fleet.Analysis{WindowS: 30, MinRequests: 5, ErrorShare: 25, LatencyMs: 400,
			Quantile: 95, Ratio: 200}},
		Probe: &Optional[fleet.Probe]{&fleet.Probe{Path: "/health", Count: 5, Status: 204, Contains: "ok", LatencyMs: 300,
			Host: "shop.example"}},
		Hooks: []fleet.Hook{
			{Name: "smoke", Stages: []fleet.LifecycleStage{fleet.StagePostScaleUp, fleet.StageBakeTime},
				Details: []byte(`{"a":[1.50,"b"]}`), TimeoutS: 300, ContinueOnTimeout: true,
				Webhook: &fleet.WebhookTarget{URL: "https://hooks.example/deploy/smoke?x=1", SecretFile: "/etc/skein/hook.secret"}},
			{Name: "digest", Stages: []fleet.LifecycleStage{fleet.StagePreScaleUp},
				Task: &fleet.TaskHookTarget{TaskDef: "digest:3"}},
			{Name: "digest-2", Stages: []fleet.LifecycleStage{fleet.PointRollbackEnded},
				Task: &fleet.TaskHookTarget{TaskDef: "digest"}},
			{Name: "look", Stages: []fleet.LifecycleStage{fleet.StagePostTestTrafficShift}, Pause: true, TimeoutS: 1_209_600},
		},
	}
	if diff := cmp.Diff(&want, s.Deployment); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if !s.DespiteAlarms {
		t.Error("despiteAlarms is not read")
	}
	if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0].String(),
		"lifecycleHooks[1].targetType: AWS_LAMBDA is taken for a task") {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestMinutesAreWholeSeconds(t *testing.T) {
	for given, want := range map[string]int{
		"0": 0, "1": 60, "0.5": 30, "0.3333": 20, "0.0167": 1, "0.05": 3, "1440": 86_400,
	} {
		s, err := ReadUpdate([]byte(`{"deploymentConfiguration": {"bakeTimeInMinutes": `+given+`, "lifecycleHooks": [
			{"hookTargetArn": "https://a", "lifecycleStages": ["POST_SCALE_UP"],
				"timeoutConfiguration": {"timeoutInMinutes": 0.25}}]}}`), Options{})
		if err != nil {
			t.Fatal(given, err)
		}
		if *s.Deployment.BakeS != want || s.Deployment.Hooks[0].TimeoutS != 15 {
			t.Errorf("%s minutes are %d s, want %d; the hook has %d s", given, *s.Deployment.BakeS, want,
				s.Deployment.Hooks[0].TimeoutS)
		}
	}
}

func TestDeploymentRefusals(t *testing.T) {
	hook := func(fields string) string { return `"lifecycleHooks": [{` + fields + `}]` }
	const stages = `"lifecycleStages": ["POST_SCALE_UP"]`
	for name, c := range map[string]struct{ fields, want string }{
		"a share below a tenth of a percent": {`"canaryConfiguration": {"canaryPercent": 0.05}`,
			"canaryConfiguration.canaryPercent: 0.05 is not within 0.1 to 100"},
		"a share between the tenths": {`"canaryConfiguration": {"canaryPercent": 5.55}`,
			"canaryConfiguration.canaryPercent: 5.55 is no multiple of 0.1"},
		"a step below three percent": {`"linearConfiguration": {"stepPercent": 2}`,
			"linearConfiguration.stepPercent: 2 is not within 3 to 100"},
		"a bake of more than a day": {`"bakeTimeInMinutes": 1441`, "bakeTimeInMinutes: 1441 is not within 0 to 1440 minutes"},
		"a bake of a text":          {`"bakeTimeInMinutes": "5"`, "bakeTimeInMinutes: is a string, must be a number"},
		"a bake beyond any number":  {`"bakeTimeInMinutes": 1e400`, "bakeTimeInMinutes: 1e400 is out of range"},
		"a bake between two seconds": {`"bakeTimeInMinutes": 0.02`,
			"bakeTimeInMinutes: 0.02 minutes are 1.2 seconds, and times are whole seconds here: 0.0167 minutes are 1 s"},
		"a bake below nothing": {`"bakeTimeInMinutes": -1`, "bakeTimeInMinutes: -1 is not within 0 to 1440 minutes"},
		"a Lambda function": {hook(`"hookTargetArn": "arn:aws:lambda:eu-west-1:1:function:check", ` + stages),
			`lifecycleHooks[0].hookTargetArn: "arn:aws:lambda:eu-west-1:1:function:check" cannot be called from here`},
		"no target": {hook(stages), "lifecycleHooks[0].hookTargetArn: missing"},
		"a target of a pause": {hook(`"targetType": "PAUSE", "hookTargetArn": "x", ` + stages),
			"lifecycleHooks[0].hookTargetArn: is of hooks that call something"},
		"a webhook that is no URL": {hook(`"targetType": "WEBHOOK", "hookTargetArn": "ftp://a", ` + stages),
			`lifecycleHooks[0].hookTargetArn: "ftp://a": the URL of a webhook`},
		"a task that is a URL": {hook(`"targetType": "TASK", "hookTargetArn": "https://a", ` + stages),
			`lifecycleHooks[0].hookTargetArn: "https://a" is a URL`},
		"no stage": {hook(`"hookTargetArn": "https://a"`), "lifecycleHooks[0].lifecycleStages: missing"},
		"a stage that nobody knows": {hook(`"hookTargetArn": "https://a", "lifecycleStages": ["SCALE"]`),
			`lifecycleHooks[0].lifecycleStages[0]: "SCALE" is no stage`},
		"a stage twice": {hook(`"hookTargetArn": "https://a", "lifecycleStages": ["BAKE_TIME", "BAKE_TIME"]`),
			"lifecycleHooks[0].lifecycleStages[1]: BAKE_TIME is given twice"},
		"a time-out of a fortnight of a webhook": {
			hook(`"hookTargetArn": "https://a", "timeoutConfiguration": {"timeoutInMinutes": 20160}, ` + stages),
			"timeoutInMinutes: 20160 is not within 0.0166667 to 1440 minutes"},
		"a secret of a task": {hook(`"hookTargetArn": "a", "secretFile": "/x", ` + stages),
			"lifecycleHooks[0].secretFile: signs the calls of a webhook"},
		"details that are a list": {hook(`"hookTargetArn": "a", "hookDetails": [1], ` + stages),
			"lifecycleHooks[0].hookDetails: is a list, must be an object"},
		"a threshold of no percent": {`"deploymentCircuitBreaker": {"thresholdConfiguration": {"value": 0}}`,
			"thresholdConfiguration.value: 0 is below 1"},
		"an early success of nothing": {`"earlySuccessCriteria": {"healthyPercent": 0}`, "healthyPercent: 0 is below 1"},
		"a quantile that is all":      {`"analysis": {"quantile": 1}`, "analysis.quantile: 1 is not within"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadUpdate([]byte(`{"deploymentConfiguration": {`+c.fields+`}}`), Options{})
			if !errors.Is(err, fleet.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// The two files are a customer's, for ECS on Fargate with awsvpc, after its ARNs alone
// were replaced by names.
func TestABlueGreenDefinitionOfECSRuns(t *testing.T) {
	def, err := ReadTaskDef(testdata(t, "shop-taskdef.json"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	port := def.Def.Containers[0].PortMappings[0]
	if def.Def.NetworkMode != fleet.NetworkBridge || port.ContainerPort != 8080 || port.HostPort != 0 {
		t.Errorf("%s with port %+v", def.Def.NetworkMode, port)
	}
	s, err := ReadCreate(testdata(t, "shop-service.json"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantLB := []fleet.LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "shop-blue",
		AlternateGroup: "shop-green", ProductionRule: "shop/production", TestRule: "shop/test"}}
	if diff := cmp.Diff(wantLB, s.LoadBalancers); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	config, _ := s.Deployment.Over(nil, true)
	analysis := DefaultAnalysis()
	want := fleet.DeploymentConfig{Strategy: fleet.BlueGreen, BakeS: 300, ProgressS: 600, Analysis: &analysis,
		Hooks: []fleet.Hook{
			{Name: "shop-smoke", Stages: []fleet.LifecycleStage{fleet.StagePostTestTrafficShift},
				Task: &fleet.TaskHookTarget{TaskDef: "shop-smoke"}},
			{Name: "approve", Stages: []fleet.LifecycleStage{fleet.StagePreScaleUp, fleet.StagePostProductionTrafficShift},
				Details: []byte(`{"team":"shop"}`),
				Webhook: &fleet.WebhookTarget{URL: "https://hooks.shop.example/approve"}},
		}}
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	warned := map[string]bool{}
	for _, w := range append(def.Warnings, s.Warnings...) {
		warned[w.Field] = true
	}
	for _, field := range []string{"networkMode", "executionRoleArn", "requiresCompatibilities", "networkConfiguration",
		"launchType", "deploymentConfiguration.lifecycleHooks[0].roleArn",
		"deploymentConfiguration.lifecycleHooks[0].targetType",
		"loadBalancers[0].advancedConfiguration.roleArn"} {
		if !warned[field] {
			t.Errorf("nothing is said of %s: %v", field, warned)
		}
	}
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
