package fleet

import (
	"cmp"
	"time"
)

// DeploymentID is "service.n": the n-th deployment of a service.
type DeploymentID string

// Deployment is one roll-out of a service from source revisions to a target revision:
// what was asked for, how far it has come, and what was decided on the way. All that a
// new leader needs to go on stands in it. At most one of a service is live. Source: ECS
// API, ServiceDeployment.
type Deployment struct {
	ID          DeploymentID `cbor:"1,keyasint"`
	ModifyIndex uint64       `cbor:"2,keyasint"`
	Service     string       `cbor:"3,keyasint"`
	Target      RevisionID   `cbor:"4,keyasint"`
	// Sources are the revisions that had tasks when it was made, in the order of their numbers.
	Sources []RevisionID `cbor:"5,keyasint,omitempty"`
	// Blue is the revision that has production traffic until Target takes it, and that a
	// rollback goes back to: the target of the last successful deployment. Empty: there is none.
	Blue   RevisionID       `cbor:"6,keyasint,omitempty"`
	Config DeploymentConfig `cbor:"7,keyasint"` // the service's when it was made
	Status DeploymentStatus `cbor:"8,keyasint"`
	Reason string           `cbor:"9,keyasint,omitempty"` // of Status, for people
	// Stage is the one that it is in, or was in when it ended or its rollback began; Step
	// counts the shifts of production traffic from 1.
	Stage      LifecycleStage `cbor:"10,keyasint,omitempty"`
	Step       int            `cbor:"11,keyasint,omitempty"`
	StageSince Time           `cbor:"12,keyasint,omitempty"` // of Stage and Step
	// Production and Test are Target's shares of traffic, as its rules have them, in basis points.
	Production int `cbor:"13,keyasint,omitempty"`
	Test       int `cbor:"14,keyasint,omitempty"`
	// WeightsIndex is the log index that last changed a weight: a shift is done when every
	// host serves routes at it.
	WeightsIndex uint64 `cbor:"15,keyasint,omitempty"`
	// ShiftedAt is when every host was known to serve the weights of Stage and Step: waits
	// between steps, and the bake, begin then.
	ShiftedAt Time          `cbor:"16,keyasint,omitempty"`
	Hooks     []HookRun     `cbor:"17,keyasint,omitempty"` // by when they began
	Breaker   BreakerState  `cbor:"18,keyasint"`
	Alarms    []AlarmState  `cbor:"19,keyasint,omitempty"` // as in Config
	Rollback  *Rollback     `cbor:"20,keyasint,omitempty"` // set when one began, for ever
	Pause     *Pause        `cbor:"21,keyasint,omitempty"` // an operator holds it; nil: nobody does
	Stages    []StageRecord `cbor:"22,keyasint,omitempty"` // all that it went through, the present one last
	CreatedAt Time          `cbor:"23,keyasint"`
	StartedAt Time          `cbor:"24,keyasint,omitempty"`
	UpdatedAt Time          `cbor:"25,keyasint"`
	EndedAt   Time          `cbor:"26,keyasint,omitempty"`
	// Promote says that an operator waits for no more steps and no more bake: the next
	// shift gives all, and the bake ends.
	Promote bool `cbor:"27,keyasint,omitempty"`
	// Wrote are the shares that the rules which it holds had before, as people wrote them:
	// they have them again when it ends. None of deployments that hold no rule, or ended.
	Wrote []RuleShares `cbor:"28,keyasint,omitempty"`
	// ResumedAt is when a person last let it go on: the time of a stage counts from then.
	ResumedAt Time `cbor:"29,keyasint,omitempty"`
	// Healthy is how many tasks of the target were healthy when that was last noted, and
	// HealthyAt when that number last grew: see DeploymentConfig.ProgressS.
	Healthy   int  `cbor:"30,keyasint,omitempty"`
	HealthyAt Time `cbor:"31,keyasint,omitempty"`
	// ShortSince is since when fewer tasks of the target are healthy than it needs, though
	// all were once it was scaled up. Zero: they are.
	ShortSince Time `cbor:"32,keyasint,omitempty"`
}

// RuleShares are the shares of a rule's target groups.
type RuleShares struct {
	Rule   RuleID        `cbor:"1,keyasint"`
	Groups []GroupWeight `cbor:"2,keyasint"`
}

// Live reports whether the deployment has not ended.
func (d *Deployment) Live() bool { return d.Status <= DeploymentRollingBack }

// DeploymentStatus is what has become of a deployment. Source: ECS API, ServiceDeploymentStatus.
type DeploymentStatus uint8

