package network

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel translates a flow as its first packet was translated. A TCP flow
// ends with its task; a UDP flow has no end, so a client that keeps sending
// would reach the task that was, or none.

// forgetFlowsOf forgets UDP flows that were led to an address.
func forgetFlowsOf(addr netip.Addr) error {
	return forgetUDP(func(f *netlink.ConntrackFilter) error {
		return f.AddIP(netlink.ConntrackReplySrcIP, addr.AsSlice())
	})
}

// forgetFlowsTo forgets UDP flows to a host port.
func forgetFlowsTo(port int) error {
	return forgetUDP(func(f *netlink.ConntrackFilter) error {
		return f.AddPort(netlink.ConntrackOrigDstPort, uint16(port))
	})
}

func forgetUDP(which func(*netlink.ConntrackFilter) error) error {
	filter := &netlink.ConntrackFilter{}
	if err := filter.AddProtocol(unix.IPPROTO_UDP); err != nil {
		return err
	}
	if err := which(filter); err != nil {
		return err
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, filter); err != nil {
		return fmt.Errorf("forget udp flows: %w", err)
	}
	return nil
}
