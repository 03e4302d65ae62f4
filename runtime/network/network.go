package network

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Config says which network tasks get.
type Config struct {
	Bridge   string       // name of the bridge; "skein0" when empty
	Subnet   netip.Prefix // addresses of tasks, private to this host; DefaultSubnet when zero
	Aliases  netip.Prefix // addresses at which this host answers its tasks, and nobody else; DefaultAliases when zero
	Reserved []int        // host ports that are never mapped: the agent's own, and ssh
	Log      *slog.Logger
}

// DefaultSubnet has room for 4,093 tasks. It is the same on every host, since
// it is never routed between hosts, and avoids what docker (172.17.0.0/16) and
// the default network of a large cloud (172.31.0.0/16) use.
var DefaultSubnet = netip.MustParsePrefix("172.29.0.0/20")

const (
	defaultBridge = "skein0"
	maxBridgeName = 15 // IFNAMSIZ less the closing zero
	taskLockCount = 64 // tasks that may be set up at once without waiting for each other by chance
)

func (c Config) withDefaults() (Config, error) {
	if c.Bridge == "" {
		c.Bridge = defaultBridge
	}
	if !c.Subnet.IsValid() {
		c.Subnet = DefaultSubnet
	}
	if !c.Aliases.IsValid() {
		c.Aliases = DefaultAliases
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Subnet, c.Aliases = c.Subnet.Masked(), c.Aliases.Masked()
	if len(c.Bridge) > maxBridgeName {
		return c, fmt.Errorf("network bridge %q: at most %d characters", c.Bridge, maxBridgeName)
	}
	if bits := c.Subnet.Bits(); !c.Subnet.Addr().Is4() || bits < 12 || bits > 29 {
		return c, fmt.Errorf("network subnet %s: want an IPv4 prefix from /12 to /29", c.Subnet)
	}
	return c, checkAliases(c.Aliases, c.Subnet)
}

// Network is this host's task network. Make one with [Open].
type Network struct {
	config    Config
	log       *slog.Logger
	bridge    atomic.Int64 // interface index
	ports     *portMap
	taskLocks [taskLockCount]sync.Mutex

	mu    sync.Mutex // guards the rest; held for look-ups only, never for netlink
	tasks map[fleet.TaskID]*entry
	owner map[portKey]fleet.TaskID
}

// entry is a task that has a link or is about to have one.
type entry struct {
	addr  netip.Addr
	ports []mapping
}

type portKey struct {
	protocol fleet.Protocol
	port     int
}

// mapping is one host port and where it leads.
type mapping struct {
	key  portKey
	task fleet.TaskID
	to   netip.AddrPort
}

// Open makes what all tasks share (bridge, forwarding, table) and takes up the
// tasks that are there. Errors say what this machine lacks.
func Open(ctx context.Context, config Config) (*Network, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Network{
		config: config, log: config.Log,
		tasks: map[fleet.TaskID]*entry{},
		owner: map[portKey]fleet.TaskID{},
	}
	links, complete, err := taskLinks()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		if l.task != "" {
			n.tasks[l.task] = &entry{addr: l.addr}
		}
	}
	index, err := ensureBridge(config.Bridge, n.gateway(), len(n.tasks))
	if err != nil {
		return nil, err
	}
	n.bridge.Store(int64(index))
	if err = errors.Join(enableForwarding(), ensureAliases(config.Aliases)); err != nil {
		return nil, err
	}
	n.ports = newPortMap(config)
	mapped, err := n.ports.read(ctx)
	if err != nil {
		return nil, err
	}
	n.adopt(mapped, complete)
	if complete {
		removeUnnamed(links)
	}
	if err := n.ports.install(ctx, n.mappings()); err != nil {
		return nil, err
	}
	n.log.Info("task network opened", "bridge", config.Bridge, "subnet", config.Subnet.String(), "tasks", len(n.tasks))
	return n, nil
}

// Repair puts back what all tasks share when something else on the host has
// taken it away: a flushed ruleset, a bridge without address, forwarding off. To
// be called now and then; it costs a few reads when all is well.
func (n *Network) Repair(ctx context.Context) error {
	n.mu.Lock()
	tasks := len(n.tasks)
	n.mu.Unlock()
	index, err := ensureBridge(n.config.Bridge, n.gateway(), tasks)
	if err != nil {
		return err
	}
	if int64(index) != n.bridge.Swap(int64(index)) {
		n.log.Warn("task bridge was made anew", "bridge", n.config.Bridge)
	}
	if err := errors.Join(enableForwarding(), ensureAliases(n.config.Aliases)); err != nil {
		return err
	}
	if maps := n.mappings(); n.ports.behind() || !n.ports.intact(maps) {
		n.log.Warn("port map was put back", "ports", len(maps))
		return n.ports.install(ctx, maps)
	}
	return nil
}

// adopt takes up port maps of tasks that are there. Maps without a task are
// dropped, unless the list of tasks may be incomplete.
func (n *Network) adopt(mapped []mapping, complete bool) {
	for _, m := range mapped {
		e := n.tasks[m.task]
		if e == nil && complete {
			continue
		}
		if e == nil {
			e = &entry{addr: m.to.Addr()}
			n.tasks[m.task] = e
		}
		if e.addr == m.to.Addr() {
			e.ports = append(e.ports, m)
			n.owner[m.key] = m.task
		}
	}
}