// The statuses. All after DeploymentRollingBack are final.
const (
	DeploymentPending     DeploymentStatus = iota + 1 // no planner has taken it up
	DeploymentInProgress                              //
	DeploymentRollingBack                             // production is blue's again; green goes
	DeploymentSuccessful                              //
	DeploymentStopped                                 // by people, or another took over, or it failed without rollback
	DeploymentRolledBack                              //
	DeploymentRollbackFailed
)

var deploymentStatusNames = names{"", "PENDING", "IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "SUCCESSFUL", "STOPPED",
	"ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"}

func (s DeploymentStatus) String() string {
	return deploymentStatusNames.text(uint8(s), "deployment status")
}

// ParseDeploymentStatus is the inverse of String.
func ParseDeploymentStatus(text string) (DeploymentStatus, error) {
	v, err := deploymentStatusNames.value(text, "status")
	return DeploymentStatus(v), err
}

// Strategy is how traffic and tasks go over to a target revision. Source: ECS API,
// DeploymentConfiguration.
type Strategy uint8

// The strategies.
const (
	Rolling   Strategy = iota + 1 // tasks replace each other within min and max percent
	BlueGreen                     // all at once, beside all of blue
	Linear                        // in equal steps
	Canary                        // a small share, then all
)

var strategyNames = names{"", "ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"}

func (s Strategy) String() string { return strategyNames.text(uint8(s), "strategy") }

// ParseStrategy is the inverse of String.
func ParseStrategy(text string) (Strategy, error) {
	v, err := strategyNames.value(text, "strategy")
	return Strategy(v), err
}

// Shifts reports whether both revisions stand side by side and traffic is shifted
// between them.
func (s Strategy) Shifts() bool { return s >= BlueGreen }

// LifecycleStage is a part of a deployment. Hooks are called at stages. Source: ECS API,
// DeploymentLifecycleHookStage.
type LifecycleStage uint8

// The stages in order, and behind them three points that are no stages, at which hooks
// are called too.
const (
	StageReconcileService LifecycleStage = iota + 1
	StagePreScaleUp
	StageScaleUp
	StagePostScaleUp
	StageTestTrafficShift
	StagePostTestTrafficShift
	StagePreProductionTrafficShift
	StageProductionTrafficShift
	StagePostProductionTrafficShift
	StageBakeTime
	StageCleanUp

	PointRollbackStarted // production is blue's again
	PointRollbackEnded   // green is gone
)

var lifecycleStageNames = names{"", "RECONCILE_SERVICE", "PRE_SCALE_UP", "SCALE_UP", "POST_SCALE_UP",
	"TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT",
	"POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP", "ROLLBACK_STARTED", "ROLLBACK_ENDED"}

func (s LifecycleStage) String() string { return lifecycleStageNames.text(uint8(s), "lifecycle stage") }

// ParseLifecycleStage is the inverse of String.
func ParseLifecycleStage(text string) (LifecycleStage, error) {
	v, err := lifecycleStageNames.value(text, "lifecycle stage")
	return LifecycleStage(v), err
}

// Phase is the part of a deployment that people speak of.
func (s LifecycleStage) Phase() string {
	switch {
	case s <= StagePreScaleUp:
		return "preparation"
	case s <= StagePostScaleUp:
		return "deployment"
	case s <= StagePostTestTrafficShift:
		return "testing"
	case s <= StagePostProductionTrafficShift:
		return "traffic shift"
	case s == StageBakeTime:
		return "monitoring"
	case s == StageCleanUp:
		return "completion"
	default:
		return "rollback"
	}
}

// DeploymentConfig is how a service's deployments are done. Source: ECS API,
// DeploymentConfiguration; min and max percent are the service's own.
type DeploymentConfig struct {
	Strategy Strategy `cbor:"1,keyasint,omitempty"` // 0: Rolling; of a Deployment never 0
	// BakeS is how long both revisions stay after the last shift; of rolling deployments,
	// how long the target is watched once it is whole.
	BakeS       int `cbor:"2,keyasint,omitempty"`
	CanaryShare int `cbor:"3,keyasint,omitempty"` // basis points, of Canary
	StepShare   int `cbor:"4,keyasint,omitempty"` // basis points, of Linear
	// StepBakeS is the wait after each shift but the last.
	StepBakeS int `cbor:"5,keyasint,omitempty"`
	// ProgressS is how long no task of the target may become healthy before the deployment
	// fails; 0: it never does for that.
	ProgressS    int           `cbor:"6,keyasint,omitempty"`
	Hooks        []Hook        `cbor:"7,keyasint,omitempty"`
	Breaker      Breaker       `cbor:"8,keyasint,omitempty"`
	Alarms       Alarms        `cbor:"9,keyasint,omitempty"`
	EarlySuccess *EarlySuccess `cbor:"10,keyasint,omitempty"`
	// Analysis compares what ingress sees of both revisions; nil: nothing is compared.
	Analysis *Analysis `cbor:"11,keyasint,omitempty"`
	// Probe sends requests by the test rule; nil: none are sent.
	Probe *Probe `cbor:"12,keyasint,omitempty"`
}

