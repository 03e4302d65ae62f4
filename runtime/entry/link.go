package entry

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
)

// link is an Ethernet interface of this host with the subnets that it is in.
type link struct {
	name    string
	index   int
	mac     mac
	subnets []netip.Prefix // with the host's own address in each
	// gateways are where this host's default routes lead by this interface.
	gateways []netip.Addr
}

// readLinks lists the interfaces that entry addresses may be on, of all but those named,
// and whatever other addresses this host has.
func readLinks(except []string) (links []link, err error) {
	all, err := whole(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	addrs, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	routes, err := defaultRoutes()
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		attrs := l.Attrs()
		if len(attrs.HardwareAddr) != len(mac{}) || attrs.EncapType != "ether" || slices.Contains(except, attrs.Name) {
			continue
		}
		one := link{name: attrs.Name, index: attrs.Index, mac: mac(attrs.HardwareAddr)}
		for _, a := range addrs {
			addr, ok := netip.AddrFromSlice(a.IP)
			bits, _ := a.Mask.Size()
			if addr = addr.Unmap(); a.LinkIndex == attrs.Index && ok && !addr.IsLinkLocalUnicast() {
				one.subnets = append(one.subnets, netip.PrefixFrom(addr, bits))
			}
		}
		for _, r := range routes {
			if gateway, ok := netip.AddrFromSlice(r.Gw); ok && r.LinkIndex == attrs.Index {
				one.gateways = append(one.gateways, gateway.Unmap())
			}
		}
		if len(one.subnets) > 0 {
			links = append(links, one)
		}
	}
	return links, nil
}

func defaultRoutes() (all []netlink.Route, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := whole(func() ([]netlink.Route, error) {
			return netlink.RouteListFiltered(family, &netlink.Route{}, netlink.RT_FILTER_DST)
		})
		if err != nil {
			return nil, fmt.Errorf("list default routes: %w", err)
		}
		all = append(all, routes...)
	}
	return all, nil
}

// whole repeats a dump that a change interrupted.
func whole[T any](dump func() ([]T, error)) (all []T, err error) {
	for range dumpTries {
		if all, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return nil, err
}

// linkOf is the interface on whose subnet the address is.
func linkOf(links []link, addr netip.Addr) (link, error) {
	var fits []link
	for _, l := range links {
		for _, s := range l.subnets {
			if s.Addr() == addr {
				return link{}, fmt.Errorf("entry address %s is an address of this host itself, on %s", addr, l.name)
			}
			if s.Contains(addr) && !slices.ContainsFunc(fits, func(f link) bool { return f.index == l.index }) {
				fits = append(fits, l)
			}
		}
	}
	switch len(fits) {
	case 1:
		return fits[0], nil
	case 0:
		return link{}, fmt.Errorf("entry address %s is in no subnet of this host (%s)", addr, describe(links))
	}
	return link{}, fmt.Errorf("entry address %s is in subnets of several interfaces (%s): name the interface to use",
		addr, describe(fits))
}

func describe(links []link) string {
	var parts []string
	for _, l := range links {
		for _, s := range l.subnets {
			parts = append(parts, l.name+" "+s.String())
		}
	}
	if len(parts) == 0 {
		return "it has no Ethernet interface with an address"
	}
	return strings.Join(parts, ", ")
}

// quietARP keeps the kernel from answering ARP on an interface for addresses of another
// (arp_ignore), and from naming such an address when it asks itself (arp_announce).
func quietARP(link string) error {
	for key, least := range map[string]int{"arp_ignore": 1, "arp_announce": 2} {
		file := "/proc/sys/net/ipv4/conf/" + link + "/" + key
		now, err := os.ReadFile(file)
		if err == nil {
			if value, bad := strconv.Atoi(strings.TrimSpace(string(now))); bad == nil && value >= least {
				continue
			}
		}
		if err := os.WriteFile(file, []byte(strconv.Itoa(least)), 0); err != nil {
			return fmt.Errorf("keep the kernel from answering ARP for entry addresses (set net.ipv4.conf.%s.%s=%d): %w",
				link, key, least, err)
		}
	}
	return nil
}
