package ecs

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Deployment is deploymentConfiguration as read. What is nil was not given.
type Deployment struct {
	Strategy  fleet.Strategy // 0: not given
	BakeS     *int
	Canary    *Steps
	Linear    *Steps
	ProgressS *int
	Hooks     []fleet.Hook // nil when not given, empty when emptied; tasks may name a family alone
	Breaker   *fleet.Breaker
	Alarms    *fleet.Alarms
	Early     *Optional[fleet.EarlySuccess]
	Analysis  *Optional[fleet.Analysis]
	Probe     *Optional[fleet.Probe]
}

// Steps is the share of each shift and the wait after it; what is nil was not given.
type Steps struct {
	Share *int // basis points
	BakeS *int
}

// Optional is something that was given: a value, or that there be none.
type Optional[T any] struct{ Value *T }

// Defaults of deployments. Source: ECS API, CanaryConfiguration, LinearConfiguration; the
// others are Skein's own.
const (
	DefaultRollingBakeS = 60
	DefaultBakeS        = 5 * 60
	DefaultProgressS    = 10 * 60
	DefaultCanaryShare  = 500
	DefaultCanaryBakeS  = 10 * 60
	DefaultLinearShare  = 1_000
	DefaultLinearBakeS  = 6 * 60
)

// DefaultAnalysis is what is looked at of services that clients reach through ingress.
func DefaultAnalysis() fleet.Analysis {
	return fleet.Analysis{WindowS: 10, MinRequests: 20, ErrorShare: 500, Ratio: 150}
}

// DefaultBreaker is the circuit breaker of rolling deployments.
func DefaultBreaker() fleet.Breaker { return fleet.Breaker{Enable: true, Rollback: true} }

func readDeployment(o *strictjson.Object) *Deployment {
	d := &Deployment{
		BakeS:     readMinutes(o, "bakeTimeInMinutes", 0, maxBakeMinutes),
		ProgressS: count(o, "progressDeadlineSeconds", 0, maxProgress),
		Breaker:   readBreaker(o),
		Alarms:    readAlarms(o),
		Early:     readEarly(o),
		Analysis:  readAnalysis(o),
		Probe:     readProbe(o),
		Hooks:     readHooks(o),
	}
	if o.Has("strategy") {
		strategy, err := fleet.ParseStrategy(o.Choice("strategy", "ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"))
		if err == nil {
			d.Strategy = strategy
		}
	}
	d.Canary = readSteps(o, "canaryConfiguration", "canaryPercent", "canaryBakeTimeInMinutes", minCanaryPercent)
	d.Linear = readSteps(o, "linearConfiguration", "stepPercent", "stepBakeTimeInMinutes", minStepPercent)
	return d
}

// readMinutes reads minutes with decimals as seconds, which they must be whole of, give or
// take what decimals cannot say: 0.3333 is 20 s.
func readMinutes(o *strictjson.Object, name string, low, high float64) *int {
	const slack = 0.05 // seconds
	if !o.Has(name) {
		return nil
	}
	n := o.Number(name, low)
	seconds := math.Round(60 * n)
	switch {
	case n < low || n > high:
		o.Refuse(name, "%s is not within %s to %g minutes", shortly(n), shortly(low), high)
	case math.Abs(60*n-seconds) > slack:
		o.Refuse(name, "%s minutes are %s seconds, and times are whole seconds here: %.4f minutes are %g s", shortly(n),
			shortly(60*n), seconds/60, seconds)
	}
	s := int(seconds)
	return &s
}

func shortly(n float64) string { return strconv.FormatFloat(n, 'g', 6, 64) }

func readSteps(o *strictjson.Object, name, share, wait string, least float64) *Steps {
	in := o.Object(name)
	if in == nil {
		return nil
	}
	s := &Steps{BakeS: readMinutes(in, wait, 0, maxBakeMinutes)}
	if in.Has(share) {
		points := 10 * int(in.Decimal(share, 0, least, 100, 0.1))
		s.Share = &points
	}
	return s
}

func readBreaker(o *strictjson.Object) *fleet.Breaker {
	in := o.Object("deploymentCircuitBreaker")
	if in == nil {
		return nil
	}
	b := &fleet.Breaker{Enable: in.Bool("enable", false), Rollback: in.Bool("rollback", false),
		KeepCount: !in.Bool("resetOnHealthyTask", true)}
	if t := in.Object("thresholdConfiguration"); t != nil {
		kind, err := fleet.ParseThresholdType(t.Choice("type", "BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"))
		if err == nil {
			b.Type = kind
		}
		b.Value = int(t.Int("value", 0, 1, fleet.MaxDesired))
	}
	return b
}

