package api

// Services is a page of services by name.
type Services struct {
	Meta
	Services []Service `json:"services"`
	Next     string    `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Service keeps a number of tasks running.
type Service struct {
	Name         string            `json:"serviceName"`
	Status       string            `json:"status" enum:"ACTIVE,DRAINING"`
	Desired      int               `json:"desiredCount"`
	Running      int               `json:"runningCount"`
	Pending      int               `json:"pendingCount"`
	Stopping     int               `json:"stoppingCount"`
	Unreachable  int               `json:"unreachableCount" doc:"on hosts that cannot be reached; they are replaced"`
	Healthy      int               `json:"healthyCount" doc:"of the running ones, by their checks; tasks without checks are never counted"`
	Old          int               `json:"oldRevisionCount" doc:"tasks of earlier revisions that are not stopped"`
	Steady       bool              `json:"steady" doc:"as many tasks run as are desired, all of the newest revision"`
	TaskDef      string            `json:"taskDefinition"`
	Revision     string            `json:"revision"`
	Images       []Image           `json:"containerImages,omitempty"`
	Deployment   DeploymentConfig  `json:"deploymentConfiguration"`
	GraceS       int               `json:"healthCheckGracePeriodSeconds"`
	OnDisconnect OnDisconnect      `json:"onDisconnect"`
	Zones        map[string]int    `json:"zones" doc:"tasks that are to run, by zone"`
	Wait         *Wait             `json:"wait,omitempty" doc:"why nothing is done right now"`
	Failures     int               `json:"failures,omitempty" doc:"starts in a row that failed"`
	NotBefore    Stamp             `json:"notBefore,omitzero" doc:"no new start before: back-off"`
	LastFailure  string            `json:"lastFailure,omitempty"`
	CreatedAt    Stamp             `json:"createdAt,omitzero"`
	UpdatedAt    Stamp             `json:"updatedAt,omitzero"`
	Tags         map[string]string `json:"tags,omitempty"`
}

// DeploymentConfig are the bounds of an update.
type DeploymentConfig struct {
	MinPercent int `json:"minimumHealthyPercent"`
	MaxPercent int `json:"maximumPercent"`
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

// Tasks is a page of tasks by id. A page may be shorter than its limit, even
// empty, and still have a next one.
type Tasks struct {
	Meta
	Tasks []Task `json:"tasks"`
	Next  string `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Task is one running copy of a task definition.
type Task struct {
	ID          string      `json:"taskId"`
	Service     string      `json:"service,omitempty" doc:"empty: standalone"`
	Revision    string      `json:"revision,omitempty"`
	TaskDef     string      `json:"taskDefinition"`
	Group       string      `json:"group,omitempty"`
	StartedBy   string      `json:"startedBy,omitempty"`
	Host        *HostRef    `json:"host,omitempty" doc:"absent until the task has one"`
	Desired     string      `json:"desiredStatus" enum:"RUNNING,STOPPED"`
	Last        string      `json:"lastStatus" enum:"PROVISIONING,PENDING,ACTIVATING,RUNNING,DEACTIVATING,STOPPING,DEPROVISIONING,STOPPED"`
	Health      string      `json:"healthStatus" enum:"UNKNOWN,HEALTHY,UNHEALTHY"`
	Unreachable bool        `json:"unreachable" doc:"its host cannot be reached: what is shown is what was last heard"`
	Ports       []Port      `json:"networkBindings,omitempty"`
	Containers  []Container `json:"containers,omitempty" doc:"how its containers ended"`
	StopCode    string      `json:"stopCode,omitempty"`
	Reason      string      `json:"stoppedReason,omitempty"`
	Wait        *Wait       `json:"wait,omitempty" doc:"why it is still pending"`
	Attempt     int         `json:"attempt,omitempty" doc:"starts on its host; above 1 only after the host lost power"`
	Unconfirmed bool        `json:"unconfirmed,omitempty" doc:"declared stopped without its host's word"`
	Source      string      `json:"source" enum:"state,host,cache" doc:"state: the fleet's log; host: the answering host's own view; cache: what a host that is cut off last heard"`
	CreatedAt   Stamp       `json:"createdAt,omitzero"`
	AssignedAt  Stamp       `json:"assignedAt,omitzero"`
	StartedAt   Stamp       `json:"startedAt,omitzero"`
	HealthyAt   Stamp       `json:"healthyAt,omitzero"`
	StoppingAt  Stamp       `json:"stoppingAt,omitzero"`
	StoppedAt   Stamp       `json:"stoppedAt,omitzero"`
}

// Port is a port as it was given out.
type Port struct {
	Container     string `json:"containerName"`
	ContainerPort int    `json:"containerPort"`
	HostPort      int    `json:"hostPort"`
	Protocol      string `json:"protocol" enum:"tcp,udp"`
}

// Container is how a container of a task ended.
type Container struct {
	Name     string `json:"name"`
	ExitCode *int   `json:"exitCode,omitempty" doc:"absent: it never ran, or nobody saw"`
	Reason   string `json:"reason,omitempty"`
}

// Decisions is a page of decisions, oldest first.
type Decisions struct {
	Meta
	Decisions []Decision `json:"decisions"`
	Next      uint64     `json:"next" doc:"pass as after for what comes later"`
	Missed    bool       `json:"missed,omitempty" doc:"decisions after the given number are kept no more"`
}

// Decision is what was done and why.
type Decision struct {
	Seq     uint64  `json:"seq"`
	Index   uint64  `json:"index"`
	At      Stamp   `json:"at,omitzero"`
	By      string  `json:"by"`
	Code    string  `json:"code"`
	About   string  `json:"about" doc:"service:web, host:h2, task:3f..."`
	Message string  `json:"message,omitempty"`
	Counts  []Count `json:"counts,omitempty"`
}
