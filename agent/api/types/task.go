package types

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
	Containers  []Container `json:"containers,omitempty" doc:"how each container stands, in the order of the definition; absent until the task has a host"`
	StopCode    string      `json:"stopCode,omitempty"`
	Replace     string      `json:"toBeReplaced,omitempty" doc:"the cause for which it must move: another starts first"`
	StopCause   string      `json:"stopCause,omitempty" enum:"operator,scale-in,rollout,drain,deadline,rebalance,consolidation,host-lost,task-failed" doc:"why it is to stop"`
	StoppedBy   string      `json:"stoppedBy,omitempty" doc:"who wanted that: a planner, an operator, or the id of its host"`
	Reason      string      `json:"stoppedReason,omitempty"`
	Conditions  []Condition `json:"conditions,omitempty" doc:"why it is still pending, by each planner that waits, most telling first"`
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

// Container is how a container of a task stands.
type Container struct {
	Name      string `json:"name"`
	RuntimeID string `json:"runtimeId,omitempty" doc:"its id in the container runtime of its host"`
	Last      string `json:"lastStatus" enum:"PENDING,RUNNING,STOPPED"`
	Health    string `json:"healthStatus" enum:"UNKNOWN,HEALTHY,UNHEALTHY"`
	ExitCode  *int   `json:"exitCode,omitempty" doc:"absent: it runs, never ran, or nobody saw"`
	Reason    string `json:"reason,omitempty"`
	Attempt   int    `json:"attempt,omitempty" doc:"its starts on its host; what it has beyond the task's are restarts of it alone"`
	StartedAt Stamp  `json:"startedAt,omitzero" doc:"by its host's clock"`
	StoppedAt Stamp  `json:"stoppedAt,omitzero" doc:"by its host's clock"`
}
