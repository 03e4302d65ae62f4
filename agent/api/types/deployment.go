package types

// Deployments is a page of deployments.
type Deployments struct {
	Meta
	Deployments []Deployment `json:"deployments"`
	Next        string       `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Deployment is one roll-out of a service.
type Deployment struct {
	ID          string              `json:"deploymentId" doc:"SERVICE.N"`
	ModifyIndex uint64              `json:"modifyIndex"`
	Service     string              `json:"serviceName"`
	Strategy    string              `json:"strategy" enum:"ROLLING,BLUE_GREEN,LINEAR,CANARY"`
	Status      string              `json:"status" enum:"PENDING,IN_PROGRESS,ROLLBACK_IN_PROGRESS,SUCCESSFUL,STOPPED,ROLLBACK_SUCCESSFUL,ROLLBACK_FAILED"`
	Reason      string              `json:"statusReason,omitempty"`
	Stage       string              `json:"lifecycleStage,omitempty"`
	Phase       string              `json:"phase,omitempty" enum:"preparation,deployment,testing,traffic shift,monitoring,completion,rollback"`
	Step        int                 `json:"step,omitempty" doc:"of the shifts of production traffic, from 1"`
	Steps       int                 `json:"steps,omitempty" doc:"how many shifts there are"`
	StageSince  Stamp               `json:"stageSince,omitzero"`
	WaitsUntil  Stamp               `json:"waitsUntil,omitzero" doc:"when the wait after the last shift, or the bake, is over"`
	Target      DeploymentRevision  `json:"targetServiceRevision"`
	Source      *DeploymentRevision `json:"sourceServiceRevision,omitempty" doc:"that a rollback goes back to"`
	Waits       string              `json:"waitsFor,omitempty" doc:"what it waits for now, in words"`
	Paused      *Pause              `json:"pause,omitempty"`
	Promoted    bool                `json:"promoted,omitempty" doc:"it waits for no more steps and no more bake"`
	Rollback    *Rollback           `json:"rollback,omitempty"`
	Breaker     *BreakerState       `json:"deploymentCircuitBreaker,omitempty"`
	Alarms      []AlarmState        `json:"alarms,omitempty"`
	Warnings    []string            `json:"warnings,omitempty" doc:"what does not judge it though it should: alarms without data"`
	Hooks       []HookRun           `json:"lifecycleHookDetails,omitempty" doc:"calls by when they began; of one deployment, not in lists"`
	Stages      []StageRecord       `json:"stages,omitempty" doc:"all that it went through, the present one last; of one deployment, not in lists"`
	CreatedAt   Stamp               `json:"createdAt,omitzero"`
	StartedAt   Stamp               `json:"startedAt,omitzero"`
	UpdatedAt   Stamp               `json:"updatedAt,omitzero"`
	EndedAt     Stamp               `json:"finishedAt,omitzero"`
}

// DeploymentRevision is one of a deployment's revisions.
type DeploymentRevision struct {
	Revision   string `json:"revision"`
	TaskDef    string `json:"taskDefinition,omitempty"`
	Requested  int    `json:"requestedTaskCount"`
	Running    int    `json:"runningTaskCount"`
	Pending    int    `json:"pendingTaskCount"`
	Healthy    int    `json:"healthyTaskCount"`
	Test       int    `json:"requestedTestTrafficWeight" doc:"basis points"`
	Production int    `json:"requestedProductionTrafficWeight" doc:"basis points"`
}

// StageRecord is a stage, or a step of it, that a deployment went through.
type StageRecord struct {
	Stage   string `json:"lifecycleStage"`
	Phase   string `json:"phase"`
	Step    int    `json:"step,omitempty"`
	BeganAt Stamp  `json:"beganAt,omitzero"`
	EndedAt Stamp  `json:"endedAt,omitzero"`
	Why     string `json:"why,omitempty" doc:"it ended, or did nothing"`
}

// HookRun is one call of a hook and what came of it.
type HookRun struct {
	ID        string `json:"hookId"`
	Hook      string `json:"hookName"`
	Stage     string `json:"lifecycleStage"`
	Step      int    `json:"step,omitempty"`
	Undo      bool   `json:"undo,omitempty" doc:"called for traffic that went back"`
	Status    string `json:"status" enum:"IN_PROGRESS,AWAITING_ACTION,SUCCEEDED,FAILED,TIMED_OUT"`
	Calls     int    `json:"calls,omitempty"`
	Task      string `json:"task,omitempty"`
	Answer    string `json:"answer,omitempty" doc:"the last"`
	BeganAt   Stamp  `json:"beganAt,omitzero"`
	EndedAt   Stamp  `json:"endedAt,omitzero"`
	ExpiresAt Stamp  `json:"expiresAt,omitzero"`
	NextCall  Stamp  `json:"nextCallAt,omitzero"`
}

// AlarmState is an alarm of a deployment.
type AlarmState struct {
	Name    string `json:"alarmName" doc:"ingress: what ingress itself sees of both revisions"`
	Status  string `json:"status" enum:"INSUFFICIENT_DATA,OK,ALARM"`
	Since   Stamp  `json:"since,omitzero"`
	Ignored bool   `json:"ignored,omitempty" doc:"it fired when the deployment began, which began despite it"`
	Answer  string `json:"answer,omitempty" doc:"the last"`
}

// BreakerState is what a circuit breaker has counted.
type BreakerState struct {
	Failures  int    `json:"failureCount"`
	Threshold int    `json:"threshold"`
	Tripped   bool   `json:"tripped,omitempty"`
	Last      string `json:"lastFailure,omitempty"`
	BuiltIn   bool   `json:"builtIn,omitempty" doc:"its strategy always has it, once all tasks were healthy"`
}

// Rollback is why a deployment goes back.
type Rollback struct {
	Reason    string `json:"reason"`
	StartedAt Stamp  `json:"startedAt,omitzero"`
	Revision  string `json:"revision,omitempty" doc:"that it goes back to; absent: there is none"`
	By        string `json:"by,omitempty"`
}

// Pause is an operator's hold on a deployment.
type Pause struct {
	By string `json:"by,omitempty"`
	At Stamp  `json:"at,omitzero"`
}

// DeploymentConfig is how a service's deployments are done, in ECS's words.
type DeploymentConfig struct {
	Strategy    string         `json:"strategy" enum:"ROLLING,BLUE_GREEN,LINEAR,CANARY"`
	MinPercent  int            `json:"minimumHealthyPercent"`
	MaxPercent  int            `json:"maximumPercent"`
	BakeMinutes float64        `json:"bakeTimeInMinutes,omitempty"`
	Canary      *CanaryConfig  `json:"canaryConfiguration,omitempty"`
	Linear      *LinearConfig  `json:"linearConfiguration,omitempty"`
	Hooks       []Hook         `json:"lifecycleHooks,omitempty"`
	Breaker     *BreakerConfig `json:"deploymentCircuitBreaker,omitempty"`
	Alarms      *AlarmsConfig  `json:"alarms,omitempty"`
	Early       *EarlySuccess  `json:"earlySuccessCriteria,omitempty"`
	ProgressS   int            `json:"progressDeadlineSeconds,omitempty"`
	Analysis    *Analysis      `json:"analysis,omitempty"`
	Probe       *Probe         `json:"probe,omitempty"`
}

// CanaryConfig is the first shift of a CANARY deployment.
type CanaryConfig struct {
	Percent     float64 `json:"canaryPercent"`
	BakeMinutes float64 `json:"canaryBakeTimeInMinutes"`
}

// LinearConfig are the shifts of a LINEAR deployment.
type LinearConfig struct {
	Percent     float64 `json:"stepPercent"`
	BakeMinutes float64 `json:"stepBakeTimeInMinutes"`
}

// Hook is called at stages of a deployment.
type Hook struct {
	Name       string       `json:"name"`
	TargetType string       `json:"targetType" enum:"WEBHOOK,TASK,PAUSE"`
	Target     string       `json:"hookTargetArn,omitempty" doc:"a URL, or a task definition"`
	Stages     []string     `json:"lifecycleStages"`
	Timeout    *HookTimeout `json:"timeoutConfiguration,omitempty"`
}

// HookTimeout is how long a hook may take, and what follows.
type HookTimeout struct {
	Minutes float64 `json:"timeoutInMinutes"`
	Action  string  `json:"action" enum:"ROLLBACK,CONTINUE"`
}

// BreakerConfig is the circuit breaker of rolling deployments.
type BreakerConfig struct {
	Enable    bool `json:"enable"`
	Rollback  bool `json:"rollback"`
	Reset     bool `json:"resetOnHealthyTask"`
	Threshold int  `json:"threshold" doc:"failures that trip it, at the present desired count"`
}

// AlarmsConfig are the alarms that fail a deployment.
type AlarmsConfig struct {
	Names    []string `json:"alarmNames"`
	Enable   bool     `json:"enable"`
	Rollback bool     `json:"rollback"`
}

// EarlySuccess ends a rolling deployment before all tasks are replaced.
type EarlySuccess struct {
	Enable         bool   `json:"enable"`
	HealthyPercent int    `json:"healthyPercent"`
	CleanUp        string `json:"sourceServiceRevisionCleanup" enum:"BLOCKING,DEFERRED"`
}

// Analysis compares what ingress sees of both revisions.
type Analysis struct {
	WindowS      int     `json:"windowSeconds"`
	MinRequests  int     `json:"minRequests"`
	ErrorPercent float64 `json:"errorPercent,omitempty"`
	LatencyMs    int     `json:"latencyMs,omitempty"`
	Quantile     float64 `json:"quantile,omitempty"`
	Ratio        float64 `json:"ratio,omitempty"`
}

// Probe sends requests by the test rule.
type Probe struct {
	Path      string `json:"path"`
	Count     int    `json:"count"`
	Status    int    `json:"status,omitempty"`
	Contains  string `json:"contains,omitempty"`
	LatencyMs int    `json:"latencyMs,omitempty"`
	Host      string `json:"host,omitempty"`
}

// OrderBody is what people ask of a deployment.
type OrderBody struct {
	Order       string `json:"order" enum:"pause,continue,promote,rollback,stop"`
	Hook        string `json:"hookId,omitempty" doc:"call of a hook that awaits a person; of continue alone"`
	Action      string `json:"action,omitempty" enum:"CONTINUE,ROLLBACK" doc:"the verdict on that hook; CONTINUE unless given"`
	ClientToken string `json:"clientToken,omitempty"`
}

// DeploymentWritten answers an order.
type DeploymentWritten struct {
	Written
	Deployment *Deployment `json:"deployment" nullable:"true"`
}

// Alarms are all alarms by name.
type Alarms struct {
	Meta
	Alarms []Alarm `json:"alarms"`
}

// Alarm is a question to a Prometheus server, asked while a deployment names it.
type Alarm struct {
	Name        string  `json:"name"`
	ModifyIndex uint64  `json:"modifyIndex"`
	URL         string  `json:"url" doc:"of the server, without /api/v1/query"`
	Query       string  `json:"query" doc:"PromQL; of several numbers the worst counts"`
	Comparison  string  `json:"comparison" enum:"above,below"`
	Threshold   float64 `json:"threshold"`
	IntervalS   int     `json:"intervalSeconds" doc:"between two questions"`
	Times       int     `json:"times" doc:"questions in a row that must fire"`
}

// AlarmBody creates or changes an alarm; what is not given is kept.
type AlarmBody struct {
	URL         string  `json:"url,omitempty"`
	Query       string  `json:"query,omitempty"`
	Comparison  string  `json:"comparison,omitempty" enum:"above,below" doc:"where the alarm fires; above unless given"`
	Threshold   float64 `json:"threshold,omitempty"`
	IntervalS   int     `json:"intervalSeconds,omitempty" doc:"10 unless given"`
	Times       int     `json:"times,omitempty" doc:"1 unless given"`
	ClientToken string  `json:"clientToken,omitempty"`
}

// AlarmWritten answers a change of an alarm.
type AlarmWritten struct {
	Written
	Alarm *Alarm `json:"alarm" nullable:"true" doc:"null when it is gone"`
}

// HookTargets are what hooks and alarms may name.
type HookTargets struct {
	Meta
	Targets []string `json:"targets" doc:"beginnings of URLs, and task:FAMILY"`
}

// HookTargetBody names what hooks and alarms may name.
type HookTargetBody struct {
	Target      string `json:"target" doc:"the beginning of URLs, https://hooks.example/skein/, or task:FAMILY"`
	ClientToken string `json:"clientToken,omitempty"`
}

// ImageBody is the image that a new revision of a definition has.
type ImageBody struct {
	Container   string `json:"containerName,omitempty" doc:"whose; not needed where there is one"`
	Image       string `json:"image"`
	ClientToken string `json:"clientToken,omitempty"`
}

// DeploymentPlan is what a deployment would need, and how long it would take.
type DeploymentPlan struct {
	Meta
	Service  string         `json:"serviceName"`
	Strategy string         `json:"strategy"`
	TaskDef  string         `json:"taskDefinition"`
	Now      Reservation    `json:"now" doc:"what its tasks reserve"`
	New      Reservation    `json:"new" doc:"what the new revision adds"`
	Most     Reservation    `json:"most" doc:"what they reserve while both revisions are there"`
	Hosts    []PlannedHost  `json:"hosts" doc:"that hold its tasks, or would, by name"`
	Missing  int            `json:"missing,omitempty" doc:"tasks that find no place"`
	Why      string         `json:"why,omitempty" doc:"they find none, and what can be done"`
	Stages   []PlannedStage `json:"stages"`
	Seconds  int            `json:"expectedSeconds" doc:"all stages together, hooks aside"`
}

// Reservation is what a number of tasks reserves.
type Reservation struct {
	Tasks int `json:"tasks"`
	Resources
}

// PlannedHost is a host that holds tasks, or would.
type PlannedHost struct {
	Host  string `json:"host"`
	Zone  string `json:"zone,omitempty"`
	Now   int    `json:"now,omitempty" doc:"tasks of the service that it has"`
	Tasks int    `json:"tasks" doc:"more that it would be given"`
}

// PlannedStage is a stage, or a step of it, that a deployment would go through.
type PlannedStage struct {
	Stage   string   `json:"lifecycleStage"`
	Phase   string   `json:"phase"`
	Step    int      `json:"step,omitempty"`
	Percent float64  `json:"productionPercent" doc:"of the new revision, at its end"`
	Seconds int      `json:"expectedSeconds"`
	Hooks   []string `json:"hooks,omitempty" doc:"that it waits for; how long is theirs"`
	Note    string   `json:"note,omitempty"`
}
