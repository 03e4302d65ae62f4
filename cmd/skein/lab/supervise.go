package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	agentService   = "agent"
	runtimeService = "containerd"

	// restartDelay is what the systemd units have as RestartSec.
	restartDelay = time.Second
	// stopTimeout is what the agent's unit has as TimeoutStopSec.
	stopTimeout = 90 * time.Second
	// agentUmask is what the agent's unit has as UMask, and otherUmask what other services have.
	agentUmask, otherUmask = 0o077, 0o022
	// maxLogBytes is where a service's log is set aside before its next start, so
	// that a crash loop does not fill the disk.
	maxLogBytes = 64 << 20
)

// service is a program that the host's init keeps running.
type service struct {
	Name   string
	Argv   []string
	Cgroup string // inside the host
	Score  int    // oom_score_adj
	Umask  int    // of the files that it makes
	Log    string
	Held   bool // not to be started before it is asked for
}

// supervisor keeps the services of a host running, as systemd would with
// Restart=always, and reaps every orphan.
type supervisor struct {
	services []*supervised

	mu      sync.Mutex // held while forking and while reaping, so that no exit is missed
	waiting map[int]chan syscall.WaitStatus
}

type supervised struct {
	service
	wake  chan struct{} // told when it is to start without a pause
	store *fdStore      // nil: none

	mu       sync.Mutex
	held     bool
	pid      int // 0 while it does not run
	starts   int
	lastExit string
}

// newSupervisor makes the supervisor of a host; the agent has the store.
func newSupervisor(services []service, store *fdStore) *supervisor {
	s := &supervisor{waiting: make(map[int]chan syscall.WaitStatus)}
	for _, one := range services {
		next := &supervised{service: one, held: one.Held, wake: make(chan struct{}, 1)}
		if one.Name == agentService {
			next.store = store
		}
		s.services = append(s.services, next)
	}
	return s
}

// start forks a program whose exit status comes by the channel.
func (s *supervisor) start(argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid, err := syscall.ForkExec(argv[0], argv, attr)
	if err != nil {
		return 0, nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	exited := make(chan syscall.WaitStatus, 1)
	s.waiting[pid] = exited
	return pid, exited, nil
}

// reap takes every exit: of our own children and of orphans, the shims among them.
func (s *supervisor) reap() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	for {
		s.reapAll()
		<-signals
	}
}

func (s *supervisor) reapAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if exited, ok := s.waiting[pid]; ok {
			delete(s.waiting, pid)
			exited <- status
		}
	}
}

// keep runs one service for ever.
func (s *supervisor) keep(one *supervised) {
	for {
		for one.isHeld() {
			<-one.wake
		}
		exit := s.runOnce(one)
		one.mu.Lock()
		one.pid, one.lastExit = 0, exit
		one.mu.Unlock()
		fmt.Fprintf(os.Stderr, "%s %s ended: %s\n", time.Now().UTC().Format(time.RFC3339), one.Name, exit)
		select {
		case <-one.wake:
		case <-time.After(restartDelay):
		}
	}
}

