package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/connlimit"
	"skein/runtime/seam/vfs"
)

const (
	// rebindEvery is how often an address that was in use is tried again, and how often the
	// host's resolv.conf is looked at.
	rebindEvery = 2 * time.Second
	// namesWait is how long queries wait for the first routes after a start: a little longer
	// than a host that hears no voter waits before it goes by those on its disk.
	namesWait = 2500 * time.Millisecond
	// idleTCP is how long a connection may lie idle, writeTCP how long an answer may take.
	idleTCP  = 10 * time.Second
	writeTCP = 5 * time.Second
	// maxConns are open at once, in all and of one task.
	maxConns       = 512
	maxSourceConns = 32
	// readBuffer holds queries that come while the agent is busy, or has just started.
	readBuffer = 1 << 20
)

// ownResolver is what a host has whose resolv.conf names none (resolv.conf(5)).
var ownResolver = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)

// Config is what a server stands on.
type Config struct {
	// Addr is what tasks ask, at port 53: an address that nobody else reaches.
	Addr netip.AddrPort
	// AliasAddr is the address of an alias, by its number.
	AliasAddr func(number int) netip.Addr
	// Clients are the addresses that are answered.
	Clients []netip.Prefix
	// HostResolvConf names the host's resolvers. TaskResolvConf is what tasks have mounted:
	// it names Addr, or those of the host that tasks reach while Addr cannot be listened on.
	HostResolvConf, TaskResolvConf string
	Log                            *slog.Logger
	// Store, if any, holds the sockets while no agent is there; Inherited are those that it
	// held, by its names. The server closes what it does not use.
	Store     SocketStore
	Inherited map[string]*os.File
	// Dial reaches resolvers; nil: as the net package does.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Server answers DNS.
type Server struct {
	config    Config
	names     atomic.Pointer[Names]
	known     chan struct{} // closed once there are names
	knownOnce sync.Once
	resolvers resolvers
	bounds    *bounds
	conns     *connlimit.Limiter

	failed atomic.Pointer[string] // why Addr cannot be listened on; nil: it is

	udp  *net.UDPConn // of Open and Run alone
	tcp  net.Listener
	read string // what was read of HostResolvConf
}

// Open listens, and writes what tasks have mounted. That the address cannot be listened
// on is no error: tasks have the host's resolvers meanwhile, and Run tries again.
func Open(config Config) (*Server, error) {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	}
	s := &Server{config: config, known: make(chan struct{}), bounds: newBounds(),
		conns: connlimit.New(maxConns, maxSourceConns)}
	s.resolvers.dial = config.Dial
	s.names.Store(&Names{})
	if err := s.tryListen(); err != nil {
		config.Log.Error("DNS for tasks cannot be answered, will be tried again; tasks have no names of services meanwhile",
			"addr", config.Addr.String(), "err", err)
	}
	if err := s.readResolvers(); err != nil {
		s.closeSockets()
		return nil, err
	}
	return s, nil
}

// Close closes what Run has not; for a server that was never run.
func (s *Server) Close() error {
	s.closeSockets()
	return nil
}

// Apply answers by routes from now on.
func (s *Server) Apply(routes fleet.Routes, index uint64) {
	s.names.Store(NewNames(routes, index, s.config.AliasAddr))
	s.knownOnce.Do(func() { close(s.known) })
}

// Failed says why tasks are not answered; empty: they are.
func (s *Server) Failed() string {
	if why := s.failed.Load(); why != nil {
		return *why
	}
	return ""
}

// tryListen listens, and keeps why it cannot.
func (s *Server) tryListen() error {
	err := s.listen()
	if err == nil {
		s.failed.Store(nil)
		return nil
	}
	why := err.Error()
	s.failed.Store(&why)
	return err
}

// Run answers until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	defer s.closeSockets()
	select {
	case <-s.known:
	case <-time.After(namesWait): // what asks meanwhile waits in the sockets
	case <-ctx.Done():
		return nil
	}
	var serving sync.WaitGroup
	defer serving.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, s.closeSocketsOf(s.udp, s.tcp))
	tick := time.NewTicker(rebindEvery)
	defer tick.Stop()
	if s.udp != nil {
		s.start(ctx, &serving)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s.udp == nil && s.tryListen() == nil {
			context.AfterFunc(ctx, s.closeSocketsOf(s.udp, s.tcp))
			s.start(ctx, &serving)
			s.read = "" // tasks are to ask here from now on
			s.config.Log.Info("DNS for tasks is answered", "addr", s.config.Addr.String())
		}
		if err := s.readResolvers(); err != nil {
			s.config.Log.Warn("resolv.conf of tasks not written", "err", err)
		}
	}
}

func (s *Server) start(ctx context.Context, serving *sync.WaitGroup) {
	udp, tcp := s.udp, s.conns.Listen(s.tcp, nil)
	serving.Go(func() { s.serveUDP(ctx, udp, serving) })
	serving.Go(func() { s.serveTCP(ctx, tcp, serving) })
}

// readResolvers reads the host's resolv.conf, if it changed, and writes that of tasks.
func (s *Server) readResolvers() error {
	text, err := os.ReadFile(s.config.HostResolvConf)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the host's resolvers: %w", err)
	}
	seen := fmt.Sprint(s.udp != nil, string(text))
	if seen == s.read {
		return nil
	}
	host := ReadResolvers(text)
	var servers []netip.AddrPort
	for _, addr := range host.Servers {
		if !slices.ContainsFunc(s.config.Clients, func(p netip.Prefix) bool {
			return p.Contains(addr) && !addr.IsLoopback()
		}) {
			servers = append(servers, netip.AddrPortFrom(addr, 53)) // none of ours: we would ask ourselves
		}
	}
	if len(host.Servers) == 0 {
		servers = append(servers, ownResolver)
	}
	s.resolvers.set(servers)
	if err := vfs.WriteShared(s.config.TaskResolvConf, s.forTasks(host)); err != nil {
		return fmt.Errorf("write the resolvers of tasks: %w", err)
	}
	s.read = seen
	return nil
}

// forTasks is what tasks have mounted. While they cannot be answered here they have the host's
// resolvers, but for those on loopback: there a task finds itself. With none left they have
// this server, which answers once it can.
func (s *Server) forTasks(host Resolvers) []byte {
	if s.udp == nil {
		reached := host
		reached.Servers = slices.DeleteFunc(slices.Clone(host.Servers), netip.Addr.IsLoopback)
		if len(reached.Servers) > 0 {
			return reached.write("The host's resolvers: the agent cannot answer, and tries again.")
		}
	}
	return host.ForTasks(s.config.Addr.Addr())
}

func (s *Server) allowed(from netip.Addr) bool {
	return slices.ContainsFunc(s.config.Clients, func(p netip.Prefix) bool { return p.Contains(from) })
}

func (s *Server) serveUDP(ctx context.Context, conn *net.UDPConn, serving *sync.WaitGroup) {
	buf := make([]byte, maxQuery+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error of an earlier answer
		}
		addr := from.Addr().Unmap()
		if !s.allowed(addr) || !s.bounds.query(addr, time.Now()) {
			continue
		}
		q, answer := s.answer(buf[:n], true)
		if answer != nil {
			_, _ = conn.WriteToUDPAddrPort(answer, from)
			continue
		}
		if q == nil {
			continue
		}
		done, ok := s.bounds.forward(addr)
		if !ok {
			continue // the client asks again
		}
		serving.Go(func() {
			defer done()
			if answer := s.forward(ctx, q, "udp"); answer != nil {
				_, _ = conn.WriteToUDPAddrPort(answer, from)
			}
		})
	}
}

func (s *Server) serveTCP(ctx context.Context, listener net.Listener, serving *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			continue
		}
		serving.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			s.serveConn(ctx, conn)
		})
	}
}

// serveConn answers the queries of a connection one after another.
func (s *Server) serveConn(ctx context.Context, conn net.Conn) {
	from := connlimit.SourceOf(conn.RemoteAddr())
	if !s.allowed(from) {
		return
	}
	for {
		_ = conn.SetReadDeadline(time.Now().Add(idleTCP))
		b, err := readFramed(conn, maxQuery)
		if err != nil || !s.bounds.query(from, time.Now()) {
			return
		}
		q, answer := s.answer(b, false)
		if answer == nil && q != nil {
			done, ok := s.bounds.forward(from)
			if !ok {
				return
			}
			answer = s.forward(ctx, q, "tcp")
			done()
		}
		if answer == nil {
			return
		}
		_ = conn.SetWriteDeadline(time.Now().Add(writeTCP))
		if writeFramed(conn, answer) != nil {
			return
		}
	}
}

// answer is the answer to a message. With none, the query is to be passed on; without one
// either, nothing is to be said.
func (s *Server) answer(b []byte, udp bool) (*query, []byte) {
	q, refusal, err := readQuery(b)
	if err != nil {
		return nil, nil
	}
	size := maxMessage
	if udp {
		size = q.udpSize
	}
	r, own := reply{code: refusal}, true
	switch {
	case refusal != dnsmessage.RCodeSuccess:
	case q.edns && q.version != 0:
		r.code = badVersion
	default:
		r, own = s.names.Load().answer(&q, udp)
	}
	if !own {
		return &q, nil
	}
	answer, err := q.pack(r, size)
	if err != nil {
		s.config.Log.Warn("DNS answer not written", "name", strings.ToValidUTF8(q.name, "?"), "err", err)
		return nil, nil
	}
	return &q, answer
}

// forward is the answer of the host's resolvers.
func (s *Server) forward(ctx context.Context, q *query, network string) []byte {
	answer, err := s.resolvers.ask(ctx, q, network)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s.config.Log.Debug("DNS query not answered by the host's resolvers", "err", err)
		answer, err = q.pack(reply{code: dnsmessage.RCodeServerFailure}, plainUDP)
	}
	if network == "udp" && len(answer) > q.udpSize {
		answer, err = q.build(reply{}, true) // it asks again by TCP
	}
	if err != nil {
		return nil
	}
	return answer
}
