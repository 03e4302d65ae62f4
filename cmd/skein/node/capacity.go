package node

import (
	"fmt"
	"net"
	"net/netip"

	"skein/cmd/skein/config"
	"skein/raftfsm/fleet"
	"skein/runtime/hostos"
)

const (
	// hostShare of the memory, and at least hostLeast MiB, is kept for the host
	// itself: agent, containerd, shims, page cache of the log.
	hostShare = 0.05
	hostLeast = 256
)

// capacityOf is what tasks may reserve on this machine, as configured or else
// what the machine has.
func capacityOf(c *config.Config, machine hostos.Machine) (fleet.Resources, error) {
	room := fleet.Resources{CPU: c.Capacity.CPU, Memory: c.Capacity.Memory}
	if room.CPU == 0 {
		room.CPU = int64(machine.CPUs()) * 1024
	}
	if room.Memory == 0 {
		total, _, err := machine.Memory()
		if err != nil {
			return room, err
		}
		room.Memory = total - max(hostLeast, int64(float64(total)*hostShare))
	}
	if room.Memory <= 0 {
		return room, fmt.Errorf("this machine has too little memory for tasks: %d MiB are left; set capacity.memory", room.Memory)
	}
	return room, nil
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
