package fleet

import "fmt"

// names maps the values of a closed set to their text. Index 0 is the invalid
// zero value of every set.
type names []string

func (n names) text(v uint8, set string) string {
	if int(v) > 0 && int(v) < len(n) {
		return n[v]
	}
	return fmt.Sprintf("%s(%d)", set, v)
}

func (n names) value(text, set string) (uint8, error) {
	for v := 1; v < len(n); v++ {
		if n[v] == text {
			return uint8(v), nil
		}
	}
	return 0, fmt.Errorf("%s %q: allowed are %q", set, text, []string(n[1:]))
}

// TaskStatus is how far a task has come; the order of values is the order of
// its life and a recorded status never falls. Source: ECS guide, task lifecycle.
type TaskStatus uint8

// The statuses in order.
const (
	TaskProvisioning TaskStatus = iota + 1
	TaskPending
	TaskActivating
	TaskRunning
	TaskDeactivating
	TaskStopping
	TaskDeprovisioning
	TaskStopped
)

var taskStatusNames = names{"", "PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING",
	"DEPROVISIONING", "STOPPED"}

func (s TaskStatus) String() string { return taskStatusNames.text(uint8(s), "task status") }

// ParseTaskStatus is the inverse of String.
func ParseTaskStatus(text string) (TaskStatus, error) {
	v, err := taskStatusNames.value(text, "task status")
	return TaskStatus(v), err
}

// Health is the verdict of health checks. Source: ECS API, HealthCheck.
type Health uint8

// The verdicts. HealthUnknown also says "no check".
const (
	HealthUnknown Health = iota + 1
	HealthHealthy
	HealthUnhealthy
)

var healthNames = names{"", "UNKNOWN", "HEALTHY", "UNHEALTHY"}

func (h Health) String() string { return healthNames.text(uint8(h), "health") }

// HostState is what the fleet believes of a host. Source: cmd/skein/DESIGN.md "Host lifecycle".
type HostState uint8

// The lives of a host; forgotten is final.
const (
	HostJoining   HostState = iota + 1 // admitted, self-check not passed yet
	HostReady                          // may take tasks unless cordoned or draining
	HostSilent                         // unheard of; its tasks are replaced at once
	HostLost                           // silent longer than lostAfter
	HostForgotten                      // its certificate is worth nothing any more
)

var hostStateNames = names{"", "joining", "ready", "silent", "lost", "forgotten"}

func (l HostState) String() string { return hostStateNames.text(uint8(l), "host state") }

// VoterPhase is how far a voter has come in or out of the Raft configuration.
type VoterPhase uint8

// The phases, in order.
const (
	VoterPreparing VoterPhase = iota + 1 // intent; the fleet key is being handed over
	VoterLearning                        // a non-voter that catches up
	VoterVoting
	VoterRetiring // leaving; when gone the row is removed
)

var voterPhaseNames = names{"", "preparing", "learning", "voting", "retiring"}

func (p VoterPhase) String() string { return voterPhaseNames.text(uint8(p), "voter phase") }

// StopCode is why a task stopped, as a closed set. Source: ECS API, Task (stopCode).
type StopCode uint8

// The stop codes.
const (
	StopTaskFailedToStart StopCode = iota + 1
	StopEssentialContainerExited
	StopUserInitiated
	StopServiceSchedulerInitiated
	StopSpotInterruption
	StopTerminationNotice
	StopInfrastructureHealth
)

var stopCodeNames = names{"", "TaskFailedToStart", "EssentialContainerExited", "UserInitiated",
	"ServiceSchedulerInitiated", "SpotInterruption", "TerminationNotice", "InfrastructureHealth"}

// String is the ECS name; empty for the zero value, since a running task has none.
func (c StopCode) String() string {
	if c == 0 {
		return ""
	}
	return stopCodeNames.text(uint8(c), "stop code")
}

// NetworkMode is how a task meets the network. Source: ECS API, TaskDefinition.
type NetworkMode uint8

// The network modes. awsvpc comes with the whole task model.
const (
	NetworkBridge NetworkMode = iota + 1 // own namespace behind the host, port maps
	NetworkHost                          // the host's namespace
	NetworkNone                          // own namespace, loopback only
)

var networkModeNames = names{"", "bridge", "host", "none"}

func (m NetworkMode) String() string { return networkModeNames.text(uint8(m), "network mode") }

// ParseNetworkMode is the inverse of String.
func ParseNetworkMode(text string) (NetworkMode, error) {
	v, err := networkModeNames.value(text, "networkMode")
	return NetworkMode(v), err
}

// Protocol of a port.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = iota + 1
	UDP
)

var protocolNames = names{"", "tcp", "udp"}

func (p Protocol) String() string { return protocolNames.text(uint8(p), "protocol") }

// ParseProtocol is the inverse of String.
func ParseProtocol(text string) (Protocol, error) {
	v, err := protocolNames.value(text, "protocol")
	return Protocol(v), err
}

// TokenKind says what a token opens.
type TokenKind uint8

// The kinds of token.
const (
	TokenJoin     TokenKind = iota + 1 // admits hosts
	TokenOperator                      // carries operator writes through any agent
)

var tokenKindNames = names{"", "join", "operator"}

func (k TokenKind) String() string { return tokenKindNames.text(uint8(k), "token kind") }

// ServiceStatus is the life of a service. Source: ECS API, CreateService. A service whose
// tasks are all gone after delete is removed, so INACTIVE is never stored.
type ServiceStatus uint8

// The statuses of a service.
const (
	ServiceActive ServiceStatus = iota + 1
	ServiceDraining
)

var serviceStatusNames = names{"", "ACTIVE", "DRAINING"}

func (s ServiceStatus) String() string { return serviceStatusNames.text(uint8(s), "service status") }
