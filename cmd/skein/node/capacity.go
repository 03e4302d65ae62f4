package node

import (
	"fmt"
	"net"
	"net/netip"

	"skein/agent/capacity"
	"skein/cmd/skein/config"
	"skein/raftfsm/fleet"
	"skein/runtime/hostos"
)

// capacityOf is what tasks may reserve on this machine.
func capacityOf(c *config.Config, machine hostos.Machine) (fleet.Resources, error) {
	configured := fleet.Resources{CPU: c.Capacity.CPU, Memory: c.Capacity.Memory}
	return capacity.Room(configured, machine.CPUs(), func() (int64, error) {
		total, _, err := machine.Memory()
		return total, err
	})
}

// PeerAddress is the address other agents dial: as configured, else where the
// agent listens, else this machine's first global address.
func PeerAddress(c *config.Config) (netip.AddrPort, error) {
	if c.PeerAdvertise != "" {
		return netip.ParseAddrPort(c.PeerAdvertise)
	}
	return dialable(c.PeerListen)
}

// dialable is a listening address as others dial it.
func dialable(listen string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(listen)
	if err != nil || !addr.Addr().IsUnspecified() {
		return addr, err
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, entry := range all {
		prefix, err := netip.ParsePrefix(entry.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() {
			return netip.AddrPortFrom(prefix.Addr().Unmap(), addr.Port()), nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("this machine has no address others could dial: set peer_advertise")
}
