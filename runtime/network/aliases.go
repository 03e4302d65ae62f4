package network

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// DefaultAliases is of what RFC 2544 sets aside for benchmarks in laboratories: no host
// and no task is there. It has room for 65,000 aliases.
var DefaultAliases = netip.MustParsePrefix("198.19.0.0/16")

// minAliasBits leaves room for fleet.MaxAliasNumber and the address of DNS.
const minAliasBits, maxAliasBits = 8, 20

func checkAliases(aliases, subnet netip.Prefix) error {
	if bits := aliases.Bits(); !aliases.Addr().Is4() || bits < minAliasBits || bits > maxAliasBits {
		return fmt.Errorf("network aliases %s: want an IPv4 prefix from /%d to /%d", aliases, minAliasBits, maxAliasBits)
	}
	if aliases.Overlaps(subnet) {
		return fmt.Errorf("network aliases %s overlap the subnet of tasks, %s", aliases, subnet)
	}
	return nil
}

// ensureAliases makes every address of the prefix one of this host's, without giving any
// to a link: sockets may listen on them, and tasks, whose way out is this host, reach them.
func ensureAliases(aliases netip.Prefix) error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		if prefix, ok := prefixOf(a.IPNet); ok && prefix.Overlaps(aliases) {
			return fmt.Errorf("aliases %s overlap %s of link %d: set network.aliases to a range that nobody uses", aliases,
				prefix, a.LinkIndex)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err = netlink.RouteReplace(localRoute(aliases, lo.Attrs().Index)); err != nil {
		return fmt.Errorf("make aliases %s local: %w", aliases, err)
	}
	return nil
}

func localRoute(to netip.Prefix, link int) *netlink.Route {
	return &netlink.Route{LinkIndex: link, Dst: ipNet(to), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
		Scope: unix.RT_SCOPE_HOST}
}
