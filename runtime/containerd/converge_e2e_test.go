//go:build e2e

package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"skein/agent/converge"
	"skein/agent/converge/porttest"
	"skein/raftfsm/fleet"
	"skein/runtime/cgroup"
	"skein/runtime/port"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

const (
	benchTasks   = 50
	benchStarts  = 4 // in flight, for both: 2 x cores of a small host
	benchTimeout = 2 * time.Minute
)

// BenchmarkConverge measures how fast a host starts 50 tasks through the whole
// host loop (list on disk, journal, cgroup, container with all that keeps it
// in), beside the containerd library alone with its own defaults, in turn. Run
// it with
//
//	go test -tags e2e -run '^$' -bench Converge -benchtime 5x ./runtime/containerd
//
// The ratios are of rates: 1 is as fast as the library alone. The processor
// milliseconds are those of a start, by whose they are.
func BenchmarkConverge(t *testing.B) {
	testImages(t)
	for _, ociRuntime := range []string{"runc", "crun"} {
		t.Run(ociRuntime, func(t *testing.B) {
			b := newBedWith(t, sharedDaemon(t), ociRuntime)
			must(t, pullFor(b))
			var loop, raw []cost
			for round := range t.N + 1 {
				r, l := rawStarts(t, b, round), loopStarts(t, b, round)
				if round > 0 { // the first warms up
					raw, loop = append(raw, r), append(loop, l)
				}
			}
			report(t, raw, loop)
		})
	}
}

func pullFor(b *bed) error {
	for _, ref := range []port.ImageRef{theHub.ref("web"), {Image: theHub.ref("web").Image}} {
		if _, err := b.Pull(b.t.Context(), ref); err != nil {
			return err
		}
	}
	return nil
}

// cost is what starting all tasks took.
type cost struct {
	wall                time.Duration
	client, daemon, all time.Duration // processor time: this process, containerd, all of both with shims and runtimes
}

func report(t *testing.B, raw, loop []cost) {
	var ratios []float64
	for i := range loop {
		ratios = append(ratios, float64(raw[i].wall)/float64(loop[i].wall))
	}
	slices.Sort(ratios)
	median := func(costs []cost, f func(cost) time.Duration) time.Duration {
		var all []time.Duration
		for _, c := range costs {
			all = append(all, f(c)/benchTasks)
		}
		slices.Sort(all)
		return all[len(all)/2].Round(10 * time.Microsecond)
	}
	for _, arm := range []struct {
		name  string
		costs []cost
	}{{"library", raw}, {"host loop", loop}} {
		t.Logf("%s: %v a start; processor: client %v, containerd %v, all %v", arm.name,
			median(arm.costs, func(c cost) time.Duration { return c.wall }),
			median(arm.costs, func(c cost) time.Duration { return c.client }),
			median(arm.costs, func(c cost) time.Duration { return c.daemon }),
			median(arm.costs, func(c cost) time.Duration { return c.all }))
	}
	t.ReportMetric(ratios[len(ratios)/2], "of-library")
	t.ReportMetric(ratios[0], "of-library-least")
	t.ReportMetric(ratios[len(ratios)-1], "of-library-most")
	t.ReportMetric(float64(median(loop, func(c cost) time.Duration { return c.wall }).Microseconds())/1000, "start-ms")
	t.ReportMetric(0, "ns/op")
}

// measured runs f and returns what it took.
func measured(b *bed, f func() error) (cost, error) {
	begin, client, daemon, group := time.Now(), selfTime(b.t), processTime(b.t, b.daemon.cmd.Process.Pid),
		groupTime(b.t, b)
	err := f()
	c := cost{wall: time.Since(begin), client: selfTime(b.t) - client,
		daemon: processTime(b.t, b.daemon.cmd.Process.Pid) - daemon}
	c.all = c.client + groupTime(b.t, b) - group
	return c, err
}

func selfTime(t testing.TB) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func processTime(t testing.TB, pid int) time.Duration {
	const tick = 10 * time.Millisecond
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, err := strconv.Atoi(fields[11])
	must(t, err)
	system, err := strconv.Atoi(fields[12])
	must(t, err)
	return time.Duration(user+system) * tick
}

// groupTime is the processor time of all that is not this process: the daemon,
// its shims, the OCI runtime and the containers.
func groupTime(t testing.TB, b *bed) time.Duration {
	if b.cgroups.unified {
		text, err := os.ReadFile(path.Join("/sys/fs/cgroup", porttest.CgroupParent(), "cpu.stat"))
		must(t, err)
		var us int64
		_, err = fmt.Sscanf(string(text), "usage_usec %d", &us)
		must(t, err)
		return time.Duration(us) * time.Microsecond
	}
	text, err := os.ReadFile(path.Join("/sys/fs/cgroup/cpuacct", porttest.CgroupParent(), "cpuacct.usage"))
	must(t, err)
	ns, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	must(t, err)
	return time.Duration(ns)
}

