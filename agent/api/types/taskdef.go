package types

// TaskDefs is a page of task definitions by family and revision.
type TaskDefs struct {
	Meta
	TaskDefs []TaskDef `json:"taskDefinitions"`
	Next     string    `json:"next,omitempty" doc:"pass as next for the following page"`
}

// TaskDef is a task definition, in the words of ECS.
type TaskDef struct {
	ID           string         `json:"taskDefinition" doc:"family:revision"`
	Family       string         `json:"family"`
	Revision     int            `json:"revision"`
	Network      string         `json:"networkMode" enum:"bridge,host,none"`
	CPU          string         `json:"cpu,omitempty" doc:"ceiling of the whole task"`
	Memory       string         `json:"memory,omitempty" doc:"ceiling of the whole task, MiB"`
	Reservation  Resources      `json:"reservation" doc:"what one task takes from its host"`
	Containers   []ContainerDef `json:"containerDefinitions"`
	Tags         []Tag          `json:"tags,omitempty"`
	RegisteredAt Stamp          `json:"registeredAt,omitzero"`
}

// Tag is a name and value.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ContainerDef is one container of a definition.
type ContainerDef struct {
	Name              string        `json:"name"`
	Image             string        `json:"image"`
	CPU               int64         `json:"cpu,omitempty"`
	Memory            int64         `json:"memory,omitempty"`
	MemoryReservation int64         `json:"memoryReservation,omitempty"`
	Essential         bool          `json:"essential"`
	EntryPoint        []string      `json:"entryPoint,omitempty"`
	Command           []string      `json:"command,omitempty"`
	WorkingDirectory  string        `json:"workingDirectory,omitempty"`
	User              string        `json:"user,omitempty"`
	Environment       []EnvVar      `json:"environment,omitempty" doc:"values are hidden from readers without write access"`
	Ports             []PortMapping `json:"portMappings,omitempty"`
	HealthCheck       *HealthCheck  `json:"healthCheck,omitempty"`
	StopTimeout       int           `json:"stopTimeout"`
	ReadonlyRootFS    bool          `json:"readonlyRootFilesystem,omitempty"`
	Linux             *LinuxParams  `json:"linuxParameters,omitempty"`
	Ulimits           []Ulimit      `json:"ulimits,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Hidden bool   `json:"hidden,omitempty" doc:"the value is not shown to this reader"`
}

// PortMapping asks for a port.
type PortMapping struct {
	Name          string `json:"name,omitempty"`
	ContainerPort int    `json:"containerPort"`
	HostPort      int    `json:"hostPort" doc:"0: given out by the fleet"`
	Protocol      string `json:"protocol" enum:"tcp,udp"`
	AppProtocol   string `json:"appProtocol,omitempty" enum:"http,http2,grpc"`
}

// HealthCheck is how a container proves itself.
type HealthCheck struct {
	Command     []string `json:"command,omitempty"`
	HTTP        *HTTPGet `json:"httpGet,omitempty"`
	Interval    int      `json:"interval"`
	Timeout     int      `json:"timeout"`
	Retries     int      `json:"retries"`
	StartPeriod int      `json:"startPeriod"`
}

// HTTPGet is a GET by the agent; 2xx and 3xx are healthy.
type HTTPGet struct {
	Port int    `json:"port"`
	Path string `json:"path"`
}

// LinuxParams are what a container's processes may do.
type LinuxParams struct {
	Capabilities *Capabilities `json:"capabilities,omitempty"`
	InitProcess  bool          `json:"initProcessEnabled,omitempty"`
}

// Capabilities change the default set.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// Ulimit is a resource limit.
type Ulimit struct {
	Name string `json:"name"`
	Soft int64  `json:"softLimit"`
	Hard int64  `json:"hardLimit"`
}