// Breaker is the circuit breaker of rolling deployments. Source: ECS API, DeploymentCircuitBreaker.
type Breaker struct {
	Enable   bool `cbor:"1,keyasint,omitempty"`
	Rollback bool `cbor:"2,keyasint,omitempty"`
	// KeepCount counts failures for ever, not in a row: a healthy task resets nothing.
	KeepCount bool          `cbor:"3,keyasint,omitempty"`
	Type      ThresholdType `cbor:"4,keyasint,omitempty"` // 0: ThresholdBounded
	Value     int           `cbor:"5,keyasint,omitempty"` // 0: 50
}

// ThresholdType says what Breaker.Value is. Source: ECS API, ThresholdConfiguration.
type ThresholdType uint8

// The types.
const (
	ThresholdBounded   ThresholdType = iota + 1 // percent of desired, at least 3 and at most 200 tasks
	ThresholdUnbounded                          // percent of desired
	ThresholdCount                              // tasks
)

var thresholdTypeNames = names{"", "BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"}

func (t ThresholdType) String() string { return thresholdTypeNames.text(uint8(t), "threshold type") }

// ParseThresholdType is the inverse of String.
func ParseThresholdType(text string) (ThresholdType, error) {
	v, err := thresholdTypeNames.value(text, "type")
	return ThresholdType(v), err
}

// Threshold is how many failures trip the breaker of a service that wants so many tasks.
func (b Breaker) Threshold(desired int) int {
	value := cmp.Or(b.Value, defaultBreakerPercent)
	percent := (value*desired + 99) / 100
	switch cmp.Or(b.Type, ThresholdBounded) {
	case ThresholdCount:
		return value
	case ThresholdUnbounded:
		return percent
	default:
		return max(minBounded, min(percent, maxBounded))
	}
}

// Bounds and default of BOUNDED_PERCENT. Source: ECS API, ThresholdConfiguration.
const (
	defaultBreakerPercent = 50
	minBounded            = 3
	maxBounded            = 200
)

// BreakerState is what a deployment's circuit breaker has counted.
type BreakerState struct {
	Failures int    `cbor:"1,keyasint,omitempty"` // of the target's tasks, in a row
	Last     string `cbor:"2,keyasint,omitempty"` // the newest, for people
	LastAt   Time   `cbor:"3,keyasint,omitempty"`
	Tripped  bool   `cbor:"4,keyasint,omitempty"`
}

// Lasting is how long a task of a rolling deployment must have been healthy before it
// resets the circuit breaker: a version whose tasks die a minute after they ran is bad.
const Lasting = 2 * time.Minute

// EarlySuccess ends a rolling deployment before all tasks are replaced. Source: ECS API,
// EarlySuccessCriteria.
type EarlySuccess struct {
	HealthyPercent int  `cbor:"1,keyasint,omitempty"` // of desired
	Deferred       bool `cbor:"2,keyasint,omitempty"` // old tasks may outlive success
}

// Alarms are the alarms that fail a deployment. Source: ECS API, DeploymentAlarms.
type Alarms struct {
	Names    []string `cbor:"1,keyasint,omitempty"` // of Alarm rows
	Rollback bool     `cbor:"2,keyasint,omitempty"` // else the deployment stops where it is
	// Despite lets a deployment begin though an alarm fires; that alarm is not looked at then.
	Despite bool `cbor:"3,keyasint,omitempty"`
}

// Alarm is a question to a Prometheus server, asked while a deployment names it.
type Alarm struct {
	Name        string `cbor:"1,keyasint"`
	ModifyIndex uint64 `cbor:"2,keyasint"`
	URL         string `cbor:"3,keyasint"` // of the server, without /api/v1/query
	Query       string `cbor:"4,keyasint"` // PromQL; one number comes of it, or several, of which the worst counts
	// Above says that the alarm fires where the number is above Threshold; else where it is below.
	Above     bool    `cbor:"5,keyasint,omitempty"`
	Threshold float64 `cbor:"6,keyasint,omitempty"`
	IntervalS int     `cbor:"7,keyasint"` // between two questions
	Times     int     `cbor:"8,keyasint"` // questions in a row that must fire
}

