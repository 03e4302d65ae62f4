package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
)

const (
	linkPrefix  = "sk"
	aliasPrefix = "skein task="
	inside      = "eth0" // the link's name in the task's namespace
	// dumpTries: a dump is interrupted by any change meanwhile, which on a busy
	// host is normal; five in a row are not.
	dumpTries = 5
)

// linkName is the host side of a task's link: the name has room for 15
// characters, so it is a digest, and the alias holds the id.
func linkName(task fleet.TaskID) string {
	sum := sha256.Sum256([]byte(task))
	return linkPrefix + hex.EncodeToString(sum[:6])
}

// taskLink is one link of ours. Without a task its set-up never got as far as
// naming it.
type taskLink struct {
	name string
	task fleet.TaskID
	addr netip.Addr
}

// alias is what a link says of its task.
func alias(task fleet.TaskID, addr netip.Addr) string {
	return aliasPrefix + string(task) + " addr=" + addr.String()
}

func parseAlias(text string) (fleet.TaskID, netip.Addr, bool) {
	rest, ok := strings.CutPrefix(text, aliasPrefix)
	if !ok {
		return "", netip.Addr{}, false
	}
	task, addrText, ok := strings.Cut(rest, " addr=")
	if !ok || task == "" {
		return "", netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(addrText)
	if err != nil || !addr.Is4() {
		return "", netip.Addr{}, false
	}
	return fleet.TaskID(task), addr, true
}

// taskLinks reads our links from the kernel. complete is false when every try
// was interrupted: then a link may be missing, and nothing may be removed for
// not being listed.
func taskLinks() (links []taskLink, complete bool, err error) {
	var all []netlink.Link
	for range dumpTries {
		all, err = netlink.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	complete = err == nil
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, false, fmt.Errorf("list links: %w", err)
	}
	for _, l := range all {
		attrs := l.Attrs()
		if l.Type() != "veth" || !strings.HasPrefix(attrs.Name, linkPrefix) {
			continue
		}
		task, addr, named := parseAlias(attrs.Alias)
		if named && linkName(task) != attrs.Name {
			continue // not of our making
		}
		if named || attrs.Alias == "" && len(attrs.Name) == len(linkName("")) {
			links = append(links, taskLink{attrs.Name, task, addr})
		}
	}
	return links, complete, nil
}

// removeUnnamed removes links whose set-up was cut off before they were named.
func removeUnnamed(links []taskLink) {
	for _, l := range links {
		if l.task != "" {
			continue
		}
		if link, err := netlink.LinkByName(l.name); err == nil && link.Attrs().Alias == "" {
			_ = netlink.LinkDel(link) // a set-up of the same task replaces it anyway
		}
	}
}

func linkExists(task fleet.TaskID) bool {
	_, err := netlink.LinkByName(linkName(task))
	return !missing(err) // unknown counts as there
}

func missing(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound)
}

func removeLink(task fleet.TaskID) error {
	link, err := netlink.LinkByName(linkName(task))
	if missing(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find link %s: %w", linkName(task), err)
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", linkName(task), err)
	}
	return nil
}

// ensureBridge makes the bridge with its address and returns its index. A bridge
// with another subnet is changed only while no task sits on it.
func ensureBridge(name string, gateway netip.Prefix, tasks int) (int, error) {
	link, err := netlink.LinkByName(name)
	if missing(err) {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name, TxQLen: -1, HardwareAddr: bridgeMAC(name)}}
		if err = netlink.LinkAdd(bridge); err != nil && !errors.Is(err, unix.EEXIST) {
			return 0, fmt.Errorf("make bridge %s (needs root and bridge support in the kernel): %w", name, err)
		}
		link, err = netlink.LinkByName(name)
	}
	if err != nil {
		return 0, fmt.Errorf("find bridge %s: %w", name, err)
	}
	if link.Type() != "bridge" {
		return 0, fmt.Errorf("link %s is a %s, not a bridge: give the network another bridge name", name, link.Type())
	}
	if err := ensureAddress(link, gateway, tasks); err != nil {
		return 0, err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return 0, fmt.Errorf("bring up bridge %s: %w", name, err)
	}
	return link.Attrs().Index, nil
}

// bridgeMAC is fixed: without it the bridge takes the lowest address of its
// ports, changes it as tasks come and go, and neighbours lose it for a while.
func bridgeMAC(name string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(name))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

func ensureAddress(bridge netlink.Link, gateway netip.Prefix, tasks int) error {
	name := bridge.Attrs().Name
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list addresses: %w", err)
	}
	present := false
	for _, a := range all {
		prefix, ok := prefixOf(a.IPNet)
		switch {
		case !ok:
		case a.LinkIndex == bridge.Attrs().Index && prefix == gateway:
			present = true
		case a.LinkIndex == bridge.Attrs().Index && tasks > 0:
			return fmt.Errorf(
				"bridge %s has %s and %d tasks, the configured subnet is %s: stop the tasks or set the subnet back", name, prefix,
				tasks, gateway.Masked())
		case a.LinkIndex == bridge.Attrs().Index:
			if err = netlink.AddrDel(bridge, &a); err != nil {
				return fmt.Errorf("remove address %s of bridge %s: %w", prefix, name, err)
			}
		case prefix.Overlaps(gateway.Masked()):
			return fmt.Errorf("subnet %s overlaps %s of link %d: give the task network another subnet", gateway.Masked(), prefix,
				a.LinkIndex)
		}
	}
	if present {
		return nil
	}
	err = netlink.AddrAdd(bridge, &netlink.Addr{IPNet: ipNet(gateway)})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("give bridge %s its address %s: %w", name, gateway, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(addr.Unmap(), bits), true
}
