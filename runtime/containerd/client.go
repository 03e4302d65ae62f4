package containerd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/log"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Config says which daemon to use and how.
type Config struct {
	Address     string   // unix socket; "/run/containerd/containerd.sock" when empty
	Namespace   string   // containerd's namespace of all that is ours; "skein" when empty
	Snapshotter string   // "overlayfs" when empty
	Runtime     string   // path of the OCI runtime that makes containers; containerd's own choice, runc, when empty
	PlainHTTP   []string // registries, as host or host:port, that are spoken to without TLS
	// AllowPrivileged lets task definitions ask for privileged containers.
	AllowPrivileged bool
	// Init is the program, with its first arguments, that becomes the first
	// process of containers that ask for initProcessEnabled: it starts the
	// container's command, passes signals on and reaps. Static; it is bound into
	// the container. Without it such containers are refused.
	Init       []string
	CgroupRoot string // mount of the control groups; "/sys/fs/cgroup" when empty
	Log        *slog.Logger
}

func (c Config) withDefaults() Config {
	set := func(value *string, otherwise string) {
		if *value == "" {
			*value = otherwise
		}
	}
	set(&c.Address, "/run/containerd/containerd.sock")
	set(&c.Namespace, "skein")
	set(&c.Snapshotter, "overlayfs")
	set(&c.CgroupRoot, "/sys/fs/cgroup")
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Deadlines of single steps. They bound what a caller's context does not: a
// daemon that hangs is a daemon that is down.
const (
	dialTimeout   = 2 * time.Second
	readyTimeout  = 2 * time.Second
	statusTimeout = 5 * time.Second  // of one container; the daemon gives its shims 2 s
	callTimeout   = 15 * time.Second // a look-up or a record; a synced write on a busy disk
	createTimeout = time.Minute      // shim and runc; 0.06 s idle, 10 s with 200 at once on 2 cores
	deleteTimeout = time.Minute
	pullTimeout   = 30 * time.Minute // a stalled pull ends sooner, see registry.go
)

// reconnect soon: the daemon is on this host, and a restart of it takes a second.
var reconnect = grpc.ConnectParams{
	Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2,
		MaxDelay: time.Second},
	MinConnectTimeout: dialTimeout,
}

// Client is a containerd client. Make one with [Open].
type Client struct {
	config    Config
	log       *slog.Logger
	daemon    *client.Client
	cgroups   cgroupFiles
	hosts     registryHosts
	transport *http.Transport
	flights   flights
	configs   configCache
	locks     keyedMutex
	ids       idNames
	nonce     string // tells this client's exec processes from an earlier one's
	execs     counter
	creating  inFlight
	runtime   atomic.Pointer[containers.RuntimeInfo] // of containers to be made
}

// Open makes a client. It does not need the daemon to be up: calls fail with
// port.ErrRuntimeDown until it is.
func Open(config Config) (*Client, error) {
	config = config.withDefaults()
	// The library logs to standard error what it also returns.
	if err := log.SetLevel("panic"); err != nil {
		return nil, err
	}
	daemon, err := client.New(config.Address,
		client.WithDefaultNamespace(config.Namespace),
		client.WithTimeout(dialTimeout),
		client.WithExtraDialOpts([]grpc.DialOption{grpc.WithConnectParams(reconnect)}),
	)
	if err != nil {
		return nil, fmt.Errorf("open containerd at %s: %w", config.Address, err)
	}
	groups, err := findCgroups(config.CgroupRoot)
	if err != nil {
		return nil, errors.Join(err, daemon.Close())
	}
	nonce := make([]byte, 4)
	if _, err := rand.Read(nonce); err != nil {
		return nil, errors.Join(err, daemon.Close())
	}
	transport := newTransport()
	c := &Client{
		config: config, log: config.Log, daemon: daemon, cgroups: groups,
		transport: transport, hosts: newRegistryHosts(config.PlainHTTP, transport),
		nonce: hex.EncodeToString(nonce),
	}
	if err := c.UseRuntime(config.Runtime); err != nil {
		return nil, errors.Join(err, daemon.Close())
	}
	return c, nil
}

// UseRuntime has the OCI runtime at a path make new containers, containerd's own
// choice when the path is empty. A container's record names the runtime that made
// it, so what runs is not touched.
func (c *Client) UseRuntime(program string) error {
	info := containers.RuntimeInfo{Name: shim}
	if program != "" {
		if !filepath.IsAbs(program) {
			return fmt.Errorf("OCI runtime %q: want an absolute path", program)
		}
		var err error
		if info.Options, err = typeurl.MarshalAny(&options.Options{BinaryName: program}); err != nil {
			return fmt.Errorf("OCI runtime %q: %w", program, err)
		}
	}
	c.runtime.Store(&info)
	return nil
}

// Close ends the connection. Containers run on.
func (c *Client) Close() error {
	c.transport.CloseIdleConnections()
	return c.daemon.Close()
}

// Ready says whether the daemon answers, and its version.
func (c *Client) Ready(ctx context.Context) (string, error) {
	ctx, cancel := c.within(ctx, readyTimeout)
	defer cancel()
	v, err := c.daemon.Version(ctx)
	if err != nil {
		return "", c.fault(ctx, "ask containerd for its version", err)
	}
	return "containerd " + strings.TrimPrefix(v.Version, "v"), nil
}

// DaemonPID is the process that listens on the daemon's socket, by the kernel's
// word; the agent protects it and checks in which cgroup it is.
func (c *Client) DaemonPID(ctx context.Context) (int, error) {
	ctx, cancel := c.within(ctx, readyTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.config.Address)
	if err != nil {
		return 0, fmt.Errorf("find containerd's process: %w", err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if peerErr != nil {
		return 0, fmt.Errorf("find containerd's process: %w", peerErr)
	}
	return int(peer.Pid), nil
}

// within bounds a step and names the namespace, which some of the library's
// calls read from the context.
func (c *Client) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(namespaces.WithNamespace(ctx, c.config.Namespace), d)
}

// afterwards bounds a clean-up that must run though the caller has given up.
func (c *Client) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return c.within(context.WithoutCancel(ctx), callTimeout)
}

// counter hands out numbers.
type counter struct {
	mu sync.Mutex
	n  uint64
}

func (c *counter) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n
}

// keyedMutex is a lock for each key that is in use.
type keyedMutex struct {
	mu   sync.Mutex
	held map[string]*keyLock
}

type keyLock struct {
	sync.Mutex
	users int
}

func (k *keyedMutex) lock(key string) (unlock func()) {
	k.mu.Lock()
	if k.held == nil {
		k.held = map[string]*keyLock{}
	}
	l := k.held[key]
	if l == nil {
		l = &keyLock{}
		k.held[key] = l
	}
	l.users++
	k.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		k.mu.Lock()
		defer k.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(k.held, key)
		}
	}
}