// AlarmStatus is what is known of an alarm.
type AlarmStatus uint8

// The statuses. Source: CloudWatch API, StateValue.
const (
	AlarmInsufficientData AlarmStatus = iota + 1 // not asked, or no number came
	AlarmOK
	AlarmFires
)

var alarmStatusNames = names{"", "INSUFFICIENT_DATA", "OK", "ALARM"}

func (s AlarmStatus) String() string { return alarmStatusNames.text(uint8(s), "alarm status") }

// AlarmState is an alarm of a deployment.
type AlarmState struct {
	Name   string      `cbor:"1,keyasint"`
	Status AlarmStatus `cbor:"2,keyasint"`
	Since  Time        `cbor:"3,keyasint,omitempty"` // of Status
	// Ignored: it fired when the deployment began, which began despite it.
	Ignored bool     `cbor:"4,keyasint,omitempty"`
	Firing  int      `cbor:"5,keyasint,omitempty"` // answers in a row that fired
	Answer  string   `cbor:"6,keyasint,omitempty"` // the last, for people: "0.31 > 0.05", or why there is none
	Effect  EffectID `cbor:"7,keyasint,omitempty"` // the question under way, until its answer is noted
	AskedAt Time     `cbor:"8,keyasint,omitempty"`
}

// Analysis is the built-in alarm on what ingress sees of the target: it fails the
// deployment where the target is bad and blue, over the same window, is not as bad.
type Analysis struct {
	WindowS     int `cbor:"1,keyasint"` // seconds that are looked back
	MinRequests int `cbor:"2,keyasint"` // of the target within the window; fewer say INSUFFICIENT_DATA
	// ErrorShare is the share of requests that fail (5xx, or no answer), in basis points; 0: not looked at.
	ErrorShare int `cbor:"3,keyasint,omitempty"`
	// LatencyMs is the most that the Quantile may take; 0: not looked at.
	LatencyMs int `cbor:"4,keyasint,omitempty"`
	Quantile  int `cbor:"5,keyasint,omitempty"` // in hundredths; 0: 99
	// Ratio is how many times worse than blue, in hundredths, the target must be as well; 0: 150.
	Ratio int `cbor:"6,keyasint,omitempty"`
}

// AnalysisAlarm is the name of Analysis among AlarmStates.
const AnalysisAlarm = "ingress"

// Hook is called at stages of a deployment, which waits for its verdict. Source: ECS
// API, DeploymentLifecycleHook.
type Hook struct {
	Name   string           `cbor:"1,keyasint"` // unique in the service
	Stages []LifecycleStage `cbor:"2,keyasint"` // stages and points, in order
	// Details are JSON, handed on to what is called.
	Details []byte `cbor:"3,keyasint,omitempty"`
	// TimeoutS is how long it may take at one stage, all calls together; 0: a day.
	TimeoutS int `cbor:"4,keyasint,omitempty"`
	// ContinueOnTimeout goes on where a verdict is missing by then; else the deployment rolls back.
	ContinueOnTimeout bool `cbor:"5,keyasint,omitempty"`
	// Exactly one of these is set.
	Webhook *WebhookTarget  `cbor:"6,keyasint,omitempty"`
	Task    *TaskHookTarget `cbor:"7,keyasint,omitempty"`
	Pause   bool            `cbor:"8,keyasint,omitempty"` // until a person continues
}

// WebhookTarget is a URL that is asked by POST.
type WebhookTarget struct {
	URL string `cbor:"1,keyasint"`
	// SecretFile is a file on the voters whose content signs the request (HMAC-SHA256).
	SecretFile string `cbor:"2,keyasint,omitempty"`
}

// TaskHookTarget is a standalone task whose exit code is the verdict.
type TaskHookTarget struct {
	TaskDef TaskDefID `cbor:"1,keyasint"`
}

// Probe is a built-in hook at StagePostTestTrafficShift: requests through the test rule.
type Probe struct {
	Path      string `cbor:"1,keyasint"`
	Count     int    `cbor:"2,keyasint"`           // requests, all of which must be well
	Status    int    `cbor:"3,keyasint,omitempty"` // 0: 200 to 399
	Contains  string `cbor:"4,keyasint,omitempty"` // in the body; empty: anything
	LatencyMs int    `cbor:"5,keyasint,omitempty"` // of each; 0: 10,000
	Host      string `cbor:"6,keyasint,omitempty"` // header; empty: as the rule asks for
}

// ProbeHook is the name of Probe among HookRuns.
const ProbeHook = "probe"

