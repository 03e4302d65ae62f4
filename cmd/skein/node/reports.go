package node

import (
	"context"
	"sync"
	"time"

	"skein/agent/capacity"
	"skein/raftfsm/fleet"
	"skein/runtime/hostos"
	"skein/runtime/seam/clock"
)

// capacityReports measures this host and publishes what it has.
type capacityReports struct {
	node *node

	mu      sync.Mutex
	reports capacity.Reports

	usage capacity.Usage // of the goroutine that measures only
}

func newCapacityReports(n *node) *capacityReports { return &capacityReports{node: n} }

// newest is the report published last, false before the first.
func (r *capacityReports) newest() (fleet.CapacityReport, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reports.Newest()
}

// run measures and publishes until ctx ends.
func (r *capacityReports) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		r.publish(r.measure(ctx))
		timer.Reset(clock.UntilNext(r.node.clock.Mono(), capacity.Every))
	}
}

func (r *capacityReports) publish(report fleet.CapacityReport) {
	r.mu.Lock()
	report, changed := r.reports.Next(r.node.clock.Mono(), report)
	r.mu.Unlock()
	if changed {
		r.node.ring.Publish(report)
	}
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
	report.Used = r.used(ctx)
	return report
}

// used is what tasks use; as published last while the kernel does not say.
func (r *capacityReports) used(ctx context.Context) fleet.Resources {
	now := r.node.clock.Mono()
	tasks, err := r.node.cgroups.Tasks(ctx)
	if err != nil {
		last, _ := r.newest()
		return last.Used // missing is not zero
	}
	samples := make(map[fleet.TaskID]capacity.Sample, len(tasks))
	for _, task := range tasks {
		if used, err := r.node.cgroups.Usage(ctx, task); err == nil {
			samples[task] = capacity.Sample{CPU: used.CPU, MemoryMiB: used.MemoryMiB}
		}
	}
	return r.usage.Sum(now, samples)
}
