package fleet

import "testing"

func TestAWayOfDeploymentThatContradictsItselfIsRefusedByName(t *testing.T) {
	const url = "https://hooks.example/x"
	hook := func(change func(*Hook)) func(*PutService) {
		return func(c *PutService) {
			h := Hook{Name: "ask", Stages: []LifecycleStage{StagePreScaleUp}, Webhook: &WebhookTarget{URL: url}}
			change(&h)
			c.Deployment.Hooks = append(c.Deployment.Hooks, h)
		}
	}
	config := func(change func(*DeploymentConfig)) func(*PutService) {
		return func(c *PutService) { change(&c.Deployment) }
	}
	for _, c := range []struct {
		name     string
		change   func(*PutService)
		sentinel error
		text     string
	}{
		{"no strategy that there is", config(func(d *DeploymentConfig) { d.Strategy = 9 }), ErrInvalid,
			`deploymentConfiguration.strategy: is strategy(9): allowed are ["ROLLING" "BLUE_GREEN" "LINEAR" "CANARY"]`},
		{"a canary without a share", config(func(d *DeploymentConfig) { d.CanaryShare = 0 }), ErrInvalid,
			"canaryConfiguration.canaryPercent: is 0 %: 0.1 % to 100 % in steps of 0.1 are allowed"},
		{"a canary of 5.55 %", config(func(d *DeploymentConfig) { d.CanaryShare = 555 }), ErrInvalid,
			"canaryPercent: is 5.55 %"},
		{"a canary of 101 %", config(func(d *DeploymentConfig) { d.CanaryShare = 10_100 }), ErrInvalid, "is 101 %"},
		{"a canary with steps of LINEAR", config(func(d *DeploymentConfig) { d.StepShare = 1000 }), ErrInvalid,
			"linearConfiguration: is of LINEAR: the strategy is CANARY"},
		{"LINEAR with the share of a canary", config(func(d *DeploymentConfig) { d.Strategy = Linear }), ErrInvalid,
			"canaryConfiguration: is of CANARY: the strategy is LINEAR"},
		{"LINEAR in steps of 2 %", config(func(d *DeploymentConfig) {
			*d = DeploymentConfig{Strategy: Linear, StepShare: 200}
		}), ErrInvalid, "linearConfiguration.stepPercent: is 2 %: 3 % to 100 %"},
		{"ROLLING with a wait between steps", config(func(d *DeploymentConfig) { *d = DeploymentConfig{StepBakeS: 1} }),
			ErrInvalid, "is of strategies with steps: the strategy is ROLLING"},
		{"a bake of over a day", config(func(d *DeploymentConfig) { d.BakeS = 86_401 }), ErrInvalid, "bakeTimeInMinutes"},
		{"a wait of over a day", config(func(d *DeploymentConfig) { d.StepBakeS = 86_401 }), ErrInvalid,
			"canaryBakeTimeInMinutes"},
		{"a breaker of a canary", config(func(d *DeploymentConfig) { d.Breaker.Enable = true }), ErrInvalid,
			"deploymentCircuitBreaker: is of ROLLING"},
		{"a breaker at 101 %", config(func(d *DeploymentConfig) { *d = DeploymentConfig{Breaker: Breaker{Value: 101}} }),
			ErrInvalid, "thresholdConfiguration.value: is 101"},
		{"a breaker that counts to 0", config(func(d *DeploymentConfig) {
			*d = DeploymentConfig{Breaker: Breaker{Type: ThresholdCount}}
		}), ErrInvalid, "thresholdConfiguration.value: is 0"},
		{"early success of a canary", config(func(d *DeploymentConfig) {
			d.EarlySuccess = &EarlySuccess{HealthyPercent: 100}
		}), ErrInvalid, "earlySuccessCriteria: is of ROLLING"},
		{"early success below the minimum", config(func(d *DeploymentConfig) {
			*d = DeploymentConfig{EarlySuccess: &EarlySuccess{HealthyPercent: 99}}
		}), ErrInvalid, "healthyPercent: is 99: 100 to 100"},
		{"an alarm that is not there", config(func(d *DeploymentConfig) { d.Alarms.Names = []string{"none"} }), ErrNotFound,
			`alarms.alarmNames[0]: alarm "none"`},
		{"an alarm twice", config(func(d *DeploymentConfig) { d.Alarms.Names = []string{"errors", "errors"} }), ErrInvalid,
			"alarmNames[1]"},
		{"an analysis of nothing", config(func(d *DeploymentConfig) { d.Analysis = &Analysis{WindowS: 1, MinRequests: 1} }),
			ErrInvalid, "analysis: looks at nothing"},
		{"no alternate group", func(c *PutService) { c.LoadBalancers[0].AlternateGroup = "" }, ErrInvalid,
			"loadBalancers[0].advancedConfiguration.alternateTargetGroupArn: is missing: CANARY"},
		{"no rule that forwards there", func(c *PutService) {
			c.LoadBalancers[0] = LoadBalancer{Container: "app", ContainerPort: 8080, Group: "grey", AlternateGroup: "green"}
		}, ErrInvalid,
			"loadBalancers[0].advancedConfiguration.productionListenerRule: is missing, and no rule forwards to grey"},
		{"the main group as the alternate one", func(c *PutService) { c.LoadBalancers[0].AlternateGroup = "blue" },
			ErrInvalid, "alternateTargetGroupArn: blue is named twice"},
		{"another service's group", func(c *PutService) { c.Name = "other" }, ErrConflict,
			"target group blue is that of service web"},
		{"a probe without a test rule", func(c *PutService) {
			c.LoadBalancers[0].TestRule, c.Deployment.Probe = "", &Probe{Path: "/", Count: 1}
		}, ErrInvalid, "testListenerRule is needed"},
		{"a probe of ROLLING", config(func(d *DeploymentConfig) {
			*d = DeploymentConfig{Probe: &Probe{Path: "/", Count: 1}}
		}), ErrInvalid, "probe: goes through the test rule: the strategy is ROLLING"},
		{"a probe without requests", config(func(d *DeploymentConfig) { d.Probe = &Probe{Path: "/"} }), ErrInvalid,
			"probe.count: is 0"},
		{"a hook without a target", hook(func(h *Hook) { h.Webhook = nil }), ErrInvalid,
			"lifecycleHooks[0].targetType: names 0"},
		{"a hook with two", hook(func(h *Hook) { h.Pause = true }), ErrInvalid, "names 2 of"},
		{"a hook that is never called", hook(func(h *Hook) { h.Stages = nil }), ErrInvalid, "lifecycleStages: is empty"},
		{"a hook at a stage without hooks", hook(func(h *Hook) { h.Stages = []LifecycleStage{StageScaleUp} }), ErrInvalid,
			"lifecycleStages[0]: is SCALE_UP, which has no hooks"},
		{"a hook at a stage that is none", hook(func(h *Hook) { h.Stages = []LifecycleStage{99} }), ErrInvalid,
			"has no such stage"},
		{"a hook at a stage twice", hook(func(h *Hook) { h.Stages = []LifecycleStage{StagePreScaleUp, StagePreScaleUp} }),
			ErrInvalid, "lifecycleStages[1]"},
		{"a hook of ROLLING at a shift", func(c *PutService) {
			c.Deployment = DeploymentConfig{}
			hook(func(h *Hook) { h.Stages = []LifecycleStage{StageTestTrafficShift} })(c)
		}, ErrInvalid, "TEST_TRAFFIC_SHIFT: a ROLLING deployment has no such stage"},
		{"a pause in a shift", hook(func(h *Hook) {
			h.Webhook, h.Pause, h.Stages = nil, true, []LifecycleStage{StageProductionTrafficShift}
		}), ErrInvalid, "where nobody can be waited for"},
		{"a webhook with a day and more", hook(func(h *Hook) { h.TimeoutS = 86_401 }), ErrInvalid, "timeoutInMinutes"},
		{"the name of the probe", hook(func(h *Hook) { h.Name = ProbeHook }), ErrInvalid, "is that of another hook"},
		{"a name twice", func(c *PutService) {
			hook(func(*Hook) {})(c)
			hook(func(*Hook) {})(c)
		}, ErrInvalid, `lifecycleHooks[1].name: "ask" is that of another hook`},
		{"a URL that is not allowed", hook(func(h *Hook) { h.Webhook = &WebhookTarget{URL: "https://evil.example/"} }),
			ErrInvalid, "lifecycleHooks[0].hookTargetArn: \"https://evil.example/\" is not among the allowed hook targets"},
		{"a task family that is not allowed", hook(func(h *Hook) {
			h.Webhook, h.Task = nil, &TaskHookTarget{TaskDef: "web:1"}
		}), ErrInvalid, "skein hook-target allow task:web"},
		{"a task that is not there", hook(func(h *Hook) { h.Webhook, h.Task = nil, &TaskHookTarget{TaskDef: "none:1"} }),
			ErrNotFound, `task definition "none:1"`},
		{"a secret by a relative path", hook(func(h *Hook) { h.Webhook.SecretFile = "key" }), ErrInvalid, "secretFile"},
		{"more details than are handed on", hook(func(h *Hook) { h.Details = make([]byte, MaxHookDetails+1) }), ErrInvalid,
			"hookDetails"},
		{"eleven webhooks", func(c *PutService) {
			for i := range 11 {
				hook(func(h *Hook) { h.Name += string(rune('a' + i)) })(c)
			}
		}, ErrInvalid, "at most 10 of either"},
		{"more calls than a deployment keeps", func(c *PutService) {
			c.Deployment = DeploymentConfig{Strategy: Linear, StepShare: 300}
			for i := range 10 {
				hook(func(h *Hook) {
					h.Name += string(rune('a' + i))
					h.Stages = []LifecycleStage{StagePreProductionTrafficShift}
				})(c)
			}
		}, ErrInvalid, "are called 340 times in the 34 steps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rolls(t, DeploymentConfig{})
			r.must(PutHookTarget{Target: "https://hooks.example"})
			r.must(PutAlarm{Name: "errors", URL: url, Query: "up", IntervalS: 10, Times: 1})
			r.must(group("grey"))
			put := balanced(2)
			put.LoadBalancers[0].TestRule = "shop/test"
			put.Deployment = canary
			c.change(&put)
			if put.Name == "web" {
				put.ExpectedModifyIndex = r.Service("web").ModifyIndex
			}
			r.refused(put, c.sentinel, c.text)
		})
	}
}

