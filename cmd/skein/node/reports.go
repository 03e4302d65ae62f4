package node

import (
	"context"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/hostos"
)

const (
	// measureEvery is how often this host looks at itself.
	measureEvery = time.Second
	// reportAtLeast is how often it reports though little has changed: gossip
	// does not scale with more.
	reportAtLeast = 15 * time.Second
	// changedBy is what counts as much: MiB of memory, 1/1024 cores, percent.
	changedBy = 64
)

// capacityReports measures this host and publishes what it has.
type capacityReports struct {
	node *node

	mu   sync.Mutex
	last fleet.CapacityReport // as published
	at   time.Duration        // monotonic, of last
	seq  uint64

	usedAt   time.Duration
	usedByID map[fleet.TaskID]time.Duration
}

func newCapacityReports(n *node) *capacityReports { return &capacityReports{node: n} }

// newest is the report published last, false before the first.
func (r *capacityReports) newest() (fleet.CapacityReport, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, r.seq > 0
}

// run measures and publishes until ctx ends.
func (r *capacityReports) run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		r.publish(r.measure(ctx))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (r *capacityReports) publish(report fleet.CapacityReport) {
	r.mu.Lock()
	now := r.node.clock.Mono()
	if r.seq > 0 && now-r.at < reportAtLeast && !differs(&r.last, &report) {
		r.mu.Unlock()
		return
	}
	r.seq++
	report.Seq = r.seq
	r.last, r.at = report, now
	r.mu.Unlock()
	r.node.ring.Publish(report)
}

// differs reports whether a planner or a person would care.
func differs(a, b *fleet.CapacityReport) bool {
	far := func(x, y int64) bool { return x-y >= changedBy || y-x >= changedBy }
	return a.Nonce != b.Nonce || a.Reserved != b.Reserved || a.TasksRunning != b.TasksRunning || a.TasksPending != b.TasksPending ||
		a.PortsUsed != b.PortsUsed || a.Starved != b.Starved || a.Protected != b.Protected || a.Voter != b.Voter ||
		a.Runtime != b.Runtime || far(a.Used.CPU, b.Used.CPU) || far(a.Used.Memory, b.Used.Memory)
}

func (r *capacityReports) measure(ctx context.Context) fleet.CapacityReport {
	n := r.node
	status := n.host.Status()
	report := fleet.CapacityReport{
		Host: n.self, Nonce: n.link.Status().Nonce, Boot: n.boot, At: fleet.TimeOf(n.clock.Now()),
		Capacity: n.capacity, Reserved: n.host.Reserved(),
		TasksRunning: status.Running, TasksPending: status.Pending,
		Pressure: n.cgroups.Pressure(), Starved: n.starved(), Protected: n.protection.String(),
		Version: n.Version, Voter: n.voter.node() != nil, Runtime: status.RuntimeVersion,
	}
	if status.RuntimeError != "" {
		report.Runtime = status.RuntimeError
	}
	for _, task := range status.Tasks {
		if task.Status != fleet.TaskStopped {
			report.PortsUsed += len(task.Ports)
		}
	}
	if image, err := n.machine.OSImage(); err == nil {
		report.OSImage = image
	}
	if free, _, err := hostos.DiskFree(n.Config.DataDir); err == nil {
		report.DiskFreeMiB = free
	}
	report.Used = r.usage(ctx)
	return report
}

// usage sums what tasks use: memory now, cpu since the last look.
func (r *capacityReports) usage(ctx context.Context) fleet.Resources {
	var sum fleet.Resources
	now := r.node.clock.Mono()
	tasks, err := r.node.cgroups.Tasks(ctx)
	if err != nil {
		return r.last.Used // missing is not zero
	}
	var spent time.Duration
	seen := make(map[fleet.TaskID]time.Duration, len(tasks))
	for _, task := range tasks {
		usage, err := r.node.cgroups.Usage(ctx, task)
		if err != nil {
			continue
		}
		seen[task] = usage.CPU
		sum.Memory += usage.MemoryMiB
		if before, ok := r.usedByID[task]; ok && usage.CPU > before {
			spent += usage.CPU - before
		}
	}
	if passed := now - r.usedAt; r.usedByID != nil && passed > 0 {
		sum.CPU = int64(spent) * 1024 / int64(passed)
	}
	r.usedByID, r.usedAt = seen, now
	return sum
}