func readAlarms(o *strictjson.Object) *fleet.Alarms {
	in := o.Object("alarms")
	if in == nil {
		return nil
	}
	a := &fleet.Alarms{Names: in.Texts("alarmNames", maxAlarmNames, maxName), Rollback: in.Bool("rollback", true)}
	if !in.Bool("enable", true) {
		return &fleet.Alarms{}
	}
	return a
}

func readEarly(o *strictjson.Object) *Optional[fleet.EarlySuccess] {
	in := o.Object("earlySuccessCriteria")
	if in == nil {
		return nil
	}
	e := fleet.EarlySuccess{HealthyPercent: int(in.Int("healthyPercent", 100, 1, 100)),
		Deferred: in.Choice("sourceServiceRevisionCleanup", "BLOCKING", "DEFERRED") == "DEFERRED"}
	return optional(in, false, e)
}

func readAnalysis(o *strictjson.Object) *Optional[fleet.Analysis] {
	in := o.Object("analysis")
	if in == nil {
		return nil
	}
	a := DefaultAnalysis()
	readCount(in, "windowSeconds", &a.WindowS)
	readCount(in, "minRequests", &a.MinRequests)
	if in.Has("errorPercent") {
		a.ErrorShare = int(in.Decimal("errorPercent", 0, 0, 100, 0.01))
	}
	readCount(in, "latencyMs", &a.LatencyMs)
	if in.Has("quantile") {
		a.Quantile = int(in.Decimal("quantile", 0, 0.01, 0.99, 0.01))
	}
	if in.Has("ratio") {
		a.Ratio = int(in.Decimal("ratio", 0, 0.01, 1000, 0.01))
	}
	return optional(in, true, a)
}

func readProbe(o *strictjson.Object) *Optional[fleet.Probe] {
	in := o.Object("probe")
	if in == nil {
		return nil
	}
	p := fleet.Probe{Path: "/", Count: defaultProbes, Contains: in.Text("contains", maxGiven),
		Host: in.Text("host", maxName)}
	if in.Has("path") {
		p.Path = in.Text("path", maxGiven)
	}
	readCount(in, "count", &p.Count)
	readCount(in, "status", &p.Status)
	readCount(in, "latencyMs", &p.LatencyMs)
	return optional(in, true, p)
}

func optional[T any](o *strictjson.Object, enabled bool, value T) *Optional[T] {
	if !o.Bool("enable", enabled) {
		return &Optional[T]{}
	}
	return &Optional[T]{&value}
}

func readCount(o *strictjson.Object, name string, into *int) {
	*into = int(o.Int(name, int64(*into), 0, math.MaxInt32))
}

// Plain reports whether nothing was given but that tasks replace each other.
func (d *Deployment) Plain() bool {
	return d == nil || reflect.DeepEqual(*d, Deployment{Strategy: d.Strategy}) && !d.Strategy.Shifts()
}

// Over lays what was given over how deployments were done; nil: of a new service. It
// returns the defaults that were taken: all of a new service's, and those of a strategy
// that takes the place of another. Ingress says whether clients reach the service
// through an HTTP listener.
func (d *Deployment) Over(was *fleet.DeploymentConfig, ingress bool) (fleet.DeploymentConfig, []Default) {
	o := overlay{in: d, was: was}
	if d == nil {
		o.in = &Deployment{}
	}
	if was != nil {
		o.out = *was
	}
	o.strategy()
	o.waits()
	o.rolling()
	o.judges(ingress)
	return o.out, o.taken
}

// overlay is one laying of what was given over what was.
type overlay struct {
	in       *Deployment
	was      *fleet.DeploymentConfig
	out      fleet.DeploymentConfig
	replaced bool // another strategy than before, or the first
	taken    []Default
}

func (o *overlay) take(field, value, why string) {
	o.taken = append(o.taken, Default{"deploymentConfiguration." + field, value, why})
}

func (o *overlay) strategy() {
	before := fleet.Rolling
	if o.was != nil && o.was.Strategy != 0 {
		before = o.was.Strategy
	}
	o.out.Strategy = before
	if o.in.Strategy != 0 {
		o.out.Strategy = o.in.Strategy
	}
	if o.was == nil && o.in.Strategy == 0 {
		o.take("strategy", "ROLLING", "new tasks start before old ones stop")
	}
	if o.replaced = o.was == nil || o.out.Strategy != before; o.replaced {
		o.out.CanaryShare, o.out.StepShare, o.out.StepBakeS = 0, 0, 0
	}
}

