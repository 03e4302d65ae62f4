package lab

import (
	"context"
	"fmt"
)

// Kill is the sudden death of a machine: its port goes down first, then
// everything on it ends at once. Peers see silence, never a closed connection.
func (l *Lab) Kill(ctx context.Context, name string) error {
	return l.onHost(ctx, "kill", name, func(s *State, host *Host) error {
		if !host.Init.alive() {
			return fmt.Errorf("%w: %s is dead already", ErrState, name)
		}
		if err := l.unplug(host); err != nil {
			return err
		}
		if err := thawDisk(s, host); err != nil {
			return fmt.Errorf("kill %s: %w", name, err)
		}
		if err := host.Init.kill(); err != nil {
			return fmt.Errorf("kill %s: %w", name, err)
		}
		if host.Paused { // it dies when it is thawed, before it does anything else
			all, err := hierarchies()
			if err != nil {
				return err
			}
			if err := thawCgroup(all, l.hostCgroup(name)); err != nil {
				return fmt.Errorf("kill %s: %w", name, err)
			}
		}
		if err := host.Init.waitGone(removalTimeout); err != nil {
			return fmt.Errorf("kill %s: %w", name, err)
		}
		host.Init, host.Paused = Process{}, false
		return l.save(s)
	})
}

// KillAgent ends a host's agent alone and keeps it down until Start: its port
// refuses connections while everything else on the machine runs on.
func (l *Lab) KillAgent(ctx context.Context, name string) error {
	return l.service(ctx, "kill --agent", name, request{Op: opKill, Service: agentService, Hold: true})
}

// CrashAgent kills a host's agent, which starts again after a second, as under systemd.
func (l *Lab) CrashAgent(ctx context.Context, name string) error {
	return l.service(ctx, "crash --agent", name, request{Op: opKill, Service: agentService})
}

// RestartAgent restarts a host's agent as `systemctl restart` does, and waits until it takes
// connections: clients of the host are not refused meanwhile.
func (l *Lab) RestartAgent(ctx context.Context, name string) error {
	return l.onHost(ctx, "restart", name, func(s *State, host *Host) error {
		if err := mustRun(host); err != nil {
			return err
		}
		if !l.agentRuns(ctx, host) {
			return fmt.Errorf("%w: the agent of %s does not run; `skein lab start %s` starts it", ErrState, name, name)
		}
		if err := l.restart(ctx, host); err != nil {
			return err
		}
		return l.waitAgent(ctx, s, host)
	})
}

// StopAgent stops a host's agent as `systemctl stop` does, and keeps it down until Start. Its
// containers run on.
func (l *Lab) StopAgent(ctx context.Context, name string) error {
	return l.service(ctx, "stop", name, request{Op: opStop, Service: agentService})
}

// KillRuntime ends a host's containerd alone and keeps it down until Start.
func (l *Lab) KillRuntime(ctx context.Context, name string) error {
	return l.service(ctx, "kill --containerd", name, request{Op: opKill, Service: runtimeService, Hold: true})
}

// CrashRuntime kills a host's containerd, which starts again after a second.
func (l *Lab) CrashRuntime(ctx context.Context, name string) error {
	return l.service(ctx, "crash --containerd", name, request{Op: opKill, Service: runtimeService})
}

func (l *Lab) service(ctx context.Context, what, name string, ask request) error {
	return l.onHost(ctx, what, name, func(_ *State, host *Host) error {
		if err := mustRun(host); err != nil {
			return err
		}
		_, err := l.ask(ctx, host, ask)
		return err
	})
}

// Start boots a machine that was killed, with a new boot id, or starts what was
// killed alone on one that runs.
func (l *Lab) Start(ctx context.Context, name string) error {
	return l.onHost(ctx, "start", name, func(s *State, host *Host) error {
		if !host.Init.alive() {
			if err := l.boot(ctx, s, host); err != nil {
				return err
			}
			l.sayf("%s booted", name)
			return nil
		}
		if err := mustRun(host); err != nil {
			return err
		}
		status, err := l.ask(ctx, host, request{Op: opStatus})
		if err != nil {
			return err
		}
		for _, one := range status.Services {
			if !one.Held || one.Name == agentService && !host.Joined {
				continue
			}
			if _, err := l.ask(ctx, host, request{Op: opStart, Service: one.Name}); err != nil {
				return err
			}
			l.sayf("%s started on %s", one.Name, name)
		}
		return nil
	})
}

// Pause stops everything on a machine between two instructions; its kernel still
// answers for it. Resume lets it go on.
func (l *Lab) Pause(ctx context.Context, name string) error {
	return l.onHost(ctx, "pause", name, func(s *State, host *Host) error {
		if err := mustRun(host); err != nil {
			return err
		}
		all, err := hierarchies()
		if err != nil {
			return err
		}
		host.Paused = true
		if err := l.save(s); err != nil {
			return err
		}
		return freezeCgroup(all, l.hostCgroup(name), removalTimeout)
	})
}

// Resume ends a Pause.
func (l *Lab) Resume(ctx context.Context, name string) error {
	return l.onHost(ctx, "resume", name, func(s *State, host *Host) error {
		if !host.Init.alive() || !host.Paused {
			return fmt.Errorf("%w: %s is not paused", ErrState, name)
		}
		all, err := hierarchies()
		if err != nil {
			return err
		}
		if err := thawCgroup(all, l.hostCgroup(name)); err != nil {
			return err
		}
		host.Paused = false
		return l.save(s)
	})
}

func mustRun(host *Host) error {
	switch {
	case !host.Init.alive():
		return fmt.Errorf("%w: %s is dead; `skein lab start %s` boots it", ErrState, host.Name, host.Name)
	case host.Paused:
		return fmt.Errorf("%w: %s is paused; `skein lab resume %s` lets it go on", ErrState, host.Name, host.Name)
	}
	return nil
}

// onHost does something to one host of a lab under the lab's lock.
func (l *Lab) onHost(ctx context.Context, what, name string, do func(s *State, host *Host) error) error {
	lock, s, err := l.open(ctx, what+" "+name)
	if err != nil {
		return err
	}
	defer lock.release()
	host, err := s.host(name)
	if err != nil {
		return err
	}
	return do(s, host)
}
