package network

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"skein/raftfsm/fleet"
)

// maxPorts bounds the port maps of one task: ten containers (ECS API, RegisterTaskDefinition) of a
// hundred ports each.
const maxPorts = 1000

// checkPorts refuses bindings that cannot be mapped.
func checkPorts(bindings []fleet.PortBinding, reserved []int) error {
	if len(bindings) > maxPorts {
		return fmt.Errorf("%d ports: at most %d", len(bindings), maxPorts)
	}
	seen := make(map[portKey]bool, len(bindings))
	for _, b := range bindings {
		key := portKey{b.Protocol, b.HostPort}
		switch {
		case b.Protocol != fleet.TCP && b.Protocol != fleet.UDP:
			return fmt.Errorf("port %d of container %s: %s", b.ContainerPort, b.Container, b.Protocol)
		case b.HostPort < 1 || b.HostPort > 65535:
			return fmt.Errorf("host port %d of container %s: want 1 to 65535", b.HostPort, b.Container)
		case b.ContainerPort < 1 || b.ContainerPort > 65535:
			return fmt.Errorf("container port %d of container %s: want 1 to 65535", b.ContainerPort, b.Container)
		case slices.Contains(reserved, b.HostPort):
			return fmt.Errorf("host port %d of container %s: reserved on this host", b.HostPort, b.Container)
		case seen[key]:
			return fmt.Errorf("host port %d/%s of container %s: given twice", b.HostPort, b.Protocol, b.Container)
		}
		seen[key] = true
	}
	return nil
}

func sorted(in []mapping) []mapping {
	return slices.SortedFunc(slices.Values(in), func(a, b mapping) int {
		return cmp.Or(cmp.Compare(a.key.protocol, b.key.protocol), cmp.Compare(a.key.port, b.key.port))
	})
}

// hostRange is the first address of a subnet that tasks may have and how many
// there are: all but the network, the gateway and the broadcast address.
func hostRange(subnet netip.Prefix) (first netip.Addr, size uint32) {
	return subnet.Masked().Addr().Next().Next(), 1<<(32-subnet.Bits()) - 3
}

func offset(first netip.Addr, by uint32) netip.Addr {
	b := first.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+by)
	return netip.AddrFrom4(b)
}
