package fleet

import (
	"fmt"
	"slices"
)

// Limits on how deployments are done.
const (
	MaxHooks       = 10       // of a service, pauses aside, and as many pauses (ECS guide, lifecycle hooks)
	MaxHookRuns    = 250      // calls of all hooks that one deployment may come to, without those of a rollback
	MaxHookDetails = 1 << 10  // bytes: they are handed on in an effect's input
	maxBakeS       = 86_400   // ECS API, DeploymentConfiguration: 1440 minutes
	maxPauseS      = 1209_600 // ECS API, DeploymentLifecycleHook: 20160 minutes
	minStepShare   = 300      // basis points; ECS API, LinearConfiguration
	minCanaryShare = 10       // basis points; ECS API, CanaryConfiguration
	shareGrain     = 10       // basis points; ECS API: multiples of 0.1
	maxProgressS   = 30 * 86_400
	maxAlarmNames  = 10
	maxWindowS     = 3_600
	maxRequests    = 1_000_000
	maxLatencyMs   = 3_600_000
	maxRatio       = 100_000 // hundredths
	maxProbeCount  = 1_000
)

// checkDeploymentConfig refuses a way of deployment that contradicts itself, or that the
// service cannot have.
func (s *State) checkDeploymentConfig(c *PutService) error {
	const at = "deploymentConfiguration"
	d := &c.Deployment
	if d.Strategy > Canary {
		return field(at+".strategy", "is %s: allowed are %q", d.Strategy, []string(strategyNames[1:]))
	}
	return first(
		checkRange(at+".bakeTimeInMinutes (as seconds)", d.BakeS, 0, maxBakeS),
		checkRange(at+".progressDeadlineSeconds", d.ProgressS, 0, maxProgressS),
		checkSteps(at, d),
		checkBreaker(at+".deploymentCircuitBreaker", d),
		checkEarlySuccess(at+".earlySuccessCriteria", d, c.MinPercent),
		s.checkAlarms(at+".alarms", &d.Alarms),
		checkAnalysis(at+".analysis", d.Analysis),
		s.checkShifting(at, c),
		checkProbe(at+".probe", c),
		s.checkHooks(at+".lifecycleHooks", d),
	)
}

// checkSteps refuses shares and waits that are not the strategy's.
func checkSteps(at string, d *DeploymentConfig) error {
	canary, linear := at+".canaryConfiguration", at+".linearConfiguration"
	if d.Strategy != Canary && d.CanaryShare != 0 {
		return field(canary, "is of CANARY: the strategy is %s", d.strategyName())
	}
	if d.Strategy != Linear && d.StepShare != 0 {
		return field(linear, "is of LINEAR: the strategy is %s", d.strategyName())
	}
	switch d.Strategy {
	case Canary:
		if err := checkShare(canary+".canaryPercent", d.CanaryShare, minCanaryShare); err != nil {
			return err
		}
		return checkRange(canary+".canaryBakeTimeInMinutes (as seconds)", d.StepBakeS, 0, maxBakeS)
	case Linear:
		if err := checkShare(linear+".stepPercent", d.StepShare, minStepShare); err != nil {
			return err
		}
		return checkRange(linear+".stepBakeTimeInMinutes (as seconds)", d.StepBakeS, 0, maxBakeS)
	default:
	}
	if d.StepBakeS != 0 {
		return field(linear+".stepBakeTimeInMinutes", "is of strategies with steps: the strategy is %s", d.strategyName())
	}
	return nil
}

func (c *DeploymentConfig) strategyName() string {
	if c.Strategy == 0 {
		return Rolling.String()
	}
	return c.Strategy.String()
}

func checkShare(at string, points, low int) error {
	if points < low || points > TotalWeight || points%shareGrain != 0 {
		return field(at, "is %s: %s to 100 %% in steps of 0.1 are allowed", share(points), share(low))
	}
	return nil
}

