package converge_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/converge"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/clock/clocktest"
	"skein/runtime/seam/vfs"
)

// bench is a host with an agent that can be stopped and started, inside a
// synctest bubble.
type bench struct {
	t          *testing.T
	fs         *vfs.Mem
	containers *fake.Containers
	network    *fake.Network
	cgroups    *fake.Cgroups
	boot       string
	dial       func(context.Context, string, string) (net.Conn, error)
	runtime    converge.Containers // what the agent is given; nil: containers
	limits     converge.Limits

	h    *converge.Host
	stop context.CancelFunc
	ran  chan error

	mu      sync.Mutex
	session uint64
	index   uint64
	level   map[fleet.TaskID]fleet.TaskReport
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, fs: vfs.NewMem(), boot: "boot-1", level: map[fleet.TaskID]fleet.TaskReport{}}
	b.containers = fake.NewContainers(time.Now)
	b.network = fake.NewNetwork(b.containers.Alive)
	b.cgroups = fake.NewCgroups()
	b.containers.Put("registry.lab:5000/web:1", webImage)
	return b
}

// agent starts an agent and opens a session.
func (b *bench) agent() {
	b.t.Helper()
	if b.runtime == nil {
		b.runtime = b.containers
	}
	h, err := converge.New(converge.Config{
		Machine: converge.MachineConfig{Fleet: "f1", Host: "h-1", HostName: hostName, Zone: "a", Boot: b.boot,
			LogDir: "/var/log/skein", Limits: b.limits},
		Dir:        "/var/lib/skein/host",
		FS:         b.fs,
		Clock:      clock.System(),
		Containers: b.runtime,
		Network:    b.network,
		Cgroups:    b.cgroups,
		Send:       b.send,
		Dial:       b.dial,
		Log:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	b.h, b.stop, b.ran = h, stop, ran
	go func() { ran <- h.Run(ctx); close(ran) }()
	b.t.Cleanup(func() { stop(); <-ran })
	b.mu.Lock()
	b.session++
	session := b.session
	b.mu.Unlock()
	h.SessionOpened(session)
}

// end stops the agent and waits for it.
func (b *bench) end() {
	b.t.Helper()
	b.stop()
	if err, open := <-b.ran; err != nil || !open {
		b.t.Errorf("Run: %v", err)
	}
}

// send is the fleet: it takes a report and acknowledges it.
func (b *bench) send(r fleet.Report) {
	b.mu.Lock()
	for _, t := range r.Tasks {
		b.level[t.Task] = t
	}
	b.mu.Unlock()
	h := b.h
	go h.ReportAcked(r.Session, r.Seq)
}

func (b *bench) reported(id fleet.TaskID) fleet.TaskReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.level[id]
}

func (b *bench) snapshot(tasks ...fleet.WantedTask) {
	b.t.Helper()
	b.index++
	err := b.h.Deliver(b.t.Context(), converge.Frame{Complete: true, Wanted: fleet.Wanted{
		Fleet: "f1", Epoch: 1, Index: b.index, Session: b.session, Tasks: tasks, TaskDefs: defsFor(tasks),
	}})
	if err != nil {
		b.t.Errorf("Deliver: %v", err)
	}
}

// await lets fake time pass until a condition holds.
func (b *bench) await(what string, within time.Duration, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(within); ; {
		synctest.Wait()
		if ok() {
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("%s: not within %s: %+v", what, within, b.h.Status())
		}
		b.h.VoterHeard(0)
		time.Sleep(20 * time.Millisecond)
		b.containers.Step()
	}
}

func (b *bench) is(id fleet.TaskID, s fleet.TaskStatus) func() bool {
	return func() bool { return b.reported(id).Status == s }
}

func TestAHostCarriesATaskThroughItsLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.agent()
		b.snapshot(web(1), web(2))
		b.await("running", 10*time.Second, func() bool {
			return b.is(taskID(1), fleet.TaskRunning)() && b.is(taskID(2), fleet.TaskRunning)()
		})
		if got := b.h.Reserved(); got.Memory != 64 || got.CPU != 256 {
			t.Errorf("reserved %+v", got)
		}
		s := b.h.Status()
		if s.Running != 2 || !s.RuntimeUp || s.RuntimeVersion != "twin" || s.Index != 1 ||
			s.Tasks[0].Containers[0].PID == 0 || !s.Tasks[0].Address.IsValid() {
			t.Errorf("status %+v", s)
		}
		if path, err := b.h.LogPath(taskID(1), "app"); err != nil || path != "/var/log/skein/"+string(taskID(1))+"/app.log" {
			t.Errorf("LogPath = %q, %v", path, err)
		}
		if _, err := b.h.LogPath("../..", "app"); err == nil {
			t.Error("LogPath took a path for a task")
		}
		b.snapshot(stopped(web(1)), web(2))
		b.await("stopped", 10*time.Second, b.is(taskID(1), fleet.TaskStopped))
		b.snapshot(web(2))
		b.await("forgotten", 10*time.Second, func() bool { return len(b.h.Status().Tasks) == 1 })
	})
}

func TestDeliverAnswersWithTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.agent()
		b.snapshot(web(1))
		err := b.h.Deliver(t.Context(), converge.Frame{Complete: true,
			Wanted: fleet.Wanted{Fleet: "f1", Epoch: 0, Index: 9, Session: b.session}})
		if !errors.Is(err, converge.ErrOlder) {
			t.Errorf("got %v, want ErrOlder", err)
		}
		b.end()
		if err := b.h.Deliver(t.Context(), converge.Frame{}); err == nil {
			t.Error("a frame was taken after the end")
		}
		for range 3000 {
			b.h.SessionOpened(1) // must not block for ever either
		}
	})
}

func TestAnAgentThatEndsAndStartsAgainTouchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.agent()
		b.snapshot(web(1))
		b.await("running", 10*time.Second, b.is(taskID(1), fleet.TaskRunning))
		pid := b.h.Status().Tasks[0].Containers[0].PID
		b.end()
		b.agent()
		b.snapshot(web(1))
		b.await("found again", 10*time.Second, func() bool { return b.h.Status().Running == 1 })
		if got := b.h.Status().Tasks[0].Containers[0].PID; got != pid {
			t.Errorf("pid was %d, is %d", pid, got)
		}
		b.end()
	})
}

// slowCreate is a runtime that takes three seconds to make a container.
type slowCreate struct{ *fake.Containers }

func (s slowCreate) Create(ctx context.Context, spec port.ContainerSpec) (int, error) {
	clocktest.Elapse(3 * time.Second)
	return s.Containers.Create(ctx, spec)
}

func TestAnAgentThatEndsFinishesTheStartsItBeganAndBeginsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runtime = slowCreate{b.containers}
		b.limits.Starts = 1
		b.agent()
		b.snapshot(web(1), web(2))
		time.Sleep(time.Second)
		b.end()
		all, err := b.containers.List(t.Context())
		if err != nil || len(all) != 1 || all[0].State != port.ContainerRunning {
			t.Errorf("after the end: %+v, %v", all, err)
		}
		b.agent()
		b.snapshot(web(1), web(2))
		b.await("both running", 30*time.Second, func() bool { return b.h.Status().Running == 2 })
	})
}

// deafOnce is a runtime whose first Signal does not notice its deadline.
type deafOnce struct {
	*fake.Containers
	called  *atomic.Bool
	release chan struct{}
}

func (d deafOnce) Signal(ctx context.Context, id string, signal int, all bool) error {
	if !d.called.Swap(true) {
		<-d.release
	}
	return d.Containers.Signal(ctx, id, signal, all)
}

func TestACallThatIgnoresItsDeadlineIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		release := make(chan struct{})
		defer close(release)
		b.runtime = deafOnce{b.containers, &atomic.Bool{}, release}
		b.agent()
		b.snapshot(web(1))
		b.await("running", 10*time.Second, b.is(taskID(1), fleet.TaskRunning))
		b.snapshot(stopped(web(1)), web(2))
		b.await("the other running", 5*time.Second, b.is(taskID(2), fleet.TaskRunning))
		b.await("stopped by the second try", 30*time.Second, b.is(taskID(1), fleet.TaskStopped))
	})
}

func TestARuntimeThatHangsIsReportedDownAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.agent()
		b.snapshot(web(1))
		b.await("running", 10*time.Second, b.is(taskID(1), fleet.TaskRunning))
		b.containers.Inject(func(f *fake.Faults) { f.Hang = true })
		b.snapshot(web(1), web(2))
		b.await("runtime down", time.Minute, func() bool { return len(b.h.Status().Conditions) > 0 })
		if got := b.reported(taskID(1)).Status; got != fleet.TaskRunning {
			t.Errorf("the running task was reported %s", got)
		}
		b.containers.Inject(func(f *fake.Faults) { f.Hang = false })
		b.await("both running", time.Minute, func() bool {
			return b.h.Status().Running == 2 && len(b.h.Status().Conditions) == 0
		})
	})
}

func TestARuntimeThatDiesAndRestartsLosesNoTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.agent()
		b.snapshot(web(1), web(2))
		b.await("running", 10*time.Second, func() bool { return b.h.Status().Running == 2 })
		b.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = true })
		b.await("seen down", 20*time.Second, func() bool { return !b.h.Status().RuntimeUp })
		b.containers.Exit(string(taskID(2))+".app", 9, false) // while nobody can see it
		b.containers.Inject(func(f *fake.Faults) { f.RuntimeDown = false })
		b.await("the exit seen", 20*time.Second, b.is(taskID(2), fleet.TaskStopped))
		if got := b.reported(taskID(2)); got.Exits[0].Code == nil || *got.Exits[0].Code != 9 {
			t.Errorf("reported %+v", got)
		}
		if got := b.reported(taskID(1)).Status; got != fleet.TaskRunning {
			t.Errorf("the other is %s", got)
		}
	})
}

// answering is a dialer to an HTTP server that answers with a status; 0 refuses.
func answering(status func() int) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		code := status()
		if code == 0 {
			return nil, errors.New("connection refused")
		}
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			if _, err := nethttp.ReadRequest(bufio.NewReader(server)); err == nil {
				fmt.Fprintf(server, "HTTP/1.1 %d x\r\nLocation: http://10.0.0.1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
					code)
			}
		}()
		return client, nil
	}
}

