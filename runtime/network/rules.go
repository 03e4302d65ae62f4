package network

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Offsets of the IPv4 header and of TCP's and UDP's.
const (
	offsetSource      = 12
	offsetDestination = 16
	offsetPort        = 2
)

// addRules replaces all rules of the table:
//
//	prerouting, output: local address, port in the map -> address and port of a task
//	postrouting:        tasks leave the bridge under the host's address; a task that
//	                    reaches another by a host port does too, or the answer would
//	                    take the short way past the translation
//	forward:            no task reaches link-local addresses, where clouds keep credentials
//	input:              aliases answer tasks and the host itself, nobody else
//	silence:            where nothing listens at an alias, nothing is said: what asks for a
//	                    name while the agent starts anew asks again, and is not refused
func addRules(c *nftables.Conn, t *nftables.Table, config Config) {
	c.FlushTable(t)
	accept := nftables.ChainPolicyAccept
	chain := func(name string, kind nftables.ChainType, hook *nftables.ChainHook,
		priority *nftables.ChainPriority) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: kind, Hooknum: hook, Priority: priority,
			Policy: &accept})
	}
	prerouting := chain("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	output := chain("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, nftables.ChainPriorityNATDest)
	postrouting := chain("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting,
		nftables.ChainPriorityNATSource)
	forward := chain("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)

	input := chain("input", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	silence := chain("silence", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)

	rule := func(chain *nftables.Chain, parts ...[]expr.Any) {
		var all []expr.Any
		for _, p := range parts {
			all = append(all, p...)
		}
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: all})
	}
	aliases := config.Aliases
	rule(prerouting, notTo(aliases), toLocalAddress(), toMappedPort())
	rule(output, notTo(loopback), notTo(aliases), toLocalAddress(), toMappedPort())
	rule(postrouting, from(config.Subnet), leavesBy(config.Bridge, false), masquerade())
	rule(postrouting, from(config.Subnet), leavesBy(config.Bridge, true), wasMapped(), masquerade())
	rule(forward, entersBy(config.Bridge, true), to(linkLocal), drop())
	rule(input, to(aliases), entersBy(config.Bridge, false), entersBy("lo", false), drop())
	rule(silence, from(aliases), unreachable(), drop())
}

var (
	// loopback: a packet from there may not leave by the bridge without route_localnet,
	// which opens the host's own loopback services to neighbours (CVE-2020-8558).
	loopback  = netip.MustParsePrefix("127.0.0.0/8")
	linkLocal = netip.MustParsePrefix("169.254.0.0/16")
)

func toLocalAddress() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

// toMappedPort looks "protocol . port" up in the map and rewrites the
// destination; without an entry the rule ends.
func toMappedPort() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG32_00},
		&expr.Payload{DestRegister: unix.NFT_REG32_01, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
		&expr.Lookup{SourceRegister: unix.NFT_REG32_00, DestRegister: unix.NFT_REG32_00, IsDestRegSet: true,
			SetName: portsName, SetID: portsID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: unix.NFT_REG32_00,
			RegProtoMin: unix.NFT_REG32_01, Specified: true},
	}
}

func from(p netip.Prefix) []expr.Any  { return addressIn(offsetSource, p, expr.CmpOpEq) }
func to(p netip.Prefix) []expr.Any    { return addressIn(offsetDestination, p, expr.CmpOpEq) }
func notTo(p netip.Prefix) []expr.Any { return addressIn(offsetDestination, p, expr.CmpOpNeq) }

func addressIn(offset uint32, p netip.Prefix, op expr.CmpOp) []expr.Any {
	addr := p.Masked().Addr().As4()
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: net.CIDRMask(p.Bits(), 32), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: addr[:]},
	}
}

func leavesBy(link string, yes bool) []expr.Any { return linkIs(expr.MetaKeyOIFNAME, link, yes) }
func entersBy(link string, yes bool) []expr.Any { return linkIs(expr.MetaKeyIIFNAME, link, yes) }

func linkIs(key expr.MetaKey, link string, yes bool) []expr.Any {
	op := expr.CmpOpNeq
	if yes {
		op = expr.CmpOpEq
	}
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: linkBytes(link)},
	}
}

func linkBytes(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// wasMapped: the connection's destination was rewritten.
func wasMapped() []expr.Any {
	const destinationRewritten = 1 << 5 // IPS_DST_NAT
	bit := make([]byte, 4)
	binary.NativeEndian.PutUint32(bit, destinationRewritten)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bit, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// unreachable: ICMP says that nothing is there.
func unreachable() []expr.Any {
	const destinationUnreachable = 3
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{destinationUnreachable}},
	}
}

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }
