package entry

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// filterFor is the program by which the kernel passes on only frames about the addresses,
// all of one family: on a large network an agent would else wake for every question of
// every neighbour. Of IPv6 the last four bytes are compared; parse looks at the rest.
func filterFor(addrs []netip.Addr) []unix.SockFilter {
	const (
		loadWord  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		loadByte  = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		jumpEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		accept    = 0xffff // bytes: the whole frame
	)
	var p []unix.SockFilter
	offsets := []uint32{arpSenderIP, arpTargetIP}
	if addrs[0].Is6() {
		offsets = []uint32{ipv6Source + 12, icmpTarget + 12}
		p = append(p, unix.SockFilter{Code: loadByte, K: ipv6Next}, unix.SockFilter{Code: jumpEqual, K: icmpv6, Jt: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K},
			unix.SockFilter{Code: loadByte, K: icmp}, unix.SockFilter{Code: jumpEqual, K: neighborAsk, Jt: 2},
			unix.SockFilter{Code: jumpEqual, K: neighborTell, Jt: 1}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K})
	}
	end := len(p) + len(offsets)*(1+len(addrs))
	for _, offset := range offsets {
		p = append(p, unix.SockFilter{Code: loadWord, K: offset})
		for _, addr := range addrs {
			bytes := addr.AsSlice()
			p = append(p, unix.SockFilter{Code: jumpEqual, K: binary.BigEndian.Uint32(bytes[len(bytes)-4:]),
				Jt: uint8(end - len(p))})
		}
	}
	return append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K,
		K: accept})
}
