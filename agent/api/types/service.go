package types

// Services is a page of services by name.
type Services struct {
	Meta
	Services []Service `json:"services"`
	Next     string    `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Service keeps a number of tasks running.
type Service struct {
	Name         string            `json:"serviceName"`
	ModifyIndex  uint64            `json:"modifyIndex" doc:"log index of its last change; pass it as expect, to change what one has seen and nothing newer"`
	Status       string            `json:"status" enum:"ACTIVE,DRAINING"`
	Desired      int               `json:"desiredCount"`
	Running      int               `json:"runningCount"`
	Pending      int               `json:"pendingCount"`
	Stopping     int               `json:"stoppingCount"`
	Unreachable  int               `json:"unreachableCount" doc:"on hosts that cannot be reached; they are replaced"`
	Healthy      int               `json:"healthyCount" doc:"of the running ones, by the checks of their containers and those of them as targets; without any once they have run for 40 s"`
	Old          int               `json:"oldRevisionCount" doc:"tasks of earlier revisions that are not stopped"`
	Goals        *Goals            `json:"goals,omitempty" doc:"how many tasks of which revision there are to be, as planners want it now; absent from a change of the service until it is planned"`
	Steady       bool              `json:"steady" doc:"as many healthy tasks run as are desired, all of the newest revision, and nothing is left to decide"`
	TaskDef      string            `json:"taskDefinition"`
	Revision     string            `json:"revision"`
	Images       []Image           `json:"containerImages,omitempty"`
	Deployment   DeploymentConfig  `json:"deploymentConfiguration"`
	GraceS       int               `json:"healthCheckGracePeriodSeconds"`
	OnDisconnect OnDisconnect      `json:"onDisconnect"`
	Zones        map[string]int    `json:"zones" doc:"tasks that are to run, by zone"`
	Conditions   []Condition       `json:"conditions,omitempty" doc:"why nothing is done right now, by each planner that waits, most telling first"`
	Failures     int               `json:"failures,omitempty" doc:"starts in a row that failed"`
	NotBefore    Stamp             `json:"notBefore,omitzero" doc:"no new start before: back-off"`
	LastFailure  string            `json:"lastFailure,omitempty"`
	CreatedAt    Stamp             `json:"createdAt,omitzero"`
	UpdatedAt    Stamp             `json:"updatedAt,omitzero"`
	Tags         map[string]string `json:"tags,omitempty"`

	LoadBalancers []LoadBalancer `json:"loadBalancers,omitempty" doc:"how its tasks are reached"`

	Connect *ServiceConnect `json:"serviceConnectConfiguration,omitempty" doc:"how tasks of the fleet reach it by names"`

	LiveDeployment *Deployment `json:"liveDeployment,omitempty" doc:"the one that has not ended, without its history"`
}

// Goals is how many tasks a service is to have, by revision, and how many at most.
type Goals struct {
	PlannedBy string         `json:"plannedBy" doc:"the planner whose goals they are"`
	Maximum   int            `json:"maximumCount" doc:"tasks of all revisions that may be pending and running at once"`
	Revisions []RevisionGoal `json:"revisions" doc:"in the order of their numbers; of others nothing is started"`
}

// RevisionGoal is a revision's part of Goals.
type RevisionGoal struct {
	Revision string `json:"revision"`
	TaskDef  string `json:"taskDefinition"`
	Desired  int    `json:"desiredCount"`
	Maximum  int    `json:"maximumCount" doc:"more than desiredCount, so that a task starts before the one that it replaces stops"`
	Running  int    `json:"runningCount"`
	Pending  int    `json:"pendingCount"`
}

// OnDisconnect is what a host does with tasks while it is cut off.
type OnDisconnect struct {
	StopAfterS int64 `json:"stopAfterSeconds" doc:"0 keeps them for ever"`
}

// Image is a container's image as it was fixed.
type Image struct {
	Container string `json:"containerName"`
	Image     string `json:"image"`
	Digest    string `json:"imageDigest,omitempty"`
}
