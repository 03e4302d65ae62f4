// Package port holds the types that the host loop and the adapters of this
// host share: what is asked of a container runtime, a network and cgroups, and
// how they answer. It owns no behaviour; the interfaces are declared by their
// consumer, agent/converge.
package port

import (
	"time"

	"skein/raftfsm/fleet"
)

// ImageRef names an image; Digest, when set, wins over the tag.
type ImageRef struct {
	Image  string
	Digest string
}

// ContainerSpec is all a runtime needs. ID is Task + "." + Container and is
// made once per attempt.
type ContainerSpec struct {
	ID         string
	Task       fleet.TaskID
	Attempt    int
	Def        fleet.Container
	Image      ImageRef
	CgroupPath string            // "/skein/work/<task>/<container>"
	Network    fleet.NetworkMode // NetworkHost: the host's; else a new namespace, or JoinPID's
	JoinPID    int               // a living container of the same task whose network namespace to share; 0 = new
	Hostname   string
	Env        []fleet.EnvVar // added before the container's own
	Labels     map[string]string
	LogPath    string // appended to by the shim (O_APPEND), never through the agent
	ResolvConf string // host file mounted read-only at /etc/resolv.conf; empty for none
	HostsFile  string // the same for /etc/hosts
}

// ContainerState is a container's state as the runtime tells it.
type ContainerState uint8

// The states. Unknown is the answer of a runtime that cannot tell: never a
// reason to report a stop.
const (
	ContainerUnknown ContainerState = iota
	ContainerCreated
	ContainerRunning
	ContainerExited
)

// ContainerStatus is one container found in the runtime.
type ContainerStatus struct {
	ID        string
	Task      fleet.TaskID
	Container string
	Attempt   int
	State     ContainerState
	PID       int
	ExitCode  int // valid when Exited; -1: it ended unseen (a reboot, its shim killed) or never got a process
	ExitedAt  time.Time
	OOMKilled bool
	// StopSignal is what asks the container to stop: the image's STOPSIGNAL, or 15.
	StopSignal int
	Image      string
	Digest     string
	Labels     map[string]string
}

// NetworkSpec is what a task wants of the network.
type NetworkSpec struct {
	Task  fleet.TaskID
	PID   int
	Mode  fleet.NetworkMode
	Ports []fleet.PortBinding
}

// TaskBounds are a task's shares and ceilings. Source: ECS API, ContainerDefinition (cpu, memory).
type TaskBounds struct {
	Shares int64 // sum of max(2, container cpu) when CPU is 0
	CPU    int64 // hard ceiling in 1/1024 core; 0 = none
	Memory int64 // MiB, hard ceiling; 0 = none
}

// Usage is what a cgroup uses.
type Usage struct {
	CPU       time.Duration // total
	MemoryMiB int64
	OOMKills  int
}

// Sentinels of the ports.
var (
	ErrImageNotFound = portError("image not found")
	ErrRegistry      = portError("registry unreachable")
	ErrRuntimeDown   = portError("container runtime does not answer")
	ErrExists        = portError("exists already")
	ErrRunning       = portError("container still runs")
	ErrNotFound      = portError("container not found")
)

type portError string

func (e portError) Error() string { return string(e) }
