package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/dns"
	"skein/runtime/ingress"
)

const (
	// leaveTime is how long clients have to go on with other connections when the agent stops,
	// while it works on as before. Most are gone after 2 s; a download or a tunnel is cut off
	// then. The service manager must wait longer before it kills the agent.
	leaveTime = 45 * time.Second
	// ingressLinger is how long requests that are open may go on after that.
	ingressLinger = 3 * time.Second
)

// openIngress opens the ingress of this host, which serves nothing until it is told
// routes.
func (n *node) openIngress(closers *closers) {
	n.ingress = ingress.New(ingress.Config{
		Clock: n.clock, Log: n.Log, Zone: n.Config.Zone,
		Store: n.sockets.of(listenerSockets), Inherited: n.sockets.inherited(listenerSockets),
		AliasAddr: n.aliasAddr,
	})
	closers.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ingressLinger)
		defer cancel()
		if err := n.ingress.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
}

// clientsFirst returns a context that ends some time after ctx: once clients have gone. The
// agent works until then, and its host is not missed.
func (n *node) clientsFirst(ctx context.Context) (context.Context, context.CancelFunc) {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	leave := context.AfterFunc(ctx, func() {
		defer stop()
		n.stopping.Store(true)
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
