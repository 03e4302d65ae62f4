package entry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// label is what people see beside an IPv4 address of ours.
	label = "lo:skein"
	// mark is the route metric of our addresses on the loopback interface, by which we find
	// them again. Such an address has no route that it could matter to, and IPv6 has no labels.
	mark = 0x736b6569
	// dumpTries: a dump is interrupted by any change meanwhile; five in a row are not normal.
	dumpTries = 5
)

// loopbackIndex is the same in every network namespace.
const loopbackIndex = 1

// ownAddresses lists the addresses on the loopback interface that an agent put there.
func ownAddresses() (map[netip.Addr]bool, error) {
	var messages [][]byte
	var err error
	for range dumpTries {
		request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		request.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		if messages, err = request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR); !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := map[netip.Addr]bool{}
	for _, m := range messages {
		if addr, ok := ownAddress(m); ok {
			out[addr] = true
		}
	}
	return out, nil
}

func ownAddress(message []byte) (netip.Addr, bool) {
	if len(message) < unix.SizeofIfAddrmsg || nl.DeserializeIfAddrmsg(message).Index != loopbackIndex {
		return netip.Addr{}, false
	}
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofIfAddrmsg:])
	if err != nil {
		return netip.Addr{}, false
	}
	var addr netip.Addr
	ours := false
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_RT_PRIORITY:
			ours = len(a.Value) == 4 && binary.NativeEndian.Uint32(a.Value) == mark
		}
	}
	return addr, ours && addr.IsValid()
}

// putAddress lets the host take what comes for the address. An IPv6 one is deprecated from
// the start, so that the host never chooses it as its own for what it begins itself.
func putAddress(addr netip.Addr) error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	message := addressMessage(addr)
	if addr.Is6() {
		message.Flags = unix.IFA_F_NODAD
	}
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	request.AddData(nl.NewRtAttr(unix.IFA_RT_PRIORITY, binary.NativeEndian.AppendUint32(nil, mark)))
	if addr.Is4() {
		request.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(label)))
	} else {
		const forever = 0xffffffff
		life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Prefered: 0, Valid: forever}}
		request.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
	}
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("put entry address %s on the loopback interface: %w", addr, err)
	}
	return nil
}

func removeAddress(addr netip.Addr) error {
	request := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	request.AddData(addressMessage(addr))
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("take entry address %s off the loopback interface: %w", addr, err)
	}
	return nil
}

func addressMessage(addr netip.Addr) *nl.IfAddrmsg {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	message := nl.NewIfAddrmsg(family)
	message.Index, message.Prefixlen = loopbackIndex, uint8(addr.BitLen())
	return message
}
