package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dumpTries is how often an interrupted netlink dump is asked for again: on a
// busy machine links come and go all the time, and partial data must not be used.
const dumpTries = 10

func dump[T any](ask func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		out, err := ask()
		if err == nil || !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) || try == dumpTries {
			return out, err
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
}

// takenSubnets returns every network this machine has an address in or a route to.
func takenSubnets() ([]netip.Prefix, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var out []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil {
			return
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		ones, _ := n.Mask.Size()
		if ok {
			out = append(out, netip.PrefixFrom(ip.Unmap(), ones).Masked())
		}
	}
	for _, a := range addrs {
		add(a.IPNet)
	}
	for _, r := range routes {
		add(r.Dst)
	}
	return out, nil
}

// makeBridge makes the lab's hub: a bridge with the hub's address, no default
// route, nothing that could pass traffic out.
func (l *Lab) makeBridge(subnet netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.bridge()
	attrs.HardwareAddr = hardwareAddress(l.name, 0)
	noSnooping := false // it would swallow neighbour discovery
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &noSnooping}
	if err := netlink.LinkAdd(bridge); err != nil {
		return fmt.Errorf("make bridge %s: %w", l.bridge(), err)
	}
	if err := setAddress(bridge, netip.PrefixFrom(hubAddress(subnet), subnet.Bits())); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return fmt.Errorf("set %s up: %w", l.bridge(), err)
	}
	return nil
}

func setAddress(link netlink.Link, addr netip.Prefix) error {
	a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}}
	if addr.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // usable at once
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		return fmt.Errorf("set address %s of %s: %w", addr, link.Attrs().Name, err)
	}
	return nil
}

// plug connects a host's network namespace to the bridge.
func (l *Lab) plug(host *Host, pid int) error {
	bridge, err := netlink.LinkByName(l.bridge())
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", l.bridge(), err)
	}
	if err := removeLink(l.port(host.N)); err != nil { // left by a boot that was cut short
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = l.port(host.N)
	attrs.MasterIndex = bridge.Attrs().Index
	attrs.Flags = net.FlagUp
	veth := netlink.NewVeth(attrs)
	veth.PeerName = "eth0"
	veth.PeerHardwareAddr = hardwareAddress(l.name, host.N)
	veth.PeerNamespace = netlink.NsPid(pid)
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("connect %s to %s: %w", host.Name, l.bridge(), err)
	}
	return nil
}

// unplug takes the host's port down, so that nothing it does while it dies
// reaches a peer.
func (l *Lab) unplug(host *Host) error {
	link, err := netlink.LinkByName(l.port(host.N))
	if isNoLink(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find port of %s: %w", host.Name, err)
	}
	if err := netlink.LinkSetDown(link); err != nil && !isNoLink(err) {
		return fmt.Errorf("take port of %s down: %w", host.Name, err)
	}
	return nil
}

// configureNetwork runs inside a host: lo and eth0 up, its address set.
func configureNetwork(addr netip.Prefix) error {
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find %s: %w", name, err)
		}
		if name == "eth0" {
			if err := setAddress(link, addr); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", name, err)
		}
	}
	return nil
}

func removeLink(name string) error {
	link, err := netlink.LinkByName(name)
	if isNoLink(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	if err := netlink.LinkDel(link); err != nil && !isNoLink(err) {
		return fmt.Errorf("remove link %s: %w", name, err)
	}
	return nil
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// removeLinks removes the lab's ports and its bridge, found by their names.
func (l *Lab) removeLinks() error {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	var errs []error
	for _, link := range links {
		if name := link.Attrs().Name; name == l.bridge() || strings.HasPrefix(name, l.portPrefix()) {
			errs = append(errs, removeLink(name))
		}
	}
	return errors.Join(errs...)
}

func isNoLink(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}
