package entry

import (
	"encoding/binary"
	"net/netip"
)

// mac is the address of an Ethernet interface.
type mac [6]byte

var broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// unicast reports whether one interface can have the address.
func (m mac) unicast() bool { return m != mac{} && m[0]&1 == 0 }

// heard is what an ARP packet, a neighbour solicitation or an advertisement says, as far
// as it concerns who has which address.
type heard struct {
	from    mac
	claimed netip.Addr // the address that the sender says is its own; zero: none
	asked   netip.Addr // the address whose holder the sender looks for; zero: none
}

// probe reports whether the sender asks because it wants the address for itself. Source:
// RFC 5227, 1.1 and RFC 4862, 5.4.
func (h heard) probe() bool { return h.asked.IsValid() && !h.claimed.IsValid() }

// The frames' layout: Ethernet's header, then ARP, or IPv6 with ICMPv6.
const (
	etherLen  = 14
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	arpLen       = 28
	arpRequest   = 1
	arpReply     = 2
	arpSenderMAC = etherLen + 8
	arpSenderIP  = etherLen + 14
	arpTargetMAC = etherLen + 18
	arpTargetIP  = etherLen + 24

	ipv6Len      = 40
	ipv6Next     = etherLen + 6
	ipv6Hops     = etherLen + 7
	ipv6Source   = etherLen + 8
	ipv6Dest     = etherLen + 24
	icmp         = etherLen + ipv6Len
	icmpTarget   = icmp + 8
	icmpOptions  = icmp + 24
	icmpv6       = 58
	neighborAsk  = 135 // solicitation
	neighborTell = 136 // advertisement

	optionTargetMAC = 2
	// onLink is the hop limit of a packet that no router passed on.
	onLink = 255

	flagSolicited = 0x40
	flagOverride  = 0x20
)

// parse reads a frame. What is not whole, or not about neighbours, is not ok.
func parse(frame []byte) (h heard, ok bool) {
	if len(frame) < etherLen {
		return heard{}, false
	}
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return parseARP(frame)
	case etherIPv6:
		return parseNDP(frame)
	}
	return heard{}, false
}

func parseARP(f []byte) (h heard, ok bool) {
	if len(f) < etherLen+arpLen || [6]byte(f[etherLen:]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return heard{}, false
	}
	op := binary.BigEndian.Uint16(f[etherLen+6:])
	h.from = mac(f[arpSenderMAC:])
	sender, target := netip.AddrFrom4([4]byte(f[arpSenderIP:])), netip.AddrFrom4([4]byte(f[arpTargetIP:]))
	if op != arpRequest && op != arpReply || !h.from.unicast() {
		return heard{}, false
	}
	if !sender.IsUnspecified() {
		h.claimed = sender
	}
	if op == arpRequest && target != sender && !target.IsUnspecified() {
		h.asked = target
	}
	return h, h.claimed.IsValid() || h.asked.IsValid()
}

func parseNDP(f []byte) (h heard, ok bool) {
	if len(f) < icmpOptions || f[etherLen]>>4 != 6 || f[ipv6Next] != icmpv6 || f[ipv6Hops] != onLink || f[icmp+1] != 0 {
		return heard{}, false
	}
	end := etherLen + ipv6Len + int(binary.BigEndian.Uint16(f[etherLen+4:]))
	if end < icmpOptions || end > len(f) || icmpSum(f[:end]) != 0 {
		return heard{}, false
	}
	source, target := netip.AddrFrom16([16]byte(f[ipv6Source:])), netip.AddrFrom16([16]byte(f[icmpTarget:]))
	if target.IsMulticast() || target.IsUnspecified() || source.IsMulticast() {
		return heard{}, false
	}
	h.from = mac(f[6:])
	switch f[icmp] {
	case neighborAsk:
		h.asked = target
		if !source.IsUnspecified() {
			h.claimed = source
		}
	case neighborTell:
		h.claimed = target
	default:
		return heard{}, false
	}
	if h.claimed == h.asked {
		h.asked = netip.Addr{}
	}
	return h, h.from.unicast()
}

