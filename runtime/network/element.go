package network

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
)

// Elements are "protocol . port : address . port", each part in a register of
// four bytes, with the task's id as comment.
func encode(m mapping) nftables.SetElement {
	key := make([]byte, 8)
	key[0] = protocolNumber(m.key.protocol)
	binary.BigEndian.PutUint16(key[4:], uint16(m.key.port))
	addr := m.to.Addr().As4()
	value := append(addr[:], 0, 0, 0, 0)
	binary.BigEndian.PutUint16(value[4:], m.to.Port())
	return nftables.SetElement{Key: key, Val: value, Comment: string(m.task)}
}

func decode(e nftables.SetElement) (mapping, bool) {
	if len(e.Key) != 8 || len(e.Val) != 8 || e.Comment == "" {
		return mapping{}, false
	}
	var protocol fleet.Protocol
	switch e.Key[0] {
	case unix.IPPROTO_TCP:
		protocol = fleet.TCP
	case unix.IPPROTO_UDP:
		protocol = fleet.UDP
	default:
		return mapping{}, false
	}
	return mapping{
		key:  portKey{protocol, int(binary.BigEndian.Uint16(e.Key[4:]))},
		task: fleet.TaskID(e.Comment),
		to:   netip.AddrPortFrom(netip.AddrFrom4([4]byte(e.Val[:4])), binary.BigEndian.Uint16(e.Val[4:])),
	}, true
}

func protocolNumber(p fleet.Protocol) byte {
	if p == fleet.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