func checkBreaker(at string, d *DeploymentConfig) error {
	b := &d.Breaker
	if d.Strategy.Shifts() && *b != (Breaker{}) {
		return field(at, "is of ROLLING: leave it out. %s has one built in, enabled with rollback from %s on, and goes back "+
			"by alarms, analysis and hooks too", d.Strategy, StagePostScaleUp)
	}
	if b.Type > ThresholdCount {
		return field(at+".thresholdConfiguration.type", "is %s: allowed are %q", b.Type, []string(thresholdTypeNames[1:]))
	}
	if b.Type == ThresholdCount {
		return checkRange(at+".thresholdConfiguration.value", b.Value, 1, MaxDesired)
	}
	return checkRange(at+".thresholdConfiguration.value", b.Value, 0, 100)
}

func checkEarlySuccess(at string, d *DeploymentConfig, minPercent int) error {
	if d.EarlySuccess == nil {
		return nil
	}
	if d.Strategy.Shifts() {
		return field(at, "is of ROLLING: the strategy is %s", d.Strategy)
	}
	return checkRange(at+".healthyPercent", d.EarlySuccess.HealthyPercent, max(1, minPercent), 100)
}

func (s *State) checkAlarms(at string, a *Alarms) error {
	if err := checkRange(at+".alarmNames", len(a.Names), 0, maxAlarmNames); err != nil {
		return err
	}
	for i, name := range a.Names {
		one := fmt.Sprintf("%s.alarmNames[%d]", at, i)
		if slices.Contains(a.Names[:i], name) {
			return field(one, "%s is named twice", quoted(name))
		}
		if s.Alarm(name) == nil {
			return refuse(ErrNotFound, "%s: alarm %s", one, quoted(name))
		}
	}
	return nil
}

func checkAnalysis(at string, a *Analysis) error {
	if a == nil {
		return nil
	}
	if a.ErrorShare == 0 && a.LatencyMs == 0 {
		return field(at, "looks at nothing: errorPercent or latencyMs is needed")
	}
	return first(
		checkRange(at+".windowSeconds", a.WindowS, 1, maxWindowS),
		checkRange(at+".minRequests", a.MinRequests, 1, maxRequests),
		checkRange(at+".errorPercent (as basis points)", a.ErrorShare, 0, TotalWeight),
		checkRange(at+".latencyMs", a.LatencyMs, 0, maxLatencyMs),
		checkRange(at+".quantile (as hundredths)", a.Quantile, 0, 99),
		checkRange(at+".ratio (as hundredths)", a.Ratio, 0, maxRatio),
	)
}

// checkShifting refuses to shift traffic that there is nothing to shift with. A service
// without load balancers is deployed by its stages alone.
func (s *State) checkShifting(at string, c *PutService) error {
	if !c.Deployment.Strategy.Shifts() {
		return nil
	}
	for i := range c.LoadBalancers {
		lb := &c.LoadBalancers[i]
		one := fmt.Sprintf("loadBalancers[%d].advancedConfiguration", i)
		if lb.AlternateGroup == "" {
			return field(one+".alternateTargetGroupArn", "is missing: %s shifts traffic from one target group to another",
				c.Deployment.Strategy)
		}
		if len(s.production(lb)) == 0 {
			return field(one+".productionListenerRule", "is missing, and no rule forwards to %s: %s has no traffic to shift",
				lb.Group, c.Deployment.Strategy)
		}
	}
	return nil
}

func checkProbe(at string, c *PutService) error {
	p := c.Deployment.Probe
	if p == nil {
		return nil
	}
	if !c.Deployment.Strategy.Shifts() {
		return field(at, "goes through the test rule: the strategy is %s, which has no test traffic",
			c.Deployment.strategyName())
	}
	if !slices.ContainsFunc(c.LoadBalancers, func(lb LoadBalancer) bool { return lb.TestRule != "" }) {
		return field(at, "goes through the test rule: loadBalancers[].advancedConfiguration.testListenerRule is needed")
	}
	if len(p.Path) == 0 || p.Path[0] != '/' {
		return field(at+".path", "%s does not begin with a slash", quoted(p.Path))
	}
	if p.Status != 0 {
		if err := checkRange(at+".status", p.Status, 100, maxHTTPCode); err != nil {
			return err
		}
	}
	return first(
		checkText(at+".path", p.Path, maxURL),
		checkRange(at+".count", p.Count, 1, maxProbeCount),
		checkValue(at+".contains", p.Contains, maxFixedBody),
		checkRange(at+".latencyMs", p.LatencyMs, 0, maxLatencyMs),
		checkText(at+".host", p.Host, MaxHostName),
	)
}