// probe asks whether anybody has the address, without saying that we do.
func probe(own mac, addr netip.Addr) []byte {
	if addr.Is4() {
		return arp(own, broadcast, arpRequest, netip.IPv4Unspecified(), mac{}, addr)
	}
	return ndp(own, groupMAC(solicitedNode(addr)), netip.IPv6Unspecified(), solicitedNode(addr), neighborAsk, 0, addr)
}

// announce tells all neighbours that the address is ours now.
func announce(own mac, addr netip.Addr) []byte {
	if addr.Is4() {
		return arp(own, broadcast, arpRequest, addr, mac{}, addr)
	}
	return ndp(own, groupMAC(allNodes), addr, allNodes, neighborTell, flagOverride, addr)
}

// answer tells who asked that the address is ours.
func answer(own mac, addr netip.Addr, to heard) []byte {
	switch {
	case addr.Is4():
		asker := to.claimed
		if !asker.IsValid() {
			asker = netip.IPv4Unspecified()
		}
		return arp(own, to.from, arpReply, addr, to.from, asker)
	case to.probe(): // it has no address yet
		return announce(own, addr)
	}
	return ndp(own, to.from, addr, to.claimed, neighborTell, flagOverride|flagSolicited, addr)
}

func arp(own, to mac, op uint16, sender netip.Addr, targetMAC mac, target netip.Addr) []byte {
	f := make([]byte, etherLen+arpLen)
	ether(f, to, own, etherARP)
	copy(f[etherLen:], []byte{0, 1, 8, 0, 6, 4})
	binary.BigEndian.PutUint16(f[etherLen+6:], op)
	copy(f[arpSenderMAC:], own[:])
	copy(f[arpSenderIP:], sender.AsSlice())
	copy(f[arpTargetMAC:], targetMAC[:])
	copy(f[arpTargetIP:], target.AsSlice())
	return f
}

// ndp makes a solicitation or an advertisement. A solicitation from no address must not
// tell the sender's link address (RFC 4861, 4.3), and others we do not send.
func ndp(own, to mac, source, dest netip.Addr, kind, flags byte, target netip.Addr) []byte {
	size := icmpOptions
	if kind == neighborTell {
		size += 8
	}
	f := make([]byte, size)
	ether(f, to, own, etherIPv6)
	f[etherLen] = 6 << 4
	binary.BigEndian.PutUint16(f[etherLen+4:], uint16(size-etherLen-ipv6Len))
	f[ipv6Next], f[ipv6Hops] = icmpv6, onLink
	copy(f[ipv6Source:], source.AsSlice())
	copy(f[ipv6Dest:], dest.AsSlice())
	f[icmp], f[icmp+4] = kind, flags
	copy(f[icmpTarget:], target.AsSlice())
	if kind == neighborTell {
		f[icmpOptions], f[icmpOptions+1] = optionTargetMAC, 1
		copy(f[icmpOptions+2:], own[:])
	}
	binary.BigEndian.PutUint16(f[icmp+2:], icmpSum(f))
	return f
}

func ether(f []byte, to, from mac, kind uint16) {
	copy(f, to[:])
	copy(f[6:], from[:])
	binary.BigEndian.PutUint16(f[12:], kind)
}

// icmpSum is the checksum of the frame's ICMPv6 message over its pseudo-header: zero of a
// whole one, and what is to be filled in where the field is zero.
func icmpSum(f []byte) uint16 {
	sum := uint32(len(f)-etherLen-ipv6Len) + icmpv6
	for i := ipv6Source; i < len(f)-1; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	if (len(f)-ipv6Source)%2 == 1 {
		sum += uint32(f[len(f)-1]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

var allNodes = netip.MustParseAddr("ff02::1")

// solicitedNode is the group that who looks for the address asks. Source: RFC 4291, 2.7.1.
func solicitedNode(addr netip.Addr) netip.Addr {
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	all := addr.As16()
	copy(group[13:], all[13:])
	return netip.AddrFrom16(group)
}

// groupMAC is where frames to a group of IPv6 go. Source: RFC 2464, 7.
func groupMAC(group netip.Addr) mac {
	all := group.As16()
	return mac{0x33, 0x33, all[12], all[13], all[14], all[15]}
}