func TestHTTPChecksTakeTwoAndThreeHundredsForHealthy(t *testing.T) {
	for code, want := range map[int]fleet.Health{200: fleet.HealthHealthy, 302: fleet.HealthHealthy,
		404: fleet.HealthUnhealthy, 500: fleet.HealthUnhealthy, 0: fleet.HealthUnhealthy} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.dial = answering(func() int { return code })
				b.agent()
				h := http(5)
				id := define("http:1", func(d *fleet.TaskDef) { d.Containers[0].HealthCheck = &h })
				b.snapshot(of(web(1), id))
				b.await(want.String(), time.Minute, func() bool { return b.reported(taskID(1)).Health == want })
			})
		})
	}
}

func TestFilesThatCannotBeReadAreSetAsideAndNothingIsTouched(t *testing.T) {
	for _, name := range []string{"journal", "wanted.a", "wanted.b", "all"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.agent()
				b.snapshot(web(1), web(2))
				b.await("running", 10*time.Second, func() bool { return b.h.Status().Running == 2 })
				b.end()
				dir := "/var/lib/skein/host"
				for _, file := range []string{"journal", "wanted.a", "wanted.b"} {
					if name == file || name == "all" {
						if err := vfs.WriteFileAtomic(b.fs, dir+"/"+file,
							[]byte("skein-journal/1\n\x00\x00\x00\x02garbage that is no record"), 0o600); err != nil {
							t.Fatal(err)
						}
					}
				}
				before, _ := b.containers.List(t.Context())
				b.agent()
				b.await("containers found", 10*time.Second, func() bool { return b.h.Status().Running+b.h.Status().Unknown == 2 })
				time.Sleep(time.Hour)
				b.snapshot(web(1), web(2))
				b.await("running", 10*time.Second, func() bool { return b.h.Status().Running == 2 })
				after, _ := b.containers.List(t.Context())
				for i := range before {
					if before[i].PID != after[i].PID || after[i].State != port.ContainerRunning {
						t.Errorf("was %+v, is %+v", before[i], after[i])
					}
				}
				files, _ := b.fs.ReadDir(dir)
				aside := 0
				for _, f := range files {
					if strings.HasSuffix(f.Name(), ".damaged") {
						aside++
					}
				}
				if aside == 0 {
					t.Errorf("nothing was set aside: %v", files)
				}
				b.end()
			})
		})
	}
}

// TestPowerMayGoAtAnyWrite cuts the power at the n-th call on the disk, for
// every n, and starts the machine again: no task is lost that the fleet wants,
// none runs twice.
func TestPowerMayGoAtAnyWrite(t *testing.T) {
	for n := 1; ; n++ {
		past := false
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.agent()
			synctest.Wait()
			calls := b.fs.Calls()
			b.fs.StopAt(n)
			b.snapshot(web(1), web(2))
			for range 40 {
				time.Sleep(50 * time.Millisecond)
				synctest.Wait()
			}
			past = b.fs.Calls()-calls < n
			b.end()
			b.fs.Crash()
			b.containers.Reboot()
			b.network.Reboot()
			b.cgroups.Reboot()
			b.boot = "boot-2"
			b.level = map[fleet.TaskID]fleet.TaskReport{}
			b.agent()
			b.snapshot(web(1), web(2))
			b.await("known ends", 2*time.Minute, func() bool {
				for _, id := range []fleet.TaskID{taskID(1), taskID(2)} {
					if s := b.reported(id).Status; s != fleet.TaskRunning && s != fleet.TaskStopped {
						return false
					}
				}
				return true
			})
			b.end()
		})
		if past || t.Failed() {
			if n < 10 {
				t.Errorf("only %d calls on the disk: the test does not show anything", n)
			}
			return
		}
	}
}

// TestAnyCallOnTheDiskMayFail makes exactly the n-th call fail, for every n: the
// task runs, or the fleet is told that it could not be started.
func TestAnyCallOnTheDiskMayFail(t *testing.T) {
	for n := 1; ; n++ {
		past := false
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.agent()
			synctest.Wait()
			calls := b.fs.Calls()
			b.fs.FailAt(n, errInjected)
			b.snapshot(web(1))
			b.await("an end", time.Minute, func() bool {
				got := b.reported(taskID(1))
				return got.Status == fleet.TaskRunning || got.StopCode == fleet.StopTaskFailedToStart &&
					strings.Contains(got.Reason, "injected")
			})
			b.snapshot(stopped(web(1)))
			b.await("stopped", time.Minute, b.is(taskID(1), fleet.TaskStopped))
			past = b.fs.Calls()-calls < n
			b.end()
			b.fs.FailAt(0, nil)
			b.agent()
			b.snapshot()
			b.await("forgotten", 2*time.Minute, func() bool { return b.h.Status().Listed && len(b.h.Status().Tasks) == 0 })
			b.end()
		})
		if past || t.Failed() {
			return
		}
	}
}
