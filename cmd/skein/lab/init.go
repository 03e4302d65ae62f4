package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// hostOrders is what the init of a host is told before it begins.
type hostOrders struct {
	Host     string
	Addr     netip.Prefix
	Cgroup   string // the host's cgroup as the machine sees it
	BootID   string
	Socket   string // control socket
	Services []service
}

// hostNamespaces are the host's own; its cgroup namespace follows once it has
// entered its cgroups, which then are its root.
const hostNamespaces = unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

const ordersEnv = "LAB_ORDERS"

// InitMain is the body of `skein lab init ARGS...`, which only the lab calls: the
// first process of a host, and what starts its services. It returns only when
// that failed, with the exit code.
func InitMain(args []string) int {
	runtime.LockOSThread() // unshare concerns one thread, and exec keeps that one
	err := initMain(args)
	fmt.Fprintf(os.Stderr, "%s lab init: %v\n", time.Now().UTC().Format(time.RFC3339), err)
	return 1
}

func initMain(args []string) error {
	switch {
	case len(args) == 0:
		return errors.New("this command is for the lab itself")
	case args[0] == "enter":
		return enterHost()
	case args[0] == "run":
		return runHost()
	case args[0] == "service" && len(args) > 4:
		return becomeService(args[1], args[2], args[3], args[4:])
	}
	return fmt.Errorf("unknown arguments %q", args)
}

// enterHost is the first half of an init: it enters the host's cgroups and
// starts over as their root. Exec is needed because unshare changes one thread
// of a Go program only.
func enterHost() error {
	var orders hostOrders
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
	if err = unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make cgroup namespace: %w", err)
	}
	b, err := json.Marshal(orders)
	if err != nil {
		return fmt.Errorf("write orders: %w", err)
	}
	err = syscall.Exec("/proc/self/exe", []string{os.Args[0], "lab", "init", "run"},
		append(os.Environ(), ordersEnv+"="+string(b)))
	return fmt.Errorf("start over: %w", err)
}

// runHost is the init of a host: it sets the host up, then watches its services
// and answers the control socket until it is killed.
func runHost() error {
	var orders hostOrders
	if err := json.Unmarshal([]byte(os.Getenv(ordersEnv)), &orders); err != nil {
		return fmt.Errorf("read orders: %w", err)
	}
	if err := os.Unsetenv(ordersEnv); err != nil {
		return fmt.Errorf("clear orders: %w", err)
	}
	// Before /run is hidden: the socket belongs to the machine.
	listener, err := listenControl(orders.Socket)
	if err != nil {
		return err
	}
	if err = setUpHost(orders); err != nil {
		return err
	}
	store, err := openFDStore(notifySocket)
	if err != nil {
		return err
	}
	s := newSupervisor(orders.Services, store)
	go s.reap()
	for _, one := range s.services {
		go s.keep(one)
	}
	return serveControl(context.Background(), listener, s.answer)
}

func setUpHost(orders hostOrders) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err := mountHost(all, orders.BootID); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(orders.Host)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := configureNetwork(orders.Addr); err != nil {
		return err
	}
	return protect(orders.Services)
}

// protect makes the cgroups inside the host and gives agent and runtime their
// weight, as systemd does on a real host (cmd/skein/DESIGN.md "Host layout").
func protect(services []service) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	// On v2 a cgroup with processes cannot hand controllers down: out of the root.
	for _, h := range all {
		if err := makeChild(h, h.mount, "init"); err != nil {
			return err
		}
	}
	if err := enterCgroup(all, "/init"); err != nil {
		return err
	}
	for _, one := range services {
		if err := makeCgroup(all, one.Cgroup); err != nil {
			return err
		}
		for _, h := range all {
			if err := weigh(h, filepath.Join(h.mount, one.Cgroup)); err != nil {
				return err
			}
		}
	}
	return nil
}

// The protection of agent and runtime against the tasks beside them.
const (
	protectedShares = "10240"
	protectedWeight = "10000"
	protectedMemory = "134217728" // 128 MiB, v2 only
)

func weigh(h hierarchy, dir string) error {
	files := map[string]string{}
	switch {
	case h.has("cpu"):
		files["cpu.shares"] = protectedShares
	case h.v2:
		files["cpu.weight"], files["memory.min"] = protectedWeight, protectedMemory
	}
	for file, value := range files {
		err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
		// A hybrid setup's v2 hierarchy has no such files.
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, os.ErrPermission) {
			return fmt.Errorf("protect services: %w", err)
		}
	}
	return nil
}

// becomeService enters a service's cgroup, takes its out-of-memory score and umask, and
// becomes its program: nothing of it ever runs outside.
func becomeService(cgroup, score, umask string, argv []string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err = enterCgroup(all, cgroup); err != nil {
		return err
	}
	if _, err = strconv.Atoi(score); err != nil {
		return fmt.Errorf("out-of-memory score %q: %w", score, err)
	}
	// Without CAP_SYS_RESOURCE a score cannot be lowered. The agent reads back what
	// it got and reports itself as partly protected.
	err = os.WriteFile("/proc/self/oom_score_adj", []byte(score), 0)
	if err != nil && !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("set out-of-memory score: %w", err)
	}
	mask, err := strconv.ParseUint(umask, 0, 9)
	if err != nil {
		return fmt.Errorf("umask %q: %w", umask, err)
	}
	syscall.Umask(int(mask))
	if err = claimFiles(); err != nil {
		return err
	}
	err = syscall.Exec(argv[0], argv, os.Environ())
	return fmt.Errorf("run %s: %w", argv[0], err)
}

func listenControl(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old control socket: %w", err)
	}
	listener, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("open control socket: %w", err)
	}
	listener.SetUnlinkOnClose(false)
	return listener, nil
}
