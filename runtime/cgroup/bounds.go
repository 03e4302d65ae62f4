package cgroup

import "skein/runtime/port"

const (
	periodUS = 100_000 // CFS period; ECS API, ContainerDefinition (cpu)
	minQuota = 1_000   // the kernel refuses a shorter quota

	minShares, maxShares = 2, 262_144 // ECS API, ContainerDefinition (cpu)

	workShares      = 1024
	protectedFactor = 10 // measured: answers in 1.9 ms instead of 387 beside 88 busy loops

	mib = 1 << 20
)

// memoryMin is what v2 keeps from being reclaimed: an agent's and containerd's
// working sets with room (agent under 64 MiB idle, containerd with a hundred
// shims under 256).
func memoryMin(child Child) int64 {
	if child == Agent {
		return 96 * mib
	}
	return 256 * mib
}

// bounds are a task's, in the kernel's units; 0 = none.
type bounds struct {
	shares      int64
	quotaUS     int64
	memoryBytes int64
}

func toBounds(b port.TaskBounds) bounds {
	out := bounds{shares: b.Shares, memoryBytes: b.Memory * mib}
	if out.shares == 0 {
		out.shares = b.CPU // a task with a ceiling weighs as much as it may use
	}
	out.shares = min(max(out.shares, minShares), maxShares)
	if b.CPU > 0 {
		out.quotaUS = max(minQuota, b.CPU*periodUS/1024)
	}
	return out
}

// Weight is the cgroup v2 weight of cpu shares on a linear scale (1024 is 100),
// so that cpu stays an exact ratio; the runtimes' own conversion is a curve.
// Source: ECS API, ContainerDefinition (cpu).
func Weight(shares int64) int64 {
	return min(max((shares*100+512)/1024, 1), 10_000)
}

type usage struct {
	cpuNS       int64
	memoryBytes int64
	oomKills    int64
}
