package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"skein/agent/api"
	"skein/agent/converge"
	"skein/agent/lead"
	"skein/agent/peer"
	"skein/agent/trust"
	"skein/cmd/skein/config"
	"skein/gossip"
	"skein/raftfsm"
	"skein/raftfsm/fleet"
	"skein/runtime/cgroup"
	"skein/runtime/containerd"
	"skein/runtime/dns"
	"skein/runtime/hostos"
	"skein/runtime/ingress"
	"skein/runtime/network"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// Options are what an agent is started with.
type Options struct {
	Config  *config.Config
	Version string
	Log     *slog.Logger
	// Ready is called once, when the agent serves.
	Ready func()
	// Hurry ends when the agent is to stop without waiting for clients; nil: it does not.
	Hurry context.Context
}

// node is one running agent.
type node struct {
	Options
	clock    clock.Clock
	machine  hostos.Machine
	boot     string
	nonce    uint64
	capacity fleet.Resources
	runtimes []string // OCI runtimes to try, see runtimeCandidates
	meter    *hostos.Meter

	identity *trust.IdentityStore
	self     fleet.HostID
	port     *peer.Port
	ring     *gossip.Ring
	voter    *voter
	api      *api.API

	containers *containerd.Client
	network    *network.Network
	cgroups    *cgroup.Tree
	protection cgroup.Protection
	sockets    sockets
	ingress    *ingress.Engine
	accessLog  *ingress.AccessWriter // nil: there is none
	dns        *dns.Server
	entries    *entries
	stopping   atomic.Bool  // clients are asked to go elsewhere
	leaving    atomic.Bool  // the agent is stopped for good; see peer.LinkConfig.Entries
	aliases    netip.Prefix // of addresses at which this host answers its tasks
	host       *converge.Host
	link       *peer.Link
	reports    *capacityReports
	checks     hostChecks
}

// timerSlack is how late the kernel may wake a thread of the agent, whose shortest pause
// is 2 ms. It halves how often an idle agent wakes up. Writes take no longer with it; with
// 4 ms those of eight clients do.
const timerSlack = 2 * time.Millisecond

// ErrTerminated is the cause of the end of a context of [Run] when the agent is stopped for
// good, not to be started again at once.
var ErrTerminated = errors.New("terminated")

// Run runs the agent of this host until ctx ends and clients have gone. Containers are left
// as they are. ErrNoIdentity of package trust when the host is in no fleet.
func Run(ctx context.Context, o Options) (err error) {
	n := &node{Options: o, clock: clock.System(), nonce: uint64(time.Now().UnixNano())}
	n.meter = hostos.NewMeter(n.clock.Mono)
	if err = hostos.SetTimerSlack(timerSlack); err != nil {
		o.Log.Debug("timers are exact, which costs wake-ups", "err", err)
	}
	if err = n.facts(); err != nil {
		return err
	}
	closers := &closers{}
	defer func() { err = errors.Join(err, closers.close()) }()
	if err = n.openHost(ctx, closers); err != nil {
		return err
	}
	ctx, stop := n.clientsFirst(ctx)
	defer stop()
	if err = n.openFleet(ctx, closers); err != nil {
		return err
	}
	servers, err := n.listen(closers)
	if err != nil {
		return err
	}
	return n.serve(ctx, servers)
}

// closers close what was opened, last first.
type closers struct{ all []func() error }

func (c *closers) add(close func() error) { c.all = append(c.all, close) }

func (c *closers) close() error {
	var all error
	for i := len(c.all) - 1; i >= 0; i-- {
		all = errors.Join(all, c.all[i]())
	}
	return all
}

// facts reads who this host is and what it has.
func (n *node) facts() (err error) {
	if n.identity, err = trust.OpenIdentityStore(vfs.OS, n.Config.DataDir); err != nil {
		return err
	}
	n.self = n.identity.Host()
	if n.boot, err = n.machine.BootID(); err != nil {
		return err
	}
	if n.runtimes, err = runtimeCandidates(n.Config.Containerd.Runtime, exec.LookPath); err != nil {
		return err
	}
	n.capacity, err = capacityOf(n.Config, n.machine)
	return err
}

// openHost opens the adapters of this host and the loop over them.
func (n *node) openHost(ctx context.Context, closers *closers) (err error) {
	c := n.Config
	if n.cgroups, err = cgroup.Open(cgroup.Config{Parent: c.Cgroup.Parent}); err != nil {
		return err
	}
	if n.containers, err = containerd.Open(n.containerdConfig()); err != nil {
		return err
	}
	closers.add(n.containers.Close)
	n.protect(ctx)
	n.sockets = openSockets()
	if err = n.openNetwork(ctx, closers); err != nil {
		return err
	}
	n.openIngress(closers)
	n.openEntries(closers)
	return n.openLoop()
}

