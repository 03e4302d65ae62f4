package containerd

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"skein/raftfsm/fleet"
)

const (
	// Shares of a container; ECS API, ContainerDefinition (cpu).
	minShares, maxShares = 2, 262_144
	// pidsLimit keeps a fork bomb to itself.
	pidsLimit = 4096
	// Open files unless ulimits say otherwise; ECS API, LinuxParameters.
	softFiles, hardFiles = 1024, 4096

	mib = 1 << 20
)

// resourcesOf are a container's share and limits. On cgroup v2 the weight is
// written as it is to be: the OCI runtime's conversion of shares is a curve, and
// cpu is a ratio (ECS API, ContainerDefinition (cpu)).
func resourcesOf(def fleet.Container, unified bool) *specs.LinuxResources {
	shares := uint64(min(max(def.CPU, minShares), maxShares))
	pids := int64(pidsLimit)
	r := &specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: &shares},
		Memory: &specs.LinuxMemory{},
		Pids:   &specs.LinuxPids{Limit: &pids},
	}
	if unified {
		r.CPU = nil
		r.Unified = map[string]string{"cpu.weight": strconv.FormatUint(min(max((shares*100+512)/1024, 1), 10_000), 10)}
	}
	if def.Memory > 0 {
		limit := def.Memory * mib
		r.Memory.Limit = &limit
	}
	if def.MemoryReservation > 0 {
		soft := def.MemoryReservation * mib
		r.Memory.Reservation = &soft // soft_limit_in_bytes on v1, memory.low on v2
	}
	return r
}

// ulimitNames are those ECS knows. Source: ECS API, ContainerDefinition.
var ulimitNames = map[string]bool{
	"core": true, "cpu": true, "data": true, "fsize": true, "locks": true, "memlock": true, "msgqueue": true,
	"nice": true, "nofile": true, "nproc": true, "rss": true, "rtprio": true, "rttime": true, "sigpending": true,
	"stack": true,
}

func rlimitsOf(def fleet.Container) ([]specs.POSIXRlimit, error) {
	limits := []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: softFiles, Hard: hardFiles}}
	for _, u := range def.Ulimits {
		if !ulimitNames[u.Name] {
			return nil, fmt.Errorf("container %s: ulimits: unknown name %q", def.Name, u.Name)
		}
		one := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: rlimit(u.Soft), Hard: rlimit(u.Hard)}
		if one.Soft > one.Hard {
			return nil, fmt.Errorf("container %s: ulimits: %s: soft limit %d above hard limit %d", def.Name, u.Name, u.Soft,
				u.Hard)
		}
		if u.Name == "nofile" {
			limits[0] = one
			continue
		}
		limits = append(limits, one)
	}
	return limits, nil
}

// rlimit: a negative number is no limit.
func rlimit(n int64) uint64 {
	if n < 0 {
		return math.MaxUint64
	}
	return uint64(n)
}
