package lab

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
)

const (
	// firstHost is the last byte of host 1's address; the hub has 1.
	firstHost = 11
	entryByte = 5
	maxHosts  = 240
)

// pools are where a lab's IPv4 /24 comes from, in order of preference. The later
// ones serve machines whose routes cover the first.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.213.0.0/16"),
	netip.MustParsePrefix("172.29.0.0/16"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/16"), // kept for benchmarks, routed nowhere
}

var errNoSubnet = errors.New("no free subnet for the lab")

// pickSubnet returns a network of the pools, /24 or with v6 a unique local /64,
// that touches none of taken. Where to begin depends on the lab's name, so that
// two labs rarely want the same one.
func pickSubnet(lab string, taken []netip.Prefix, v6 bool) (netip.Prefix, error) {
	start := hashOf(lab)
	if v6 {
		for try := range uint32(256) {
			sum := start + try
			candidate := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0x53, 0x6b, 0xe1, byte(sum >> 24), byte(sum >> 16),
				byte(sum >> 8), byte(sum)}), 64)
			if !overlapsAny(candidate, taken) {
				return candidate, nil
			}
		}
		return netip.Prefix{}, errNoSubnet
	}
	for _, pool := range pools {
		base := pool.Addr().As4()
		for try := range uint32(256) {
			base[2] = byte(start + try)
			candidate := netip.PrefixFrom(netip.AddrFrom4(base), 24)
			if !overlapsAny(candidate, taken) {
				return candidate, nil
			}
		}
	}
	return netip.Prefix{}, fmt.Errorf("%w: every /24 of %v is routed on this machine; remove another lab or a route",
		errNoSubnet, pools)
}

func overlapsAny(p netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if t.Bits() > 0 && p.Overlaps(t) { // a default route covers everything and hinders nothing
			return true
		}
	}
	return false
}

// addressAt returns the subnet's address with the number n as its last byte.
func addressAt(subnet netip.Prefix, n int) netip.Addr {
	if subnet.Addr().Is4() {
		a := subnet.Addr().As4()
		a[3] = byte(n)
		return netip.AddrFrom4(a)
	}
	a := subnet.Addr().As16()
	a[15] = byte(n)
	return netip.AddrFrom16(a)
}

func hubAddress(subnet netip.Prefix) netip.Addr         { return addressAt(subnet, 1) }
func hostAddress(subnet netip.Prefix, n int) netip.Addr { return addressAt(subnet, firstHost+n-1) }

// hardwareAddress is a host's own for ever, as a machine's is: with a new one
// after each boot its peers would talk to a stale neighbour entry for seconds.
func hardwareAddress(lab string, n int) net.HardwareAddr {
	sum := hashOf(lab)
	return net.HardwareAddr{0x02, byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum), byte(n)}
}

func hashOf(lab string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(lab)) // never fails
	return h.Sum32()
}

// EntryAddress is an address of a lab's network that no host has: for clients to go to,
// whichever host answers for it.
func EntryAddress(subnet netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(addressAt(subnet, entryByte), subnet.Bits())
}