// openNetwork opens the network of tasks, and DNS in it.
func (n *node) openNetwork(ctx context.Context, closers *closers) error {
	c := n.Config.Network
	subnet, err := netip.ParsePrefix(c.Subnet)
	if err != nil {
		return err
	}
	if n.aliases, err = netip.ParsePrefix(c.Aliases); err != nil {
		return err
	}
	n.network, err = network.Open(ctx, network.Config{Bridge: c.Bridge, Subnet: subnet, Aliases: n.aliases,
		Reserved: n.reservedPorts(), Log: n.Log})
	if err != nil {
		return err
	}
	return n.openDNS(closers, subnet)
}

func (n *node) containerdConfig() containerd.Config {
	c := n.Config
	config := containerd.Config{
		Address: c.Containerd.Address, Namespace: c.Containerd.Namespace, PlainHTTP: c.Registry.PlainHTTP, Log: n.Log,
	}
	if len(n.runtimes) == 1 {
		config.Runtime = n.runtimes[0] // nothing to choose
	}
	return config
}

// protect weighs agent and runtime against tasks and remembers what came of it.
func (n *node) protect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	pid, err := n.containers.DaemonPID(ctx)
	if err != nil {
		pid = 0 // it may come up later; protection says "partly" until the next start
	}
	n.protection = n.cgroups.Protect(pid)
	if !n.protection.Full {
		n.Log.Warn("agent not fully protected from its tasks", "reason", n.protection.String())
	}
}

// reservedPorts are host ports that tasks cannot have: the agent's own.
func (n *node) reservedPorts() []int {
	var all []int
	for _, listen := range []string{n.Config.PeerListen, n.Config.GossipListen, n.Config.StatusListen} {
		if addr, err := netip.ParseAddrPort(listen); err == nil {
			all = append(all, int(addr.Port()))
		}
	}
	return all
}

// openFleet opens the peer port, gossip and, where this host has one, the log.
func (n *node) openFleet(ctx context.Context, closers *closers) error {
	raw, err := net.Listen("tcp", n.Config.PeerListen)
	if err != nil {
		return fmt.Errorf("listen on peer port: %w", err)
	}
	closers.add(func() error { _ = raw.Close(); return nil }) // the port closes it too
	n.voter = &voter{
		dir: n.Config.DataDir, log: n.Log, parent: ctx, role: n.setRole, beside: n.lead, dropKeys: n.identity.DeleteFleetKey,
		again: resumeEvery,
		config: func(id fleet.RaftID) raftfsm.Config {
			return raftfsm.Config{Dir: filepath.Join(n.Config.DataDir, "raft"), ID: id, Dial: n.port.DialRaft,
				Accept: n.port.Raft(), Log: n.Log, Clock: n.clock}
		},
	}
	addr, err := PeerAddress(n.Config)
	if err != nil {
		return err
	}
	n.port = peer.New(peer.Config{
		Addr: addr, Identity: n.identity, Log: n.voter.peerLog, Translate: toPeer,
		API:   lateHandler(func() *api.API { return n.api }),
		Voter: n.voter, Runners: n.runners(), Clock: n.clock, Logs: n.Log, Starved: n.starved, Answered: n.answered,
		Report:   n.reportOf,
		Reported: n.reported,
	}, raw)
	if err := n.openGossip(closers); err != nil {
		return err
	}
	n.reports = newCapacityReports(n)
	n.api = api.New(api.Config{
		Host: n.self, Name: n.Config.Name, Zone: n.Config.Zone, Version: n.Version, Log: n.Log,
		Voter: n.apiVoter, Forward: n.port, Members: apiMembers{n.ring}, Local: apiLocal{n.host, n.ingress, n.stopping.Load},
		Images: n.containers, Tokens: apiTokens{n.identity}, ReservedPorts: n.reservedPorts(),
		AllowedHosts: []string{n.Config.Name},
	})
	n.api.Registry().MustRegister(n.ingressMetrics())
	n.link = n.newLink()
	closers.add(n.voter.close)
	n.voter.resume()
	return nil
}

func (n *node) openGossip(closers *closers) error {
	bind, err := netip.ParseAddrPort(n.Config.GossipListen)
	if err != nil {
		return err
	}
	advertise, err := dialable(n.Config.GossipListen)
	if err != nil {
		return err
	}
	addr, err := PeerAddress(n.Config)
	if err != nil {
		return err
	}
	folder := filepath.Join(n.Config.DataDir, "gossip")
	if err = os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make gossip folder: %w", err)
	}
	var keys [][]byte
	for _, key := range n.identity.GossipKeys() {
		keys = append(keys, key)
	}
	n.ring, err = gossip.Open(gossip.Config{
		Host: n.self, Name: n.Config.Name, Zone: n.Config.Zone, Role: "worker", Version: n.Version,
		Status: statusURL(n.Config),
		Bind:   bind, Advertise: advertise, Peer: addr, Keys: keys, FloorFile: filepath.Join(folder, "incarnation"),
		FS: vfs.OS, Log: n.Log,
		SessionNonce: n.sessionNonce,
	})
	if err != nil {
		return err
	}
	closers.add(n.ring.Close)
	return nil
}

// apiVoter is this host's log for the API, nil while it has none.
func (n *node) apiVoter() api.Voter {
	if log := n.voter.node(); log != nil {
		return apiVoter{log, n.port}
	}
	return nil
}

func (n *node) setRole(role string) { n.ring.SetRole(role) }

func (n *node) starved() bool {
	starved, _ := n.meter.Starved()
	return starved
}

func (n *node) answered(host fleet.HostID) (time.Duration, bool) { return n.ring.AnsweredWithin(host) }

func (n *node) reportOf(host fleet.HostID) (fleet.CapacityReport, bool) {
	report, _, ok := n.ring.Report(host)
	return report, ok
}

func (n *node) reported(report fleet.CapacityReport) { n.ring.Observe(report) }

// sessionNonce is that of a host's session in State; 0 on a host without one.
func (n *node) sessionNonce(host fleet.HostID) uint64 {
	log := n.voter.node()
	if log == nil {
		return 0
	}
	row := log.State().Host(host)
	if row == nil {
		return 0
	}
	return row.Session.Nonce
}

// lead is what runs beside an open log: the leader loop with its duties.
func (n *node) lead(ctx context.Context, log *raftfsm.Node) error {
	group, ctx := errgroup.WithContext(ctx)
	leader := lead.New(lead.Config{
		Log: log, FailureDetector: n.port.FailureDetector(), Clock: n.clock, NewID: lead.NewTaskIDs(rand.Reader).Next,
		Logger:      n.Log,
		NotProposed: raftfsm.NotDone,
		Duties:      []lead.Duty{{Name: "voter keeper", Run: n.keeper(log).Run}, {Name: "effects", Run: n.executor(log).Run}},
	})
	group.Go(func() error { return leader.Run(ctx) })
	group.Go(func() error {
		select {
		case err := <-log.Fatal():
			n.voter.failed(log.ID(), err)
		case <-ctx.Done():
		}
		return nil
	})
	return group.Wait()
}

// gossipAddrs are where to rejoin the ring: hosts that State has, else the
// voters this host last heard of, on the port gossip has everywhere.
func (n *node) gossipAddrs() []netip.AddrPort {
	var all []netip.AddrPort
	if log := n.voter.node(); log != nil {
		for host := range log.State().Hosts() {
			if host.Gossip.IsValid() && host.ID != n.self && host.State != fleet.HostForgotten {
				all = append(all, host.Gossip)
			}
		}
		return all
	}
	bind, err := netip.ParseAddrPort(n.Config.GossipListen)
	if err != nil {
		return nil
	}
	for _, voter := range n.identity.Roster().Voters {
		all = append(all, netip.AddrPortFrom(voter.Addr.Addr(), bind.Port()))
	}
	return all
}

// bootstrap commits the fleet that `skein init` made here, if it is not yet.
func (n *node) bootstrap(ctx context.Context) error {
	pending, err := n.identity.PendingBootstrap()
	if err != nil || pending == nil {
		return err
	}
	if err := n.voter.Prepare(ctx, pending.RaftID, func() error { return nil }); err != nil {
		return err
	}
	log := n.voter.node()
	if err := log.Bootstrap(ctx, pending.Init); err != nil && !errors.Is(err, raftfsm.ErrExists) {
		return fmt.Errorf("make the fleet: %w", err)
	}
	for {
		results, _, err := log.Propose(ctx, []fleet.Item{pending.OperatorToken})
		if err == nil {
			if refusal := results[0].Err; refusal != nil && !errors.Is(refusal, fleet.ErrExists) {
				return fmt.Errorf("make the first operator token: %w", refusal)
			}
			return n.identity.Bootstrapped()
		}
		select {
		case <-ctx.Done():
			return nil // the next start goes on
		case <-time.After(200 * time.Millisecond):
		}
	}
}
