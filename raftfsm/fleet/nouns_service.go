package fleet

// Service keeps Desired tasks of one revision running. Source: ECS API, Service.
type Service struct {
	Name         string            `cbor:"1,keyasint"`
	ModifyIndex  uint64            `cbor:"2,keyasint"` // log index of the last change, crash back-off aside
	Status       ServiceStatus     `cbor:"3,keyasint"`
	Desired      int               `cbor:"4,keyasint,omitempty"`
	Revision     RevisionID        `cbor:"5,keyasint"`           // the one tasks are started from
	LastRevision int               `cbor:"6,keyasint"`           // number of the newest revision ever made
	MinPercent   int               `cbor:"7,keyasint"`           // minimumHealthyPercent
	MaxPercent   int               `cbor:"8,keyasint"`           // maximumPercent
	GraceS       int               `cbor:"9,keyasint,omitempty"` // healthCheckGracePeriodSeconds
	OnDisconnect OnDisconnect      `cbor:"10,keyasint,omitempty"`
	Failures     int               `cbor:"11,keyasint,omitempty"` // rounds of starts in a row that failed; see backoff.go
	NotBefore    Time              `cbor:"12,keyasint,omitempty"` // no new start before: crash back-off
	LastFailure  string            `cbor:"13,keyasint,omitempty"` // reason of the last failed start, for people
	CreatedAt    Time              `cbor:"14,keyasint"`
	UpdatedAt    Time              `cbor:"15,keyasint"`
	Tags         map[string]string `cbor:"16,keyasint,omitempty"`
	// LoadBalancers bind ports of its tasks to target groups.
	LoadBalancers []LoadBalancer `cbor:"17,keyasint,omitempty" since:"2"`
	// Deployment is how its deployments are done.
	Deployment     DeploymentConfig `cbor:"18,keyasint,omitempty" since:"2"`
	LastDeployment int              `cbor:"19,keyasint,omitempty" since:"2"` // number of the newest ever made
	// Good is the target of the last deployment that succeeded: what the next one goes back
	// to. Empty: none has yet.
	Good RevisionID `cbor:"20,keyasint,omitempty" since:"2"`
}

// Goals is how many tasks of which revision a service is to have, and how many may be
// present at once: what CreateTasks is bound by. Planners write it. It is made for a
// service as it is, so that a change of the service ends it.
type Goals struct {
	Service     string         `cbor:"1,keyasint"`
	ModifyIndex uint64         `cbor:"2,keyasint"`
	By          string         `cbor:"3,keyasint,omitempty"` // planner
	Max         int            `cbor:"4,keyasint,omitempty"` // tasks of whichever revision that are to run and reachable
	Revisions   []RevisionGoal `cbor:"5,keyasint"`           // in the order of their numbers
}

// RevisionGoal is a revision's part of Goals. Max may be more than Desired so that a
// task starts before the one that it replaces stops.
type RevisionGoal struct {
	Revision RevisionID `cbor:"1,keyasint"`
	Desired  int        `cbor:"2,keyasint,omitempty"` // that stay
	Max      int        `cbor:"3,keyasint,omitempty"` // that are to run and reachable
	// Held keeps tasks as they are: none starts, and none stops but beyond Desired.
	Held bool `cbor:"4,keyasint,omitempty" since:"2"`
	// Idle says of a revision that is held that its tasks serve nobody: they stop without
	// others that take their place, and count for no minimum.
	Idle bool `cbor:"5,keyasint,omitempty" since:"2"`
}

// FormerService remembers the numbers of a removed service's revisions and deployments
// for a while, so that a new service of that name does not use them again.
type FormerService struct {
	Name         string `cbor:"1,keyasint"`
	ModifyIndex  uint64 `cbor:"2,keyasint"`
	LastRevision int    `cbor:"3,keyasint"`
	RemovedAt    Time   `cbor:"4,keyasint"`
	// LastDeployment is the number of its newest deployment, which went with it.
	LastDeployment int `cbor:"5,keyasint,omitempty" since:"2"`
}

// OnDisconnect is what a host does with tasks of the service once it hears no
// leader, by whichever voter. StopAfterMs 0 keeps them for ever.
type OnDisconnect struct {
	StopAfterMs int64 `cbor:"1,keyasint,omitempty"`
}

// Revision is an immutable copy of what a service's tasks are made from.
type Revision struct {
	ID          RevisionID `cbor:"1,keyasint"`
	ModifyIndex uint64     `cbor:"2,keyasint"`
	TaskDef     TaskDefID  `cbor:"3,keyasint"`
	Images      []ImagePin `cbor:"4,keyasint,omitempty"`
	CreatedAt   Time       `cbor:"5,keyasint"`
	// Groups are the target groups that its tasks are in, each once, as LoadBalancers of
	// its service said when it was made. Source: ECS API, ServiceRevision (resolvedConfiguration).
	Groups []GroupBinding `cbor:"6,keyasint,omitempty" since:"2"`
	// Starts is how starts of its tasks fail while it is not its service's current revision, as
	// Service has it for that one: during a deployment two are started. See backoff.go.
	Starts *RevisionStarts `cbor:"7,keyasint,omitempty" since:"2"`
}

// RevisionStarts are rounds of starts in a row that failed.
type RevisionStarts struct {
	Failures    int    `cbor:"1,keyasint"`
	NotBefore   Time   `cbor:"2,keyasint"` // when the next may begin
	LastFailure string `cbor:"3,keyasint"`
}

// ImagePin fixes a container's image to a digest, resolved once (ECS API, versionConsistency).
type ImagePin struct {
	Container string `cbor:"1,keyasint"`
	Digest    string `cbor:"2,keyasint"` // "sha256:..."
}
