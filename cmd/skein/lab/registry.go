package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"golang.org/x/time/rate"
)

// registryName is the registry's in sockets and logs.
const registryName = "registry"

// registryOrders is what the registry process is told before it begins.
type registryOrders struct {
	Cgroup string
	Listen netip.AddrPort
	Blobs  string
	Socket string
}

func (s *State) registry() netip.AddrPort {
	return netip.AddrPortFrom(hubAddress(s.Subnet), RegistryPort)
}

func (l *Lab) registryCgroup() string { return l.cgroup() + "/hub" }

func (l *Lab) startRegistry(ctx context.Context, s *State) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err = makeCgroup(all, l.registryCgroup()); err != nil {
		return err
	}
	blobs := filepath.Join(s.Dir, "blobs")
	if err = os.Mkdir(blobs, 0o700); err != nil {
		return fmt.Errorf("make folder of registry: %w", err)
	}
	process, err := launch(labBinary(s.Dir), []string{registryName}, 0, filepath.Join(s.Dir, "registry.log"))
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	defer process.orders.Close()
	s.Registry = process.Process
	if err = l.save(s); err != nil {
		return err
	}
	err = process.order(registryOrders{
		Cgroup: l.registryCgroup(), Listen: s.registry(), Blobs: blobs, Socket: l.socketOf(registryName),
	})
	if err != nil {
		return fmt.Errorf("start registry: %w", err)
	}
	for deadline := time.Now().Add(bootTimeout); ; time.Sleep(5 * time.Millisecond) {
		if _, err = l.askRegistry(ctx, request{Op: opStatus}); err == nil {
			l.sayf("registry at %s", s.registry())
			return nil
		}
		if !process.alive() || ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("start registry: %w\nlast lines of its log:\n%s", err,
				tail(filepath.Join(s.Dir, "registry.log"), outputTail))
		}
	}
}

func (l *Lab) askRegistry(ctx context.Context, ask request) (response, error) {
	return askControl(ctx, l.socketOf(registryName), ask, nil, controlTimeout)
}

// RegistryDown makes the lab's registry refuse connections and cuts those there
// are; RegistryUp ends that. Its images stay.
func (l *Lab) RegistryDown(ctx context.Context) error {
	_, err := l.askRegistry(ctx, request{Op: opRefuse})
	return err
}

// RegistryUp lets the registry listen again.
func (l *Lab) RegistryUp(ctx context.Context) error {
	_, err := l.askRegistry(ctx, request{Op: opListen})
	return err
}

// RegistrySlow bounds what the registry sends to so many bytes a second, over all
// connections; 0 ends that.
func (l *Lab) RegistrySlow(ctx context.Context, bytesPerSecond int) error {
	if bytesPerSecond < 0 {
		return fmt.Errorf("%d bytes a second: must be 0 or more", bytesPerSecond)
	}
	_, err := l.askRegistry(ctx, request{Op: opSlow, Rate: bytesPerSecond})
	return err
}

// RegistryMain is the body of `skein lab registry`, which only the lab calls. It
// returns the exit code.
func RegistryMain() int {
	err := runRegistry()
	fmt.Fprintf(os.Stderr, "%s lab registry: %v\n", time.Now().UTC().Format(time.RFC3339), err)
	return 1
}

func runRegistry() error {
	var orders registryOrders
	if err := readOrders(&orders); err != nil {
		return err
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err = enterCgroup(all, orders.Cgroup); err != nil {
		return err
	}
	s := newRegistryServer(orders.Listen, orders.Blobs)
	if err = s.listen(); err != nil {
		return err
	}
	control, err := listenControl(orders.Socket)
	if err != nil {
		return err
	}
	return serveControl(context.Background(), control, s.answer)
}

// registryServer is a registry in memory with its blobs on disk, and knobs to
// make it fail.
type registryServer struct {
	addr    netip.AddrPort
	handler http.Handler
	limit   *rate.Limiter

	mu     sync.Mutex
	server *http.Server // nil while it refuses
}

// burst is the largest piece sent at once when the registry is slow.
const burst = 16 << 10

func newRegistryServer(addr netip.AddrPort, blobs string) *registryServer {
	return &registryServer{
		addr: addr, limit: rate.NewLimiter(rate.Inf, burst),
		handler: registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)),
			registry.Logger(log.New(io.Discard, "", 0))),
	}
}

func (s *registryServer) answer(_ context.Context, ask request, _ []*os.File) response {
	var err error
	switch ask.Op {
	case opStatus:
	case opListen:
		err = s.listen()
	case opRefuse:
		err = s.refuse()
	case opSlow:
		s.limit.SetLimit(rate.Inf)
		if ask.Rate > 0 {
			s.limit.SetLimit(rate.Limit(ask.Rate))
		}
	default:
		err = fmt.Errorf(unknownRequest+" %q", ask.Op)
	}
	if err != nil {
		return response{Error: err.Error()}
	}
	return response{}
}

func (s *registryServer) listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		return nil
	}
	listener, err := net.Listen("tcp", s.addr.String())
	if err != nil {
		return fmt.Errorf("open registry: %w", err)
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	go func(server *http.Server) {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(os.Stderr, "registry stopped: %v\n", err)
		}
	}(s.server)
	return nil
}

func (s *registryServer) refuse() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil
	}
	err := s.server.Close()
	s.server = nil
	return err
}

// ServeHTTP answers at the pace that was set.
func (s *registryServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler.ServeHTTP(&pacedWriter{ResponseWriter: w, ctx: r.Context(), limit: s.limit}, r)
}

// pacedWriter hides the ReadFrom of the connection, so that every byte passes Write.
type pacedWriter struct {
	http.ResponseWriter
	ctx   context.Context
	limit *rate.Limiter
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		piece := p[done:min(len(p), done+burst)]
		if err := w.limit.WaitN(w.ctx, len(piece)); err != nil {
			return done, err
		}
		n, err := w.ResponseWriter.Write(piece)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}