// rawStarts starts the tasks with the library alone.
func rawStarts(t testing.TB, b *bed, round int) cost {
	t.Helper()
	ctx := namespaced(b)
	logs := t.TempDir()
	image, err := b.Client.daemon.GetImage(ctx, theHub.ref("web").Image)
	must(t, err)
	group := path.Join(porttest.CgroupParent(), "raw")
	started := make([]client.Task, benchTasks)
	took, err := measured(b, func() error {
		var workers errgroup.Group
		workers.SetLimit(benchStarts)
		for i := range benchTasks {
			workers.Go(func() (err error) {
				id := fmt.Sprintf("raw-%d-%d", round, i)
				container, err := b.Client.daemon.NewContainer(ctx, id,
					client.WithImage(image), client.WithNewSnapshot(id, image),
					client.WithNewSpec(oci.WithImageConfig(image), oci.WithProcessArgs(porttest.Program, "wait"),
						oci.WithHostNamespace("network"), oci.WithCgroup(group+"/"+id)))
				if err != nil {
					return err
				}
				if started[i], err = container.NewTask(ctx, cio.LogFile(filepath.Join(logs, id))); err != nil {
					return err
				}
				return started[i].Start(ctx)
			})
		}
		return workers.Wait()
	})
	must(t, err)
	var workers errgroup.Group
	workers.SetLimit(benchStarts)
	for _, task := range started {
		workers.Go(func() error {
			_, err := task.Delete(ctx, client.WithProcessKill)
			container, found := b.Client.daemon.LoadContainer(ctx, task.ID())
			return errors.Join(err, found, container.Delete(ctx, client.WithSnapshotCleanup))
		})
	}
	must(t, workers.Wait())
	return took
}

// noNetwork is the network of tasks that use the host's.
type noNetwork struct{ converge.Network }

func (noNetwork) Tasks(context.Context) ([]fleet.TaskID, error) { return nil, nil }

// loopStarts starts the tasks by giving the host loop a list of them.
func loopStarts(t testing.TB, b *bed, round int) cost {
	t.Helper()
	parent := path.Join(porttest.CgroupParent(), "loop")
	tree, err := cgroup.Open(cgroup.Config{Parent: parent})
	must(t, err)
	dir := t.TempDir()
	reports := make(chan fleet.Report, 1024)
	host, err := converge.New(converge.Config{
		Machine: converge.MachineConfig{
			Fleet: "f-1", Host: "h-1", HostName: "h1", Zone: "a", Boot: "boot", LogDir: dir + "/logs",
			Limits: converge.Limits{Starts: benchStarts},
		},
		Dir: dir + "/tasks", FS: vfs.OS, Clock: clock.System(), Containers: b.Client, Network: noNetwork{}, Cgroups: tree,
		Send: func(r fleet.Report) { reports <- r }, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), benchTimeout)
	defer cancel()
	var running errgroup.Group
	running.Go(func() error { return host.Run(ctx) })
	host.SessionOpened(1)
	// reach acknowledges reports until all tasks are said to be so far.
	told := map[fleet.TaskID]fleet.TaskStatus{}
	reach := func(status fleet.TaskStatus) error {
		for so := 0; so < benchTasks; {
			var r fleet.Report
			select {
			case r = <-reports:
				host.ReportAcked(r.Session, r.Seq)
			case <-ctx.Done():
				return fmt.Errorf("%d of %d tasks reached %s: %w", so, benchTasks, status, ctx.Err())
			}
			for _, task := range r.Tasks {
				if task.StopCode != 0 {
					return fmt.Errorf("task %s ended: %s", task.Task, task.Reason)
				}
				if told[task.Task] < status && task.Status >= status {
					so++
				}
				told[task.Task] = task.Status
			}
		}
		return nil
	}
	frame := wantedTasks(round)
	waitListed(b, host)
	took, err := measured(b, func() error {
		return errors.Join(host.Deliver(ctx, frame), reach(fleet.TaskRunning))
	})
	must(t, err)
	for i := range frame.Tasks {
		frame.Tasks[i].Desired = fleet.TaskStopped
	}
	frame.Index++
	must(t, errors.Join(host.Deliver(ctx, frame), reach(fleet.TaskStopped)))
	frame.Index, frame.Tasks = frame.Index+1, nil
	must(t, host.Deliver(ctx, frame))
	eventually(t, func() string { return strings.Repeat("x", len(host.Status().Tasks)) })
	cancel()
	must(t, running.Wait())
	return took
}

func wantedTasks(round int) converge.Frame {
	f := converge.Frame{Complete: true, Wanted: fleet.Wanted{Fleet: "f-1", Epoch: 1, Index: 1, Session: 1,
		TaskDefs: []fleet.TaskDef{{
			ID: "web:1", NetworkMode: fleet.NetworkHost, Containers: []fleet.Container{{
				Name: "main", Image: theHub.ref("web").Image, CPU: 10, Memory: 32, Command: []string{"wait"}, StopTimeoutS: 2,
			}},
		}}}}
	for i := range benchTasks {
		f.Tasks = append(f.Tasks, fleet.WantedTask{
			ID: porttest.TaskOf(fmt.Sprint("bench", round, "-", i)), TaskDef: "web:1", Desired: fleet.TaskRunning,
			Last:   fleet.TaskPending,
			Images: []fleet.ImagePin{{Container: "main", Digest: theHub.digest["web"]}},
		})
	}
	return f
}

// waitListed waits until the host loop has found what runs.
func waitListed(b *bed, host *converge.Host) {
	b.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !host.Status().Listed; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("the host loop has not listed what runs: %+v", host.Status())
		}
	}
}
