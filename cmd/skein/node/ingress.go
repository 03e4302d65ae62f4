package node

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/dns"
	"skein/runtime/fdstore"
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
	sockets, inherited := openSockets()
	n.ingress = ingress.New(ingress.Config{
		Clock: n.clock, Log: n.Log, Zone: n.Config.Zone, Store: sockets, Inherited: inherited,
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

// sockets has the service manager keep the listeners' sockets.
type sockets struct{ store *fdstore.Store }

// socketPrefix is what the names of the listeners' sockets begin with, in the store.
const socketPrefix = "listener-"

func openSockets() (sockets, map[string]*os.File) {
	store, kept := fdstore.Open()
	inherited := map[string]*os.File{}
	for name, file := range kept {
		if address, ok := strings.CutPrefix(name, socketPrefix); ok {
			inherited[addressOf(address)] = file
		} else {
			_ = file.Close() // nothing of this agent
		}
	}
	return sockets{store}, inherited
}

// nameOf is the name of a listener's socket in the store, which has no colons: the port,
// and before it the address where it is of one alone.
func nameOf(address string) string {
	return socketPrefix + strings.ReplaceAll(strings.TrimPrefix(address, ":"), ":", "_")
}

// addressOf is the inverse of nameOf, without the prefix.
func addressOf(name string) string {
	if !strings.Contains(name, "_") {
		return ":" + name
	}
	return strings.ReplaceAll(name, "_", ":")
}

// Keep is ingress.SocketStore's.
func (s sockets) Keep(address string, socket syscall.Conn) error {
	return s.store.Keep(nameOf(address), socket)
}

// Drop is ingress.SocketStore's.
func (s sockets) Drop(address string) error { return s.store.Drop(nameOf(address)) }

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
