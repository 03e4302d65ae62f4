package fleet

// TaskDef is an immutable template of a task. Source: ECS API, RegisterTaskDefinition.
type TaskDef struct {
	NextFields
	ID           TaskDefID         `cbor:"1,keyasint"`
	ModifyIndex  uint64            `cbor:"2,keyasint"`
	NetworkMode  NetworkMode       `cbor:"3,keyasint"`
	CPU          int64             `cbor:"4,keyasint,omitempty"` // hard ceiling of the whole task, 0 = none
	Memory       int64             `cbor:"5,keyasint,omitempty"` // MiB, hard ceiling of the whole task, 0 = none
	Containers   []Container       `cbor:"6,keyasint"`
	Tags         map[string]string `cbor:"7,keyasint,omitempty"`
	RegisteredAt Time              `cbor:"8,keyasint"`
	Constraints  []string          `cbor:"9,keyasint,omitempty"` // memberOf expressions; comes with the whole task model
}

// Container is one process tree of a task. Source: ECS API, ContainerDefinition.
type Container struct {
	Name              string        `cbor:"1,keyasint"`
	Image             string        `cbor:"2,keyasint"`
	CPU               int64         `cbor:"3,keyasint,omitempty"` // a share, never a ceiling
	Memory            int64         `cbor:"4,keyasint,omitempty"` // MiB, hard limit
	MemoryReservation int64         `cbor:"5,keyasint,omitempty"` // MiB, soft limit; what placement reserves
	NotEssential      bool          `cbor:"6,keyasint,omitempty"` // ECS "essential", inverted so that zero is its default
	EntryPoint        []string      `cbor:"7,keyasint,omitempty"`
	Command           []string      `cbor:"8,keyasint,omitempty"`
	WorkingDirectory  string        `cbor:"9,keyasint,omitempty"`
	User              string        `cbor:"10,keyasint,omitempty"`
	Environment       []EnvVar      `cbor:"11,keyasint,omitempty"`
	PortMappings      []PortMapping `cbor:"12,keyasint,omitempty"`
	HealthCheck       *HealthCheck  `cbor:"13,keyasint,omitempty"`
	StopTimeoutS      int           `cbor:"14,keyasint"` // SIGTERM to SIGKILL, seconds; 30 unless given
	ReadonlyRootFS    bool          `cbor:"15,keyasint,omitempty"`
	Capabilities      *Capabilities `cbor:"16,keyasint,omitempty"`
	Ulimits           []Ulimit      `cbor:"17,keyasint,omitempty"`
	InitProcess       bool          `cbor:"18,keyasint,omitempty"`
	DependsOn         []Dependency  `cbor:"19,keyasint,omitempty"` // comes with the whole task model
	Privileged        bool          `cbor:"20,keyasint,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name  string `cbor:"1,keyasint"`
	Value string `cbor:"2,keyasint,omitempty"`
}

// PortMapping asks for a port. Source: ECS API, PortMapping.
type PortMapping struct {
	Name          string   `cbor:"1,keyasint,omitempty"`
	ContainerPort int      `cbor:"2,keyasint"`
	HostPort      int      `cbor:"3,keyasint,omitempty"` // bridge: 0 = dynamic; host: equals ContainerPort
	Protocol      Protocol `cbor:"4,keyasint"`
	// AppProtocol is what is spoken over a tcp port, for those who reach it by an alias;
	// zero: anything. Hosts have no use for it.
	AppProtocol GroupProtocol `cbor:"5,keyasint,omitempty" since:"2,skip"`
}

// HealthCheck says how a container proves itself. Exactly one of Command and
// HTTP is set. Source: ECS API, HealthCheck; HTTP is Skein's own.
type HealthCheck struct {
	// run inside the container, CMD or CMD-SHELL already resolved to argv
	Command      []string   `cbor:"1,keyasint,omitempty"`
	HTTP         *HTTPCheck `cbor:"2,keyasint,omitempty"`
	IntervalS    int        `cbor:"3,keyasint"`
	TimeoutS     int        `cbor:"4,keyasint"`
	Retries      int        `cbor:"5,keyasint"`
	StartPeriodS int        `cbor:"6,keyasint,omitempty"`
}

// HTTPCheck is a GET made by the agent to the container; 2xx and 3xx are healthy.
type HTTPCheck struct {
	Port int    `cbor:"1,keyasint"` // container port
	Path string `cbor:"2,keyasint"`
}

// Capabilities change the default set, by names without "CAP_". Source: ECS API, LinuxParameters.
type Capabilities struct {
	Add  []string `cbor:"1,keyasint,omitempty"`
	Drop []string `cbor:"2,keyasint,omitempty"`
}

// Ulimit is a resource limit of the container's processes.
type Ulimit struct {
	Name string `cbor:"1,keyasint"`
	Soft int64  `cbor:"2,keyasint"`
	Hard int64  `cbor:"3,keyasint"`
}

// Dependency orders containers of one task. Source: ECS API, ContainerDependency.
type Dependency struct {
	Container string `cbor:"1,keyasint"`
	Condition string `cbor:"2,keyasint"`
}

// Reservation is what one task of the definition takes from a host, as ECS
// counts it (ECS API, ContainerDefinition (memory)): task numbers where set, else the sum over containers
// of cpu and of memoryReservation, or memory where there is none.
func (d *TaskDef) Reservation() Resources {
	var r Resources
	for i := range d.Containers {
		c := &d.Containers[i]
		r.CPU += c.CPU
		if c.MemoryReservation > 0 {
			r.Memory += c.MemoryReservation
		} else {
			r.Memory += c.Memory
		}
	}
	if d.CPU > 0 {
		r.CPU = d.CPU
	}
	if d.Memory > 0 {
		r.Memory = d.Memory
	}
	return r
}

// Checked reports whether any essential container has a health check, so that
// the task's health means something.
func (d *TaskDef) Checked() bool {
	for i := range d.Containers {
		if !d.Containers[i].NotEssential && d.Containers[i].HealthCheck != nil {
			return true
		}
	}
	return false
}

// Container returns the container of that name, or nil.
func (d *TaskDef) Container(name string) *Container {
	for i := range d.Containers {
		if d.Containers[i].Name == name {
			return &d.Containers[i]
		}
	}
	return nil
}