// gateway is the bridge's own address: the first of the subnet.
func (n *Network) gateway() netip.Prefix {
	return netip.PrefixFrom(n.config.Subnet.Addr().Next(), n.config.Subnet.Bits())
}

// Setup connects the network namespace of spec.PID as the task's: in bridge mode
// with an address and port maps, in mode none with loopback only; mode host needs
// nothing. The address is the zero Addr except in bridge mode. Again for the same
// task it repairs what is missing and sets the ports anew. A host port that
// another living task holds is refused with port.ErrExists.
func (n *Network) Setup(ctx context.Context, spec port.NetworkSpec) (netip.Addr, error) {
	switch spec.Mode {
	case fleet.NetworkHost:
		return netip.Addr{}, nil
	case fleet.NetworkNone:
		return netip.Addr{}, n.serialized(ctx, spec.Task, func() error { return loopbackOnly(spec.PID) })
	case fleet.NetworkBridge:
	default:
		return netip.Addr{}, fmt.Errorf("set up network of task %s: %s", spec.Task, spec.Mode)
	}
	var addr netip.Addr
	err := n.serialized(ctx, spec.Task, func() (err error) {
		addr, err = n.setupBridge(ctx, spec)
		return err
	})
	if err != nil {
		return netip.Addr{}, fmt.Errorf("set up network of task %s: %w", spec.Task, err)
	}
	return addr, nil
}

func (n *Network) setupBridge(ctx context.Context, spec port.NetworkSpec) (netip.Addr, error) {
	if err := checkPorts(spec.Ports, n.config.Reserved); err != nil {
		return netip.Addr{}, err
	}
	addr, added, changed, err := n.reserve(spec)
	if err != nil {
		return netip.Addr{}, err
	}
	err = n.connect(spec, addr)
	if err == nil && (changed || n.ports.behind()) {
		err = n.publish(ctx, spec.Ports)
	}
	if err != nil {
		if added {
			err = errors.Join(err, n.teardown(context.WithoutCancel(ctx), spec.Task))
		}
		return netip.Addr{}, err
	}
	return addr, nil
}

// publish brings the kernel's port map up to what is reserved now. Flows of a
// UDP port that began before it was mapped would bypass the map for ever.
func (n *Network) publish(ctx context.Context, bindings []fleet.PortBinding) error {
	if err := n.ports.replace(ctx, n.mappings); err != nil {
		return err
	}
	for _, b := range bindings {
		if b.Protocol == fleet.UDP {
			if err := forgetFlowsTo(b.HostPort); err != nil {
				n.log.Warn("udp flows not forgotten", "port", b.HostPort, "err", err)
			}
		}
	}
	return nil
}

// Teardown removes everything of the task; what is not there is no error.
func (n *Network) Teardown(ctx context.Context, task fleet.TaskID) error {
	err := n.serialized(ctx, task, func() error { return n.teardown(ctx, task) })
	if err != nil {
		return fmt.Errorf("tear down network of task %s: %w", task, err)
	}
	return nil
}

// teardown closes the ports before the address can go to another task.
func (n *Network) teardown(ctx context.Context, task fleet.TaskID) error {
	n.mu.Lock()
	e := n.tasks[task]
	var ports []mapping
	if e != nil {
		ports, e.ports = e.ports, nil
		for _, m := range ports {
			delete(n.owner, m.key)
		}
	}
	n.mu.Unlock()
	if len(ports) > 0 {
		if err := n.ports.replace(ctx, n.mappings); err != nil {
			n.restore(task, ports)
			return err
		}
	}
	if err := removeLink(task); err != nil {
		return err
	}
	if e != nil && slices.ContainsFunc(ports, func(m mapping) bool { return m.key.protocol == fleet.UDP }) {
		if err := forgetFlowsOf(e.addr); err != nil {
			n.log.Warn("udp flows not forgotten", "task", string(task), "err", err)
		}
	}
	n.mu.Lock()
	n.release(task)
	n.mu.Unlock()
	return nil
}

// Tasks lists the tasks that have anything set up, sorted: what the kernel has
// and what is remembered of links that vanished with their namespace.
func (n *Network) Tasks(ctx context.Context) ([]fleet.TaskID, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	links, _, err := taskLinks() // partial is enough: the rest is remembered
	if err != nil {
		return nil, err
	}
	var out []fleet.TaskID
	for _, l := range links {
		if l.task != "" {
			out = append(out, l.task)
		}
	}
	n.mu.Lock()
	for task := range n.tasks {
		out = append(out, task)
	}
	n.mu.Unlock()
	slices.Sort(out)
	return slices.Compact(out), nil
}

// serialized keeps calls for one task apart.
func (n *Network) serialized(ctx context.Context, task fleet.TaskID, do func() error) error {
	if task == "" {
		return errors.New("no task id")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	lock := &n.taskLocks[hash(string(task))%taskLockCount]
	lock.Lock()
	defer lock.Unlock()
	return do()
}

func hash(text string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(text))
	return h.Sum32()
}
