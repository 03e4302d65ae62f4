package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ask sends a request to a host's init.
func (l *Lab) ask(ctx context.Context, host *Host, ask request) (response, error) {
	limit := controlTimeout
	if ask.Op == opRestart || ask.Op == opStop {
		limit += stopTimeout
	}
	answer, err := askControl(ctx, l.socketOf(host.Name), ask, nil, limit)
	if err != nil {
		return answer, fmt.Errorf("ask init of %s: %w", host.Name, err)
	}
	return answer, nil
}

func (l *Lab) agentRuns(ctx context.Context, host *Host) bool {
	status, err := l.ask(ctx, host, request{Op: opStatus})
	if err != nil {
		return false
	}
	for _, one := range status.Services {
		if one.Name == agentService {
			return one.PID != 0
		}
	}
	return false
}

// Exec runs a command inside a host, as a shell on that machine would, with the
// given standard files (nil is no input, or output thrown away). It takes no
// lock, and returns the command's exit code.
func (l *Lab) Exec(ctx context.Context, name string, argv []string, stdin, stdout, stderr *os.File) (int, error) {
	s, err := l.load()
	if err != nil {
		return 0, err
	}
	host, err := s.host(name)
	if err != nil {
		return 0, err
	}
	if err = mustRun(host); err != nil {
		return 0, err
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	return l.execIn(ctx, host, argv, dir, [3]*os.File{stdin, stdout, stderr})
}

func (l *Lab) execIn(ctx context.Context, host *Host, argv []string, dir string, files [3]*os.File) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	defer null.Close()
	for i := range files {
		if files[i] == nil {
			files[i] = null
		}
	}
	answer, err := askControl(ctx, l.socketOf(host.Name), request{Op: opRun, Argv: argv, Dir: dir}, files[:], 0)
	if err != nil {
		return 0, fmt.Errorf("run %s on %s: %w", argv[0], host.Name, err)
	}
	return answer.Exit, nil
}

// Socket returns the path by which this machine reaches the agent's unix socket
// of a host.
func (l *Lab) Socket(name string) (string, error) {
	s, err := l.load()
	if err != nil {
		return "", err
	}
	host, err := s.host(name)
	if err != nil {
		return "", err
	}
	if err := mustRun(host); err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/root%s", host.Init.PID, AgentSocket), nil
}

// AnySocket returns Socket of the first host whose agent answers there, and that
// host's name.
func (l *Lab) AnySocket() (path, host string, err error) {
	s, err := l.load()
	if err != nil {
		return "", "", err
	}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if mustRun(h) != nil {
			continue
		}
		path := fmt.Sprintf("/proc/%d/root%s", h.Init.PID, AgentSocket)
		if answers(path) && l.agentRuns(context.Background(), h) {
			return path, h.Name, nil
		}
	}
	return "", "", fmt.Errorf("%w: no agent of lab %s runs; `skein lab list --lab %s` shows why", ErrState, l.name, l.name)
}

// answers reports whether somebody listens at a unix socket: the file of an agent that
// ended stays, and one that was just started has not made it yet.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// errNotRoot is what every command but up says; Check says more.
var errNotRoot = &Missing{[]Thing{{"root", "run this command with sudo"}}}

func checkRoot() error {
	if unix.Geteuid() != 0 {
		return errNotRoot
	}
	return nil
}
