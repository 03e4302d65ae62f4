package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"skein/agent/api"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/connlimit"
	"skein/runtime/seam/vfs"
	"skein/runtime/selfcheck"
)

const (
	headerTime = 5 * time.Second // to send a request's header
	idleTime   = 60 * time.Second
	maxHeader  = 32 << 10
	// answerTime is from a request's header to the end of its answer: the API ends
	// requests after 20 s, and the reader has the rest. Whoever does not read would
	// else hold a request's place for ever. Streams set deadlines of their own.
	answerTime = 30 * time.Second
	// maxStatusConns bounds the status listener's connections, for their whole
	// life: nothing authenticates them, and the agent needs its descriptors.
	// maxStatusConnsPerSource is what a gate lets one address have, requests and
	// watchers, and some that rest.
	maxStatusConns          = 512
	maxStatusConnsPerSource = 64
	// repairEvery is how often the network that all tasks share is compared with
	// what it should be.
	repairEvery = 30 * time.Second
	// shutdownTime is for the answers to requests in flight when the agent stops: their
	// contexts have ended by then.
	shutdownTime = 500 * time.Millisecond
)

// servers are the HTTP listeners of this host.
type servers struct {
	socket net.Listener
	status net.Listener // nil: none
}

// listen opens the unix socket and the status listener. A socket left by an
// agent that was killed is replaced.
func (n *node) listen(closers *closers) (servers, error) {
	var s servers
	path := n.Config.Socket
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return s, fmt.Errorf("make socket folder: %w", err)
	}
	if err := removeSocket(path); err != nil {
		return s, err
	}
	var err error
	if s.socket, err = net.Listen("unix", path); err != nil {
		return s, fmt.Errorf("listen on socket: %w", err)
	}
	closers.add(func() error { _ = s.socket.Close(); return nil })
	if err = os.Chmod(path, 0o600); err != nil {
		return s, fmt.Errorf("protect socket: %w", err)
	}
	if n.Config.StatusListen == "none" {
		return s, nil
	}
	if s.status, err = net.Listen("tcp", n.Config.StatusListen); err != nil {
		return s, fmt.Errorf("listen for status: %w", err)
	}
	closers.add(func() error { _ = s.status.Close(); return nil })
	return s, nil
}

// removeSocket makes room for a socket: one that is there goes, anything else of
// that name is left alone.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("replace socket: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("socket: %s exists and is no socket; move it away, or name another with --socket", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replace socket: %w", err)
	}
	return nil
}

// serve runs every loop of the agent until ctx ends or one fails.
func (n *node) serve(ctx context.Context, s servers) error {
	all := newLoops(ctx)
	all.run("peer port", n.port.Run)
	all.run("host loop", n.host.Run)
	all.run("link", func(ctx context.Context) error {
		if err := n.bootstrap(ctx); err != nil { // before it there is no voter to talk to
			return err
		}
		return n.link.Run(ctx)
	})
	all.run("gossip", func(ctx context.Context) error { return n.ring.Run(ctx, n.gossipAddrs) })
	all.run("starvation meter", n.meter.Run)
	all.run("capacity reports", n.reports.run)
	all.run("self-check", n.checkSelf)
	all.run("listeners", n.checkListeners)
	all.run("network repair", n.repairNetwork)
	all.run("dns", n.dns.Run)
	all.run("entry addresses", n.entries.run)
	all.run("socket", serveHTTP(s.socket, n.api.Handler(api.TrustRoot), n.Log))
	if s.status != nil {
		status := connlimit.New(maxStatusConns, maxStatusConnsPerSource).Listen(s.status, func(from net.Addr, err error) {
			n.Log.Debug("status connection refused", "from", from.String(), "err", err)
		})
		all.run("status", serveHTTP(status, n.api.Handler(api.TrustNone), n.Log))
	}
	n.Log.Info("agent started", "host", n.self, "name", n.Config.Name, "zone", n.Config.Zone, "version", n.Version)
	if n.Ready != nil {
		n.Ready()
	}
	err := all.wait()
	n.Log.Info("agent stopped")
	return err
}

// loops run side by side until their context ends or one fails, which ends the others.
type loops struct {
	group *errgroup.Group
	ctx   context.Context
}

func newLoops(ctx context.Context) *loops {
	group, ctx := errgroup.WithContext(ctx)
	return &loops{group, ctx}
}

func (l *loops) run(name string, loop func(context.Context) error) {
	l.group.Go(func() error {
		if err := loop(l.ctx); err != nil && l.ctx.Err() == nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

// wait returns when all have ended: the failure that ended them, if one did.
func (l *loops) wait() error { return l.group.Wait() }

// serveHTTP serves until ctx ends, and returns when requests in flight are answered or
// shutdownTime has passed.
func serveHTTP(listener net.Listener, handler http.Handler, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
			MaxHeaderBytes: maxHeader,
			ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
			BaseContext:    func(net.Listener) context.Context { return ctx },
		}
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(listener) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if server.Shutdown(closing) != nil {
			_ = server.Close() // a client that takes its answer slowly, or sends its request so
		}
		<-ended
		return nil
	}
}

// lateHandler serves with an API that is made after the port that needs it.
func lateHandler(get func() *api.API) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { forwarded(get()).ServeHTTP(w, r) })
}

// every does something again and again, first when the time has passed once, until ctx ends.
func every(ctx context.Context, pause time.Duration, do func()) error {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			do()
		}
	}
}

// repairNetwork puts back what something else on the host took away.
func (n *node) repairNetwork(ctx context.Context) error {
	return every(ctx, repairEvery, func() {
		if err := n.network.Repair(ctx); err != nil {
			n.Log.Warn("task network not repaired", "err", err)
		}
	})
}

// checkSelf repeats the self-check and tells the host loop what came of it.
func (n *node) checkSelf(ctx context.Context) error {
	runtimes := &ociRuntimes{candidates: n.runtimes, probe: n.probe, use: n.containers.UseRuntime}
	check := &selfcheck.SelfCheck{
		FS: vfs.OS, DataDir: n.Config.DataDir, DevDir: "/dev", Runtime: n.containers.Ready, Probe: runtimes.choose,
		Now:        n.clock.Now,
		Registries: n.Config.Registry.PlainHTTP, Reach: dialRegistry,
		FleetNow: func() fleet.Time {
			if log := n.voter.node(); log != nil {
				return log.State().Now()
			}
			return 0
		},
	}
	for {
		checks := check.Run(ctx)
		if ctx.Err() != nil {
			return nil
		}
		n.host.HostChecked(n.checks.set(func(c *hostChecks) { c.self = checks }), &n.capacity)
		if !selfcheck.Passed(checks) {
			n.Log.Warn("self-check failed", "reason", fmt.Sprint(checks))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(selfcheck.Pause(checks)):
		}
	}
}

// dialRegistry reports whether a registry takes connections.
func dialRegistry(ctx context.Context, registry string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", registry)
	if err != nil {
		return err
	}
	return conn.Close()
}