func TestStepsOfTraffic(t *testing.T) {
	for _, c := range []struct {
		config DeploymentConfig
		want   []int
	}{
		{DeploymentConfig{}, nil},
		{DeploymentConfig{Strategy: Rolling}, nil},
		{DeploymentConfig{Strategy: BlueGreen}, []int{10_000}},
		{DeploymentConfig{Strategy: Canary, CanaryShare: 10}, []int{10, 10_000}},
		{DeploymentConfig{Strategy: Canary, CanaryShare: 10_000}, []int{10_000}},
		{DeploymentConfig{Strategy: Linear, StepShare: 2500}, []int{2500, 5000, 7500, 10_000}},
		{DeploymentConfig{Strategy: Linear, StepShare: 3000}, []int{3000, 6000, 9000, 10_000}},
		{DeploymentConfig{Strategy: Linear, StepShare: 10_000}, []int{10_000}},
	} {
		var got []int
		for step := range c.config.Steps() {
			got = append(got, c.config.StepTo(step+1))
		}
		if len(got) != len(c.want) || len(got) > 0 && (got[0] != c.want[0] || got[len(got)-1] != 10_000) {
			t.Errorf("%s: %v, want %v", c.config.Strategy, got, c.want)
		}
	}
}

func TestSharesAsPeopleReadThem(t *testing.T) {
	for points, want := range map[int]string{
		0: "0 %", 5: "0.05 %", 10: "0.1 %", 250: "2.5 %", 1000: "10 %", 10_000: "100 %",
	} {
		if got := share(points); got != want {
			t.Errorf("%d: %s, want %s", points, got, want)
		}
	}
}