func (s *State) checkHooks(at string, d *DeploymentConfig) error {
	pauses, runs := 0, 0
	for i := range d.Hooks {
		h, one := &d.Hooks[i], fmt.Sprintf("%s[%d]", at, i)
		if err := first(checkHook(one, d, h), s.checkHookTask(one, h), s.checkHookAllowed(one, h)); err != nil {
			return err
		}
		if h.Name == ProbeHook || slices.ContainsFunc(d.Hooks[:i], func(o Hook) bool { return o.Name == h.Name }) {
			return field(one+".name", "%s is that of another hook", quoted(h.Name))
		}
		if h.Pause {
			pauses++
		}
		for _, stage := range h.Stages {
			runs += d.visits(stage)
		}
	}
	if pauses > MaxHooks || len(d.Hooks)-pauses > MaxHooks {
		return field(at, "has %d entries, %d of them pauses: at most %d of either are allowed", len(d.Hooks), pauses,
			MaxHooks)
	}
	if runs > MaxHookRuns {
		return field(at, "are called %d times in the %d steps of a deployment: at most %d are allowed", runs, d.Steps(),
			MaxHookRuns)
	}
	return nil
}

// visits is how often a deployment comes to a stage.
func (c *DeploymentConfig) visits(stage LifecycleStage) int {
	if stage == StagePreProductionTrafficShift || stage == StageProductionTrafficShift {
		return c.Steps()
	}
	return 1
}

func checkHook(at string, d *DeploymentConfig, h *Hook) error {
	targets := 0
	for _, is := range []bool{h.Webhook != nil, h.Task != nil, h.Pause} {
		if is {
			targets++
		}
	}
	if targets != 1 {
		return field(at+".targetType", "names %d of a webhook, a task and a pause: exactly one is needed", targets)
	}
	most := maxBakeS
	if h.Pause {
		most = maxPauseS
	}
	if err := first(
		checkName(at+".name", h.Name, MaxID),
		checkRange(at+".timeoutConfiguration.timeoutInMinutes (as seconds)", h.TimeoutS, 0, most),
		checkStages(at+".lifecycleStages", d, h),
	); err != nil {
		return err
	}
	if len(h.Details) > MaxHookDetails {
		return field(at+".hookDetails", "is %d bytes long: at most %d are allowed", len(h.Details), MaxHookDetails)
	}
	if h.Webhook == nil {
		return nil
	}
	if h.Webhook.SecretFile != "" {
		if err := checkFile(at+".secretFile", h.Webhook.SecretFile); err != nil {
			return err
		}
	}
	return checkURL(at+".hookTargetArn", h.Webhook.URL)
}

func checkStages(at string, d *DeploymentConfig, h *Hook) error {
	if len(h.Stages) == 0 {
		return field(at, "is empty: the hook would never be called")
	}
	for i, stage := range h.Stages {
		one := fmt.Sprintf("%s[%d]", at, i)
		point := stage == PointRollbackStarted || stage == PointRollbackEnded
		switch {
		case stage == StageScaleUp || stage == StageCleanUp:
			return field(one, "is %s, which has no hooks", stage)
		case !point && !d.Strategy.has(stage):
			return field(one, "is %s: a %s deployment has no such stage", stage, d.strategyName())
		case h.Pause && (point || stage == StageTestTrafficShift || stage == StageProductionTrafficShift):
			return field(one, "is %s, where nobody can be waited for", stage)
		case i > 0 && stage <= h.Stages[i-1]:
			return field(one, "is %s, which comes before the one above, or twice", stage)
		}
	}
	return nil
}

func (s *State) checkHookTask(at string, h *Hook) error {
	if h.Task != nil && s.TaskDef(h.Task.TaskDef) == nil {
		return refuse(ErrNotFound, "%s.hookTargetArn: task definition %s", at, quoted(string(h.Task.TaskDef)))
	}
	return nil
}