func (s *supervisor) runOnce(one *supervised) string {
	log, err := openLog(one.Log)
	if err != nil {
		return err.Error()
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err.Error()
	}
	defer null.Close()
	argv := append([]string{"/proc/self/exe", "lab", "init", "service", one.Cgroup, fmt.Sprint(one.Score),
		fmt.Sprintf("%#o", one.Umask)}, one.Argv...)
	var pid int
	var exited <-chan syscall.WaitStatus
	one.store.lend(func(fds []uintptr, env []string) {
		pid, exited, err = s.start(argv, &syscall.ProcAttr{
			Dir: "/", Env: append(cleanEnvironment(), env...),
			Files: append([]uintptr{null.Fd(), log.Fd(), log.Fd()}, fds...),
			Sys:   &syscall.SysProcAttr{Setsid: true},
		})
	})
	if err != nil {
		return err.Error()
	}
	one.mu.Lock()
	one.pid = pid
	one.starts++
	killNow := one.held // it was killed between the check and the fork
	one.mu.Unlock()
	if killNow {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return describe(<-exited)
}

func openLog(name string) (*os.File, error) {
	if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && info.Size() > maxLogBytes {
		_ = os.Rename(name, name+".1") // a log that stays long is better than no service
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal " + status.Signal().String()
	}
	return fmt.Sprintf("exit code %d", status.ExitStatus())
}

func (one *supervised) isHeld() bool {
	one.mu.Lock()
	defer one.mu.Unlock()
	return one.held
}

// release lets a held service start.
func (one *supervised) release() {
	one.mu.Lock()
	one.held = false
	one.mu.Unlock()
	one.startAtOnce()
}

// startAtOnce has the service start as soon as it has ended.
func (one *supervised) startAtOnce() {
	select {
	case one.wake <- struct{}{}:
	default:
	}
}

// kill ends the service at once and waits until it has ended. With hold it stays
// down until release, and the files that were kept for it are closed.
func (one *supervised) kill(hold bool) error {
	one.mu.Lock()
	one.held = one.held || hold
	pid := one.pid
	one.mu.Unlock()
	if err := one.signal(pid, syscall.SIGKILL); err != nil {
		return err
	}
	if !one.gone(pid, controlTimeout/2) {
		return fmt.Errorf("%s did not end after SIGKILL", one.Name)
	}
	if hold {
		one.store.clear()
	}
	return nil
}

// restart ends the service as systemctl restart does, waits until it has ended, and has it
// start at once. One that is held, or was just about to start, needs no more than that.
func (one *supervised) restart() error {
	one.mu.Lock()
	pid := one.pid
	one.mu.Unlock()
	one.startAtOnce()
	return one.end(pid, syscall.SIGINT, false)
}

// stop ends the service as systemctl stop does, waits until it has ended, and keeps it down
// until release.
func (one *supervised) stop() error {
	one.mu.Lock()
	one.held = true
	pid := one.pid
	one.mu.Unlock()
	if err := one.end(pid, syscall.SIGTERM, true); err != nil {
		return err
	}
	one.store.clear()
	return nil
}

func (one *supervised) end(pid int, signal syscall.Signal, hold bool) error {
	if err := one.signal(pid, signal); err != nil {
		return err
	}
	if one.gone(pid, stopTimeout) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "%s %s did not end in %s, and is killed\n", time.Now().UTC().Format(time.RFC3339), one.Name,
		stopTimeout)
	return one.kill(hold)
}

func (one *supervised) signal(pid int, signal syscall.Signal) error {
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end %s: %w", one.Name, err)
	}
	return nil
}

// gone waits until the service is another process than this.
func (one *supervised) gone(pid int, limit time.Duration) bool {
	for deadline := time.Now().Add(limit); pid != 0; time.Sleep(time.Millisecond) {
		one.mu.Lock()
		gone := one.pid != pid
		one.mu.Unlock()
		if gone {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// answer serves one request of the control socket.
func (s *supervisor) answer(ctx context.Context, ask request, files []*os.File) response {
	switch ask.Op {
	case opStatus:
		return response{Services: s.status()}
	case opRun:
		return s.run(ctx, ask, files)
	}
	for _, one := range s.services {
		if one.Name != ask.Service {
			continue
		}
		switch ask.Op {
		case opStart:
			one.release()
			return response{}
		case opRestart:
			if err := one.restart(); err != nil {
				return response{Error: err.Error()}
			}
			return response{}
		case opStop:
			if err := one.stop(); err != nil {
				return response{Error: err.Error()}
			}
			return response{}
		case opKill:
			if err := one.kill(ask.Hold); err != nil {
				return response{Error: err.Error()}
			}
			return response{}
		}
	}
	return response{Error: fmt.Sprintf(unknownRequest+" %q for %q", ask.Op, ask.Service)}
}

func (s *supervisor) status() []serviceStatus {
	var out []serviceStatus
	for _, one := range s.services {
		one.mu.Lock()
		out = append(out, serviceStatus{Name: one.Name, PID: one.pid, Held: one.held, Starts: one.starts,
			LastExit: one.lastExit})
		one.mu.Unlock()
	}
	return out
}

// run runs a command inside the host, with the caller's files as its standard
// ones, until it ends or the caller goes.
func (s *supervisor) run(ctx context.Context, ask request, files []*os.File) response {
	if len(ask.Argv) == 0 || len(files) != 3 {
		return response{Error: "run: a command and three files are needed"}
	}
	program, err := lookPath(ask.Argv[0])
	if err != nil {
		return response{Error: err.Error()}
	}
	fds := make([]uintptr, len(files))
	for i, file := range files {
		fds[i] = file.Fd()
	}
	pid, exited, err := s.start(append([]string{program}, ask.Argv[1:]...), &syscall.ProcAttr{
		Dir: ask.Dir, Env: append(cleanEnvironment(), ask.Env...), Files: fds,
	})
	if err != nil {
		return response{Error: err.Error()}
	}
	select {
	case status := <-exited:
		return exitOf(status)
	case <-ctx.Done():
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return exitOf(<-exited)
	}
}

func exitOf(status syscall.WaitStatus) response {
	if status.Signaled() {
		return response{Exit: 128 + int(status.Signal())}
	}
	return response{Exit: status.ExitStatus()}
}