// waits are bake and steps.
func (o *overlay) waits() {
	if o.in.BakeS != nil {
		o.out.BakeS = *o.in.BakeS
	} else if o.was == nil || o.replaced && o.was.Strategy.Shifts() != o.out.Strategy.Shifts() {
		o.out.BakeS = DefaultRollingBakeS
		why := "a version that fails soon after it started is seen before its deployment counts as successful"
		if o.out.Strategy.Shifts() {
			o.out.BakeS, why = DefaultBakeS, "both versions stay for so long, and going back starts no task"
		}
		o.take("bakeTimeInMinutes", minutesOf(o.out.BakeS), why)
	}
	if o.in.ProgressS != nil {
		o.out.ProgressS = *o.in.ProgressS
	} else if o.was == nil {
		o.out.ProgressS = DefaultProgressS
		o.take("progressDeadlineSeconds", strconv.Itoa(DefaultProgressS),
			"a deployment fails when no new task became healthy for so long")
	}
	o.steps(fleet.Canary, o.in.Canary, &o.out.CanaryShare, stepNames{"canaryConfiguration.canaryPercent",
		"canaryConfiguration.canaryBakeTimeInMinutes", DefaultCanaryShare, DefaultCanaryBakeS})
	o.steps(fleet.Linear, o.in.Linear, &o.out.StepShare, stepNames{"linearConfiguration.stepPercent",
		"linearConfiguration.stepBakeTimeInMinutes", DefaultLinearShare, DefaultLinearBakeS})
}

type stepNames struct {
	share, wait string
	points      int
	bakeS       int
}

// steps lays over the steps of a strategy. What is given of another strategy than the
// service's is laid over too: State refuses it by name.
func (o *overlay) steps(of fleet.Strategy, in *Steps, share *int, names stepNames) {
	mine := o.out.Strategy == of
	if !mine && in == nil {
		return
	}
	if in == nil {
		in = &Steps{}
	}
	switch {
	case in.Share != nil:
		*share = *in.Share
	case o.replaced && mine:
		*share = names.points
		o.take(names.share, percentOf(names.points), "the share of requests that the first shift puts at risk")
	}
	switch {
	case in.BakeS != nil:
		o.out.StepBakeS = *in.BakeS
	case o.replaced && mine:
		o.out.StepBakeS = names.bakeS
		o.take(names.wait, minutesOf(names.bakeS), "how long that share is watched before the next shift")
	}
}

// rolling is what only rolling deployments have.
func (o *overlay) rolling() {
	switch {
	case o.in.Breaker != nil:
		o.out.Breaker = *o.in.Breaker
	case o.out.Strategy.Shifts():
		o.out.Breaker = fleet.Breaker{}
	case o.replaced:
		o.out.Breaker = DefaultBreaker()
		o.take("deploymentCircuitBreaker", "enabled, with rollback",
			"a version whose tasks keep failing is taken back to the last good one")
	}
	switch {
	case o.in.Early != nil:
		o.out.EarlySuccess = o.in.Early.Value
	case o.out.Strategy.Shifts():
		o.out.EarlySuccess = nil
	}
}

// judges are what else can fail a deployment.
func (o *overlay) judges(ingress bool) {
	if o.in.Alarms != nil {
		o.out.Alarms = *o.in.Alarms
	}
	if o.in.Hooks != nil {
		o.out.Hooks = o.in.Hooks
	}
	if o.in.Probe != nil {
		o.out.Probe = o.in.Probe.Value
	}
	switch {
	case o.in.Analysis != nil:
		o.out.Analysis = o.in.Analysis.Value
	case o.was == nil && ingress:
		a := DefaultAnalysis()
		o.out.Analysis = &a
		o.take("analysis", fmt.Sprintf("over %d s, from %d requests on: %s errors, and %s times the other version's",
			a.WindowS, a.MinRequests, percentOf(a.ErrorShare), strconv.FormatFloat(float64(a.Ratio)/100, 'f', -1, 64)),
			"a version that answers worse than the one before is taken back")
	}
}

func minutesOf(seconds int) string {
	return strconv.FormatFloat((time.Duration(seconds) * time.Second).Minutes(), 'f', -1, 64)
}

func percentOf(points int) string {
	return strconv.FormatFloat(float64(points)/100, 'f', -1, 64) + " %"
}
