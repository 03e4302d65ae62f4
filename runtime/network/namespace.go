package network

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"skein/runtime/port"
)

// openNamespace opens the network namespace of a process and refuses our own: a
// wrong pid must not reconfigure the host.
func openNamespace(pid int) (netns.NsHandle, error) {
	if pid <= 0 {
		return -1, fmt.Errorf("process %d: want the pid of a task's container", pid)
	}
	ns, err := netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return -1, fmt.Errorf("process %d has ended", pid)
	}
	if err != nil {
		return -1, fmt.Errorf("open network namespace of process %d: %w", pid, err)
	}
	own, err := netns.Get()
	if err != nil {
		ns.Close()
		return -1, err
	}
	defer own.Close()
	if own.Equal(ns) {
		ns.Close()
		return -1, fmt.Errorf("process %d has no network namespace of its own", pid)
	}
	return ns, nil
}

// within runs do on a thread inside the namespace and brings the thread back. A
// thread that cannot be brought back is never used again: the goroutine keeps it
// for ever, since ending it would end children that die with their parent
// thread, and a main thread cannot end at all.
func within(ns netns.NsHandle, do func(*netlink.Handle) error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		own, err := netns.Get()
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer own.Close()
		result <- visit(ns, do)
		if err := netns.Set(own); err != nil {
			select {}
		}
		runtime.UnlockOSThread()
	}()
	return <-result
}

func visit(ns netns.NsHandle, do func(*netlink.Handle) error) error {
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	return do(h)
}

func loopbackOnly(pid int) error {
	ns, err := openNamespace(pid)
	if err != nil {
		return err
	}
	defer ns.Close()
	return within(ns, bringUpLoopback)
}

func bringUpLoopback(h *netlink.Handle) error {
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find loopback: %w", err)
	}
	if err := h.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bring up loopback: %w", err)
	}
	return nil
}

// connect gives the namespace its link, address and routes, keeping what is
// already as it should be.
func (n *Network) connect(spec port.NetworkSpec, addr netip.Addr) error {
	ns, err := openNamespace(spec.PID)
	if err != nil {
		return err
	}
	defer ns.Close()
	outside, err := n.ensurePair(spec, addr, ns)
	if err != nil {
		return err
	}
	prefix := netip.PrefixFrom(addr, n.config.Subnet.Bits())
	gateway := n.gateway().Addr()
	if err := within(ns, func(h *netlink.Handle) error { return configureInside(h, prefix, gateway) }); err != nil {
		return err
	}
	// Where the kernel filters bridged packets (br_netfilter), a task that dials
	// its own host port is answered through the port it came by.
	if err := netlink.LinkSetHairpin(outside, true); err != nil {
		return fmt.Errorf("set hairpin mode of link %s: %w", outside.Attrs().Name, err)
	}
	if err := netlink.LinkSetUp(outside); err != nil {
		return fmt.Errorf("bring up link %s: %w", outside.Attrs().Name, err)
	}
	return nil
}

// ensurePair returns the host side of the task's link, whose other side is in ns.
func (n *Network) ensurePair(spec port.NetworkSpec, addr netip.Addr, ns netns.NsHandle) (netlink.Link, error) {
	name := linkName(spec.Task)
	if link, err := netlink.LinkByName(name); err == nil {
		if n.usable(link, spec, addr, ns) {
			return link, nil
		}
		if err = netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			return nil, fmt.Errorf("remove stale link %s: %w", name, err)
		}
	} else if !missing(err) {
		return nil, fmt.Errorf("find link %s: %w", name, err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MasterIndex = name, int(n.bridge.Load())
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerNamespace = inside, netlink.NsFd(ns)
	if err := netlink.LinkAdd(pair); err != nil {
		return nil, fmt.Errorf("make link %s: %w", name, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find link %s: %w", name, err)
	}
	if err := netlink.LinkSetAlias(link, alias(spec.Task, addr)); err != nil {
		return nil, errors.Join(fmt.Errorf("name link %s: %w", name, err), netlink.LinkDel(link))
	}
	return link, nil
}

// usable: the link is this task's, on our bridge, and its other side is in ns.
// A task whose container was made anew has a new namespace.
func (n *Network) usable(link netlink.Link, spec port.NetworkSpec, addr netip.Addr, ns netns.NsHandle) bool {
	attrs := link.Attrs()
	if attrs.Alias != alias(spec.Task, addr) || attrs.MasterIndex != int(n.bridge.Load()) {
		return false
	}
	err := within(ns, func(h *netlink.Handle) error {
		peer, err := h.LinkByName(inside)
		if err != nil {
			return err
		}
		if peer.Attrs().ParentIndex != attrs.Index || attrs.ParentIndex != peer.Attrs().Index {
			return errors.New("another link")
		}
		return nil
	})
	return err == nil
}

func configureInside(h *netlink.Handle, prefix netip.Prefix, gateway netip.Addr) error {
	quietIPv6()
	if err := bringUpLoopback(h); err != nil {
		return err
	}
	link, err := h.LinkByName(inside)
	if err != nil {
		return fmt.Errorf("find %s: %w", inside, err)
	}
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
		return fmt.Errorf("give %s its address %s: %w", inside, prefix, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up %s: %w", inside, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway.AsSlice()}
	if err := h.RouteReplace(route); err != nil {
		return fmt.Errorf("route of %s by %s: %w", inside, gateway, err)
	}
	return nil
}

// quietIPv6 keeps a neighbour on the bridge from announcing itself as the
// task's router (CVE-2020-10749). Kernels without IPv6 have nothing to set.
func quietIPv6() {
	for _, scope := range []string{"all", "default"} {
		for _, key := range []string{"accept_ra", "accept_redirects"} {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/"+key, []byte("0"), 0)
		}
	}
}

const forwardingFile = "/proc/sys/net/ipv4/ip_forward"

// enableForwarding lets the host pass packets between the bridge and the world.
// It writes only when it must: the write resets other settings.
func enableForwarding() error {
	now, err := os.ReadFile(forwardingFile)
	if err == nil && len(now) > 0 && now[0] == '1' {
		return nil
	}
	if err := os.WriteFile(forwardingFile, []byte("1"), 0); err != nil {
		return fmt.Errorf("enable forwarding (set net.ipv4.ip_forward=1): %w", err)
	}
	return nil
}
