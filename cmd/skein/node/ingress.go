package node

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// ingressLinger is how long requests that are open may go on when the agent stops.
const ingressLinger = 3 * time.Second

// openIngress opens the ingress of this host, which serves nothing until it is told
// routes.
func (n *node) openIngress(closers *closers) {
	n.ingress = ingress.New(ingress.Config{Clock: n.clock, Log: n.Log, Zone: n.Config.Zone})
	closers.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ingressLinger)
		defer cancel()
		if err := n.ingress.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	})
}

// routesServer has the ingress serve what the host loop accepted.
type routesServer struct {
	engine *ingress.Engine
	log    *slog.Logger
}

// ServeRoutes replaces what is served. What cannot be served is tried again by the
// engine, and told by its status.
func (s routesServer) ServeRoutes(_, index uint64, r fleet.Routes) {
	if err := s.engine.Apply(r, index); err != nil {
		s.log.Warn("not all routes are served", "index", index, "err", err)
	}
}
