package lab

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"skein/cmd/skein/config"
)

// UpOptions say what lab to make.
type UpOptions struct {
	Zones []string // one host each, in order; empty is a, b, c
	IPv6  bool
	Disks bool // each host's data on a disk of its own, which FreezeDisk can stall
	Empty bool // hosts with containerd but no fleet: no agent is ever started
}

// Up makes the lab: hub, registry, hosts, and on them a fleet by the same three
// calls as anywhere. It returns when every host has joined and its agent runs.
// Errors: *Missing before anything is touched; ErrUp; ErrBusy. What an up that
// was cut short left is removed first; what this one leaves when it fails is
// for Down, so that its logs can be read.
func (l *Lab) Up(ctx context.Context, o UpOptions) error {
	if len(o.Zones) == 0 {
		o.Zones = []string{"a", "b", "c"}
	}
	if len(o.Zones) > maxHosts {
		return fmt.Errorf("%d hosts are too many: at most %d", len(o.Zones), maxHosts)
	}
	for _, zone := range o.Zones {
		if err := config.CheckZone(zone); err != nil {
			return fmt.Errorf("zone: %w", err)
		}
	}
	if err := Check(l.dir); err != nil {
		return err
	}
	lock, err := l.lock(ctx, "up")
	if err != nil {
		return err
	}
	defer lock.release()
	old, err := l.load()
	if err == nil && old.Complete && linkExists(l.bridge()) { // without it the machine was rebooted
		return fmt.Errorf("%w: %s with %d hosts; `skein lab down --lab %s` removes it", ErrUp, l.name, len(old.Hosts), l.name)
	}
	if err := l.sweep(old); err != nil {
		return fmt.Errorf("remove what an earlier lab %s left: %w", l.name, err)
	}
	return l.build(ctx, o)
}

func (l *Lab) build(ctx context.Context, o UpOptions) error {
	s, err := l.makeHub(ctx, o)
	if err != nil {
		return err
	}
	if err := l.makeFolder(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.socketFolder(), 0o700); err != nil {
		return fmt.Errorf("make socket folder: %w", err)
	}
	if err := l.startRegistry(ctx, s); err != nil {
		return err
	}
	for _, zone := range o.Zones {
		if _, err := l.addHost(ctx, s, zone); err != nil {
			return err
		}
	}
	if !o.Empty {
		for i := range s.Hosts {
			if err := l.enrol(ctx, s, &s.Hosts[i]); err != nil {
				return err
			}
		}
	}
	s.Complete = true
	return l.save(s)
}

// makeHub picks a subnet and makes the bridge. Labs exclude each other while
// they pick, or two would pick the same.
func (l *Lab) makeHub(ctx context.Context, o UpOptions) (*State, error) {
	all, err := acquire(ctx, l.root+"/.lock", "skein lab up", lockTimeout, l.say)
	if err != nil {
		return nil, err
	}
	defer all.release()
	taken, err := takenSubnets()
	if err != nil {
		return nil, err
	}
	for _, other := range l.allStates() {
		if other.Name != l.name {
			taken = append(taken, other.Subnet)
		}
	}
	subnet, err := pickSubnet(l.name, taken, o.IPv6)
	if err != nil {
		return nil, err
	}
	s := &State{Format: stateFormat, Name: l.name, Dir: l.dir, Made: time.Now().UTC(), Subnet: subnet, Disks: o.Disks}
	if err := l.save(s); err != nil {
		return nil, err
	}
	l.sayf("lab %s: network %s, data in %s", l.name, subnet, l.dir)
	return s, l.makeBridge(subnet)
}

// Add boots one more host and lets it join. It returns the new host's name.
func (l *Lab) Add(ctx context.Context, zone string) (string, error) {
	if err := config.CheckZone(zone); err != nil { // its agent would refuse it once the host is there
		return "", fmt.Errorf("zone: %w", err)
	}
	lock, s, err := l.open(ctx, "add")
	if err != nil {
		return "", err
	}
	defer lock.release()
	if s.nextNumber() > maxHosts {
		return "", fmt.Errorf("add a host: lab %s has had %d hosts, which is the limit", l.name, maxHosts)
	}
	host, err := l.addHost(ctx, s, zone)
	if err != nil {
		return "", err
	}
	return host.Name, l.enrol(ctx, s, host)
}

// addHost puts a new host into the state, writes its configuration and boots it.
func (l *Lab) addHost(ctx context.Context, s *State, zone string) (*Host, error) {
	n := s.nextNumber()
	s.Hosts = append(s.Hosts, Host{N: n, Name: fmt.Sprintf("h%d", n), Zone: zone, Addr: hostAddress(s.Subnet, n)})
	host := &s.Hosts[len(s.Hosts)-1]
	if err := l.save(s); err != nil {
		return nil, err
	}
	folders := foldersOf(s.Dir, host.Name)
	if err := folders.make(); err != nil {
		return nil, err
	}
	if s.Disks {
		if err := folders.makeDisk(); err != nil {
			return nil, err
		}
	}
	agent, err := renderAgent(host, folders, s.registry())
	if err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", host.Name, err)
	}
	containerd, err := renderContainerd(folders)
	if err != nil {
		return nil, fmt.Errorf("write configuration of %s: %w", host.Name, err)
	}
	for name, content := range map[string][]byte{folders.agentConfig: agent, folders.containerdConfig: containerd} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			return nil, fmt.Errorf("write configuration of %s: %w", host.Name, err)
		}
	}
	if err := l.boot(ctx, s, host); err != nil {
		return nil, err
	}
	l.sayf("%s booted in zone %s at %s", host.Name, host.Zone, host.Addr)
	return host, nil
}