// HookRun is one call of a hook at a stage and step, and what came of it.
type HookRun struct {
	// ID is the same in every attempt, and what people continue a pause by: "web.4-1".
	ID    string         `cbor:"1,keyasint"`
	Hook  string         `cbor:"2,keyasint"`
	Stage LifecycleStage `cbor:"3,keyasint"`
	Step  int            `cbor:"4,keyasint,omitempty"`
	// Undo says that it was called for traffic that went back to blue.
	Undo      bool       `cbor:"5,keyasint,omitempty"`
	Status    HookStatus `cbor:"6,keyasint"`
	BeganAt   Time       `cbor:"7,keyasint"`
	ExpiresAt Time       `cbor:"8,keyasint"` // counts from when it was first called, without times of no leader
	EndedAt   Time       `cbor:"9,keyasint,omitempty"`
	Calls     int        `cbor:"10,keyasint,omitempty"` // that were begun
	NextCall  Time       `cbor:"11,keyasint,omitempty"` // it asked to be called again
	Effect    EffectID   `cbor:"12,keyasint,omitempty"` // the newest call
	Task      TaskID     `cbor:"13,keyasint,omitempty"`
	// Details are what the hook gave back, for its next call in this deployment.
	Details []byte `cbor:"14,keyasint,omitempty"`
	Answer  string `cbor:"15,keyasint,omitempty"` // the last, for people: why it failed, a task's last lines
}

// HookStatus is what has become of a call. Source: ECS API, hook status.
type HookStatus uint8

// The statuses. All after HookAwaitingAction are final.
const (
	HookInProgress HookStatus = iota + 1
	HookAwaitingAction
	HookSucceeded
	HookFailed
	HookTimedOut
)

var hookStatusNames = names{"", "IN_PROGRESS", "AWAITING_ACTION", "SUCCEEDED", "FAILED", "TIMED_OUT"}

func (s HookStatus) String() string { return hookStatusNames.text(uint8(s), "hook status") }

// Open reports whether a verdict is missing.
func (r *HookRun) Open() bool { return r.Status <= HookAwaitingAction }

// StageRecord is a stage, or a step of it, that a deployment went through.
type StageRecord struct {
	Stage   LifecycleStage `cbor:"1,keyasint"`
	Step    int            `cbor:"2,keyasint,omitempty"`
	BeganAt Time           `cbor:"3,keyasint"`
	EndedAt Time           `cbor:"4,keyasint,omitempty"`
	Why     string         `cbor:"5,keyasint,omitempty"` // it ended, or did nothing: "no test rule"
}

// Rollback is why and how a deployment goes back to blue. Source: ECS API, Rollback.
type Rollback struct {
	Reason    string     `cbor:"1,keyasint"`
	StartedAt Time       `cbor:"2,keyasint"`
	Revision  RevisionID `cbor:"3,keyasint,omitempty"` // that it goes back to; empty: there is none
	By        string     `cbor:"4,keyasint,omitempty"` // planner, or who asked
}

// Pause is an operator's hold on a deployment: no stage ends meanwhile. Alarms, checks
// and rollbacks go on.
type Pause struct {
	By string `cbor:"1,keyasint,omitempty"`
	At Time   `cbor:"2,keyasint"`
}

// HookTarget is an entry of the allow-list of what hooks and alarms may name, since
// voters call it and hosts run it. Without entries no hook has a target but a pause.
type HookTarget struct {
	// Target is the beginning of URLs, "https://hooks.example/skein/", with at least scheme
	// and host, or "task:" and a family of task definitions.
	Target      string `cbor:"1,keyasint"`
	ModifyIndex uint64 `cbor:"2,keyasint"`
}

// DeploymentOrder is what people ask of a deployment.
type DeploymentOrder uint8

// The orders.
const (
	OrderPause    DeploymentOrder = iota + 1 // no stage ends until it is continued
	OrderContinue                            // ends a pause, or answers a hook that awaits a person
	OrderPromote                             // the next shift gives all, and no wait follows
	OrderRollback                            // production is blue's again, and green goes
	OrderStop                                // ends it at once; see FinishDeployment
)

var deploymentOrderNames = names{"", "pause", "continue", "promote", "rollback", "stop"}

func (o DeploymentOrder) String() string { return deploymentOrderNames.text(uint8(o), "order") }

// ParseDeploymentOrder is the inverse of String.
func ParseDeploymentOrder(text string) (DeploymentOrder, error) {
	v, err := deploymentOrderNames.value(text, "order")
	return DeploymentOrder(v), err
}
