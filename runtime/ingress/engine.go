package ingress

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
	"skein/runtime/seam/connlimit"
)

// ErrClosed says that the engine was closed.
var ErrClosed = errors.New("ingress is closed")

// Engine is the ingress of a host.
type Engine struct {
	config   Config
	memory   *route.Memory
	table    atomic.Pointer[route.Table]
	aliases  atomic.Pointer[map[netip.AddrPort]*listener]
	total    *connlimit.Limiter
	sources  *connlimit.Limiter
	refused  route.Counter // connections above a limit
	standard *standard
	ctx      context.Context // ends when the engine is closed for good
	cancel   context.CancelFunc
	running  sync.WaitGroup
	nudge    chan struct{} // of the keeper
	keeping  atomic.Bool   // the keeper looks again by itself

	mu        sync.Mutex // of what follows
	listeners map[fleet.ListenerName]*listener
	leaving   map[*listener]bool // closed, with connections that are still open
	inherited map[string]*os.File
	claimBy   time.Duration // when what was inherited and is not wanted is given up
	leaves    bool          // clients are told to go on elsewhere
	closed    bool
	rebindAt  time.Duration // when ports that are not open are tried again
}

// New starts an engine without routes.
func New(config Config) *Engine {
	config = config.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		config:    config,
		memory:    route.NewMemory(config.Zone, config.Random, config.Dial),
		total:     connlimit.New(config.Limits.Connections, config.Limits.Connections),
		sources:   connlimit.New(config.Limits.Connections, config.Limits.PerSource),
		ctx:       ctx,
		cancel:    cancel,
		nudge:     make(chan struct{}, 1),
		listeners: map[fleet.ListenerName]*listener{},
		leaving:   map[*listener]bool{},
		inherited: maps.Clone(config.Inherited),
		claimBy:   config.Clock.Mono() + claimFor,
	}
	e.standard = newStandard(e)
	empty, _ := e.memory.Compile(fleet.Routes{}, 0, time.Time{}, 0)
	e.table.Store(empty)
	e.aliases.Store(&map[netip.AddrPort]*listener{})
	e.running.Go(e.keep)
	return e
}

// Apply serves routes from now on. Requests that have begun go on by the routes that they
// began with. When it returns, no request goes to a target that drains or is not in routes
// any more, and Drained says of those when the last has ended. The error names rules that
// this agent cannot ask, and ports that it cannot open; all else is served, and the ports
// are tried again. index is where routes are from, for Status.
func (e *Engine) Apply(routes fleet.Routes, index uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	table, broken := e.memory.Compile(routes, index, e.config.Clock.Now(), e.config.Clock.Mono())
	if broken != nil {
		e.config.Log.Error("rules cannot be asked by this agent", "index", index, "err", broken)
	}
	// Listeners that end stop before the table lacks them, those that begin start after it
	// has them.
	e.endListeners(routes.Listeners)
	e.table.Store(table)
	e.memory.Retire(table)
	e.standard.leave()
	unbound := e.startListeners(routes.Listeners)
	e.wakeKeeper()
	return errors.Join(broken, unbound)
}

// endListeners stops those that are not wanted, or not as they are. A port that another
// listener is to have stays open for it.
func (e *Engine) endListeners(wanted []fleet.Listener) {
	stay, addresses := map[fleet.ListenerName]fleet.Listener{}, map[string]bool{}
	for _, noun := range wanted {
		stay[noun.Name], addresses[e.addressOf(&noun)] = noun, true
	}
	for name, l := range e.listeners {
		if noun, ok := stay[name]; ok && sameSocket(noun, l.noun) {
			l.update(noun)
			continue
		}
		if !addresses[l.address()] {
			e.giveUp(l.address(), l.handle())
		} else if file, err := l.file(); err == nil && file != nil {
			e.bequeath(l.address(), file)
		}
		l.stop()
		e.leaving[l] = true
		delete(e.listeners, name)
		e.config.Log.Info("listener closed", "listener", string(name), "port", l.noun.Port)
	}
}

// addressOf is where a listener listens: at its port of all addresses, or at that of its
// alias alone.
func (e *Engine) addressOf(noun *fleet.Listener) string {
	if noun.Alias == nil {
		return ":" + strconv.Itoa(noun.Port)
	}
	return netip.AddrPortFrom(e.config.AliasAddr(noun.Alias.Number), uint16(noun.Port)).String()
}

