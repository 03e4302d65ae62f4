package fleet

// Task is one running copy of a task definition and the unit of placement. A
// task never moves and is never restarted: a replacement is a new task.
type Task struct {
	ID          TaskID     `cbor:"1,keyasint"`
	ModifyIndex uint64     `cbor:"2,keyasint"`
	Service     string     `cbor:"3,keyasint,omitempty"` // empty: standalone
	Revision    RevisionID `cbor:"4,keyasint,omitempty"` // empty: standalone
	TaskDef     TaskDefID  `cbor:"5,keyasint"`
	StartedBy   string     `cbor:"6,keyasint,omitempty"`
	Group       string     `cbor:"7,keyasint,omitempty"` // "service:web" or "family:job"
	Host        HostID     `cbor:"8,keyasint,omitempty"` // written once
	Desired     TaskStatus `cbor:"9,keyasint"`           // TaskRunning or TaskStopped, one way
	Last        TaskStatus `cbor:"10,keyasint"`
	Health      Health     `cbor:"11,keyasint"`
	StopCode    StopCode   `cbor:"13,keyasint,omitempty"`
	// Unconfirmed: declared STOPPED without its host's word (ExpireTasks). It
	// stays on the host's list, and keeps its reservation and ports there, until
	// the host confirms or is forgotten.
	Unconfirmed bool            `cbor:"23,keyasint,omitempty"`
	Ports       []PortBinding   `cbor:"12,keyasint,omitempty"`
	Reason      string          `cbor:"14,keyasint,omitempty"`
	Exits       []ContainerExit `cbor:"15,keyasint,omitempty"`
	Attempt     int             `cbor:"16,keyasint,omitempty"` // starts on its host; above 1 only after cold starts
	CreatedAt   Time            `cbor:"17,keyasint"`
	AssignedAt  Time            `cbor:"18,keyasint,omitempty"`
	StartedAt   Time            `cbor:"19,keyasint,omitempty"` // reached RUNNING
	HealthyAt   Time            `cbor:"20,keyasint,omitempty"` // Health last became HEALTHY
	StoppingAt  Time            `cbor:"21,keyasint,omitempty"` // Desired became STOPPED
	StoppedAt   Time            `cbor:"22,keyasint,omitempty"`
	Images      []ImagePin      `cbor:"24,keyasint,omitempty"` // standalone only; service tasks take the revision's
	// Session of its host in which it was assigned, or last reported at or above
	// Last. Below Host.BootSession: nothing was heard of it since the reboot.
	Session uint64 `cbor:"25,keyasint,omitempty"`
	// Stop is why it is to stop and who said so; nil while it is to run, and where
	// the log does not say.
	Stop *Request `cbor:"26,keyasint,omitempty"`
	// Replace says that it must move, and why: its service starts another first and
	// stops it when that is healthy. Nil: it may stay. Kept when it stops.
	Replace *Request `cbor:"27,keyasint,omitempty"`
	// Containers are kept where they say more than the row does: see ContainersOf.
	Containers []ContainerState `cbor:"28,keyasint,omitempty"`
	// Targets are one for each target group that it is in: those of its revision, in
	// that order. Tasks share the list while it says the same of them.
	Targets []TaskTarget `cbor:"29,keyasint,omitempty" since:"2"`
	// Overrides are what it was run with beyond its definition; nil: nothing. Standalone only.
	Overrides *TaskOverrides `cbor:"30,keyasint,omitempty" since:"2"`
}

// TaskOverrides are what a standalone task is run with beyond its definition. Source: ECS
// API, TaskOverride.
type TaskOverrides struct {
	// Environment is set in all containers, where their definition does not set the name.
	Environment []EnvVar `cbor:"1,keyasint,omitempty"`
}

// TaskTarget is how a task stands as a target of a group, in its host's words.
type TaskTarget struct {
	Group  TargetGroupName `cbor:"1,keyasint"`
	State  TargetState     `cbor:"2,keyasint"` // initial, healthy or unhealthy
	Reason string          `cbor:"3,keyasint,omitempty"`
	Since  Time            `cbor:"4,keyasint,omitempty"` // of State; zero: it was never told
}

// Standalone reports whether no service owns the task.
func (t *Task) Standalone() bool { return t.Service == "" }

// Stopped reports whether the task's life is over.
func (t *Task) Stopped() bool { return t.Last == TaskStopped }

// Held reports whether the task stands on its host's list and holds its
// reservation and ports there.
func (t *Task) Held() bool { return t.Host != "" && (t.Last != TaskStopped || t.Unconfirmed) }

func (t *Task) unassigned() bool {
	return t.Host == "" && t.Desired == TaskRunning && t.Last != TaskStopped
}

// PortBinding is a port as it was given out.
type PortBinding struct {
	Container     string   `cbor:"1,keyasint"`
	ContainerPort int      `cbor:"2,keyasint"`
	HostPort      int      `cbor:"3,keyasint"`
	Protocol      Protocol `cbor:"4,keyasint"`
}

// ContainerExit is how a container ended.
type ContainerExit struct {
	Container string `cbor:"1,keyasint"`
	Code      *int   `cbor:"2,keyasint,omitempty"` // nil: it never ran, or nobody saw
	Reason    string `cbor:"3,keyasint,omitempty"` // "OutOfMemoryError: ...", "CannotPullContainerError: ..."
}

// ContainerState is how one container of a task stands, in its host's words. Its
// id in the container runtime is ContainerID of its task and name.
type ContainerState struct {
	Name     string     `cbor:"1,keyasint"`
	Status   TaskStatus `cbor:"2,keyasint"`           // PENDING, RUNNING or STOPPED
	Health   Health     `cbor:"3,keyasint,omitempty"` // 0: as UNKNOWN
	ExitCode *int       `cbor:"4,keyasint,omitempty"` // nil: it runs, never ran, or nobody saw
	Reason   string     `cbor:"5,keyasint,omitempty"` // as in ContainerExit
	// Attempt counts its starts on its host, those of all attempts of the task: what
	// it has beyond the task's are restarts of the container alone.
	Attempt   int  `cbor:"6,keyasint,omitempty"`
	StartedAt Time `cbor:"7,keyasint,omitempty"` // RUNNING, by the host's clock
	StoppedAt Time `cbor:"8,keyasint,omitempty"` // STOPPED, by the host's clock
}

// ContainerID is what container runtimes call a container of a task.
func ContainerID(task TaskID, container string) string { return string(task) + "." + container }
