package node

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"skein/cmd/skein/config"
	"skein/raftfsm/fleet"
	"skein/runtime/dns"
	"skein/runtime/ingress"
	"skein/runtime/ingress/metrics"
	"skein/runtime/seam/vfs"
)

const (
	// leaveTime is how long clients have to go on with other connections when the agent stops,
	// while it works on as before. Most are gone after 2 s; a download or a tunnel is cut off
	// then. The service manager must wait longer before it kills the agent.
	leaveTime = 45 * time.Second
	// handOverTime is how long others have to be given the entry addresses of an agent that is
	// stopped for good: a beat, a word to the leader, a commit.
	handOverTime = 5 * time.Second
	// ingressLinger is how long requests that are open may go on after that.
	ingressLinger = 3 * time.Second
)

// openIngress opens the ingress of this host, which serves nothing until it is told
// routes.
func (n *node) openIngress(closers *closers) {
	with := ingress.Config{
		Clock: n.clock, Log: n.Log, Zone: n.Config.Zone,
		Store: n.sockets.of(listenerSockets), Inherited: n.sockets.inherited(listenerSockets),
		AliasAddr: n.aliasAddr, Aliases: n.aliases,
	}
	if c := n.Config.AccessLog; c.Sample > 0 {
		n.accessLog = ingress.NewAccessWriter(int(c.Sample))
		with.Access = n.accessLog // not a nil of its type
		n.writeAccessLog(closers)
	}
	n.ingress = ingress.New(with)
	closers.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ingressLinger)
		defer cancel()
		if err := n.ingress.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
}

// accessLinger is how long the access log has for its last lines when the agent stops: a disk
// that hangs must not hold it up.
const accessLinger = time.Second

// writeAccessLog writes what the ingress tells of requests until the agent has stopped.
func (n *node) writeAccessLog(closers *closers) {
	c := n.Config.AccessLog
	file := vfs.NewRotated(vfs.OS, filepath.Join(n.Config.DataDir, config.AccessLogName), c.SizeMB<<20, int(c.Files))
	ctx, stop := context.WithCancel(context.Background())
	written := make(chan struct{})
	go func() {
		defer close(written)
		n.accessLog.Run(ctx, file, n.Log)
		_ = file.Close()
	}()
	closers.add(func() error {
		stop()
		select {
		case <-written:
		case <-time.After(accessLinger):
			n.Log.Warn("the last lines of the access log are lost: the disk does not answer")
		}
		return nil
	})
}

// ingressMetrics are the counts of the ingress, for /metrics.
func (n *node) ingressMetrics() metrics.Collector {
	c := metrics.Collector{Source: n.ingress}
	if n.accessLog != nil {
		c.Dropped = n.accessLog.Dropped
	}
	return c
}

// clientsFirst returns a context that ends some time after ctx: once clients have gone. The
// agent works until then, and its host is not missed.
func (n *node) clientsFirst(ctx context.Context) (context.Context, context.CancelFunc) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	leave := context.AfterFunc(ctx, func() {
		defer stop()
		n.stopping.Store(true)
		if errors.Is(context.Cause(ctx), ErrTerminated) {
			n.handOver(working)
		}
		limit, cancel := context.WithTimeout(working, leaveTime)
		defer cancel()
		if n.Hurry != nil {
			defer context.AfterFunc(n.Hurry, cancel)()
		}
		if err := n.ingress.Leave(limit); err != nil && working.Err() == nil {
			n.Log.Warn("connections will be cut off: they have not ended in time", "reason", err)
		}
	})
	return working, func() { leave(); stop() }
}

// handOver tells the fleet that this agent leaves, and waits until others hold its entry
// addresses, or nobody takes them.
func (n *node) handOver(ctx context.Context) {
	n.leaving.Store(true)
	if n.Hurry != nil {
		hurried, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(n.Hurry, cancel)()
		ctx = hurried
	}
	n.entries.awaitNone(ctx, handOverTime)
}

// traffic is what the ingress has counted of target groups since this agent began.
func (n *node) traffic(groups []fleet.TargetGroupName) (start uint64, counts []fleet.GroupTraffic) {
	return n.nonce, n.ingress.Traffic(groups)
}

// routesServer has the ingress serve, and DNS answer, what the host loop accepted.
type routesServer struct {
	engine *ingress.Engine
	dns    *dns.Server
	log    *slog.Logger
}

// ServeRoutes replaces what is served. What cannot be served is tried again by the
// engine, and told by its status.
func (s routesServer) ServeRoutes(_, index uint64, r fleet.Routes) {
	if err := s.engine.Apply(r, index); err != nil {
		s.log.Warn("not all routes are served", "index", index, "err", err)
	}
	s.dns.Apply(r, index)
}