// sameSocket reports whether a listener's change needs no other socket.
func sameSocket(a, b fleet.Listener) bool {
	if (a.Alias == nil) != (b.Alias == nil) || a.Alias != nil && a.Alias.Number != b.Alias.Number {
		return false
	}
	return a.Port == b.Port && a.Protocol == b.Protocol && a.ProxyProtocol == b.ProxyProtocol
}

func (e *Engine) startListeners(wanted []fleet.Listener) error {
	for _, noun := range wanted {
		if e.listeners[noun.Name] == nil {
			l := newListener(e, noun)
			l.leaves = e.leaves
			e.listeners[noun.Name] = l
		}
	}
	e.carryAliases()
	var unbound []error
	for _, noun := range wanted {
		l := e.listeners[noun.Name]
		if err := l.bind(); err != nil {
			unbound = append(unbound, fmt.Errorf("listener %s: %w", noun.Name, err))
		}
	}
	return errors.Join(unbound...)
}

// carryAliases has listeners of all addresses take the connections of aliases at their ports:
// the kernel gives a port that is open on all addresses to no other socket.
func (e *Engine) carryAliases() {
	ofPort := map[int]*listener{}
	for _, l := range e.listeners {
		if l.noun.Alias == nil {
			ofPort[l.noun.Port] = l
		}
	}
	aliases := map[netip.AddrPort]*listener{}
	for _, l := range e.listeners {
		if l.noun.Alias == nil {
			continue
		}
		aliases[netip.AddrPortFrom(e.config.AliasAddr(l.noun.Alias.Number), uint16(l.noun.Port))] = l
		carrier := ofPort[l.noun.Port]
		if carrier != nil {
			if socket := l.handle(); socket != nil {
				e.giveUp(l.address(), socket)
			}
			e.giveUpOne(l.address())
		}
		l.carriedBy(carrier)
	}
	e.aliases.Store(&aliases)
}

// admit serves a connection that the listener has accepted, or the alias that was asked for. At
// the address of an alias nothing else is served: its name is another service's.
func (e *Engine) admit(l *listener, conn net.Conn) {
	if l.noun.Alias == nil && e.config.Aliases.IsValid() {
		if at := addrPort(conn.LocalAddr()); e.config.Aliases.Contains(at.Addr()) {
			if l = (*e.aliases.Load())[at]; l == nil {
				_ = conn.Close()
				return
			}
		}
	}
	l.admit(conn)
}

// Drained reports whether the task gets nothing new from this host and has nothing open.
func (e *Engine) Drained(task fleet.TaskID) bool { return e.memory.Drained(task) }

// AwaitDrained waits until Drained. Errors: the context's, ErrClosed.
func (e *Engine) AwaitDrained(ctx context.Context, task fleet.TaskID) error {
	for {
		drained, again := e.memory.AwaitDrained(task)
		if drained {
			return nil
		}
		select {
		case <-again:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.ctx.Done():
			return ErrClosed
		}
	}
}

// Leave tells clients to go on with other connections, and serves on: also those who come,
// who are told with their first answer. It returns when the connections that were open have
// ended, or with the context's error: tunnels may go on for ever. Close is to follow. Between
// the two, little is open: connections that wait for the process after this one wait no
// longer than one short request takes.
func (e *Engine) Leave(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	e.leaves = true
	var former []<-chan struct{}
	for _, l := range e.listeners {
		former = append(former, l.leave())
	}
	for l := range e.leaving {
		former = append(former, l.empty)
	}
	e.mu.Unlock()
	e.wakeKeeper()
	for _, gone := range former {
		select {
		case <-gone:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close stops listening, lets what is open end until ctx does, and then cuts off the rest.
// Clients are told to go on with another connection. It returns when nothing of the engine
// runs any more; the error is the context's if something was cut off.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	e.closed = true
	for _, l := range e.listeners {
		l.stop()
		e.leaving[l] = true
	}
	e.listeners = map[fleet.ListenerName]*listener{}
	for _, file := range e.inherited { // they are kept for the next process as they were for this one
		_ = file.Close()
	}
	e.inherited = nil
	leaving := slices.Collect(maps.Keys(e.leaving))
	e.mu.Unlock()
	e.wakeKeeper()
	var cut error
	for _, l := range leaving {
		if err := l.await(ctx); err != nil {
			cut = err
		}
		l.cut()
	}
	e.cancel()
	e.running.Wait()
	empty, _ := e.memory.Compile(fleet.Routes{}, 0, time.Time{}, 0)
	e.memory.Retire(empty)
	e.standard.close()
	return cut
}