// enrol makes the host part of the fleet: the first founds it, the others join
// by way of one that is in it.
func (l *Lab) enrol(ctx context.Context, s *State, host *Host) error {
	var by *Host
	for i := range s.Hosts {
		if h := &s.Hosts[i]; h.Joined && mustRun(h) == nil && (by == nil || !l.agentRuns(ctx, by)) {
			by = h
		}
	}
	if by == nil {
		for _, h := range s.Hosts {
			if h.Joined {
				return fmt.Errorf("%w: %s cannot join: no host of the fleet is up; `skein lab start %s` starts one", ErrState,
					host.Name, h.Name)
			}
		}
		l.sayf("%s makes a new fleet", host.Name)
		return l.found(ctx, s, host)
	}
	l.sayf("%s joins by way of %s", host.Name, by.Name)
	return l.admit(ctx, s, host, by)
}

// boot starts the machine: its init, and in it containerd and, once the host
// has joined, the agent.
func (l *Lab) boot(ctx context.Context, s *State, host *Host) error {
	containerd, err := exec.LookPath(runtimeService)
	if err != nil {
		return fmt.Errorf("boot %s: %w", host.Name, err)
	}
	if err = l.resetCgroup(host); err != nil {
		return fmt.Errorf("boot %s: %w", host.Name, err)
	}
	folders := foldersOf(s.Dir, host.Name)
	init, err := launch(folders.binary, []string{"init", "enter"}, hostNamespaces, folders.log("init"))
	if err != nil {
		return fmt.Errorf("boot %s: %w", host.Name, err)
	}
	defer init.orders.Close() // if an error comes first, the init exits by this
	host.Init, host.BootID, host.Paused = init.Process, newBootID(), false
	if err = l.save(s); err != nil {
		return err
	}
	if err = l.plug(host, init.PID); err != nil {
		return fmt.Errorf("boot %s: %w", host.Name, err)
	}
	err = init.order(hostOrders{
		Host: host.Name, Addr: netip.PrefixFrom(host.Addr, s.Subnet.Bits()), Cgroup: l.hostCgroup(host.Name),
		BootID: host.BootID, Socket: l.socketOf(host.Name),
		Services: []service{
			{Name: runtimeService, Argv: []string{containerd, "--config", folders.containerdConfig}, Cgroup: "/skein/runtime",
				Score: -500, Umask: otherUmask, Log: folders.log(runtimeService)},
			{Name: agentService, Argv: l.commands.Agent(folders.agent, folders.agentConfig), Cgroup: "/skein/agent", Score: -900,
				Umask: agentUmask, Log: folders.log(agentService), Held: !host.Joined},
		},
	})
	if err != nil {
		return fmt.Errorf("boot %s: %w", host.Name, err)
	}
	return l.waitBooted(ctx, host, folders)
}

// resetCgroup removes what the host's last boot left and makes its cgroup anew.
func (l *Lab) resetCgroup(host *Host) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	name := l.hostCgroup(host.Name)
	if err := emptyCgroup(all, name, removalTimeout); err != nil {
		return err
	}
	if err := removeCgroup(all, name, removalTimeout); err != nil {
		return err
	}
	return makeCgroup(all, name)
}

func (l *Lab) waitBooted(ctx context.Context, host *Host, folders hostFolders) error {
	deadline := time.Now().Add(bootTimeout)
	for {
		_, err := l.ask(ctx, host, request{Op: opStatus})
		if err == nil {
			return nil
		}
		ended := !host.Init.alive()
		if ended || ctx.Err() != nil || time.Now().After(deadline) {
			if ended {
				err = errors.New("its init ended")
			}
			return fmt.Errorf("boot %s: %w\nlast lines of its log:\n%s", host.Name, err, tail(folders.log("init"), outputTail))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// newBootID is random, in the kernel's form.
func newBootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// open takes the lock and reads the state of a lab that exists.
func (l *Lab) open(ctx context.Context, what string) (*fileLock, *State, error) {
	if _, err := l.load(); err != nil {
		return nil, nil, err // before a lock file is made for nothing
	}
	lock, err := l.lock(ctx, what)
	if err != nil {
		return nil, nil, err
	}
	s, err := l.load()
	if err != nil {
		lock.release()
		return nil, nil, err
	}
	return lock, s, nil
}

// tail returns the last bytes of a file, from the start of a line.
func tail(name string, size int64) string {
	file, err := os.Open(name)
	if err != nil {
		return "(no log)"
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "(no log)"
	}
	from := max(0, info.Size()-size)
	b := make([]byte, info.Size()-from)
	n, _ := file.ReadAt(b, from)
	text := string(b[:n])
	if from > 0 {
		_, text, _ = strings.Cut(text, "\n")
	}
	return strings.TrimRight(text, "\n")
}
