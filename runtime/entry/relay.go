package entry

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// A connection that began at the other host that has the address, the former holder or the
// holder, is unknown here: the kernel's connection tracking has no entry for it, and its
// packets are not the first of one. They go on to that host's interface; it answers the
// client itself. No entry is made, so each packet is looked at the same way. What neither
// knows would circle: a packet that goes on has 1 hop left, and such a one goes on no more.

const tableName = "skein-entry"

// relayed is an address as the rules know it.
type relayed struct {
	addr netip.Addr
	link link
	to   netip.Addr // of the other host; zero: none, and connections are only tracked
}

// settleRelay makes the kernel's rules those of the addresses, and changes nothing where
// they are.
func settleRelay(all []relayed) error {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyIPv4, nftables.TableFamilyIPv6} {
		var its []relayed
		for _, r := range all {
			if r.addr.Is4() == (family == nftables.TableFamilyIPv4) {
				its = append(its, r)
			}
		}
		if err := settleTable(family, its); err != nil {
			return fmt.Errorf("rules for entry addresses (nftables table %s): %w", tableName, err)
		}
	}
	return nil
}

func settleTable(family nftables.TableFamily, all []relayed) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	table := &nftables.Table{Name: tableName, Family: family}
	there, err := c.ListTablesOfFamily(family)
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(there, func(t *nftables.Table) bool { return t.Name == tableName })
	if len(all) == 0 {
		if !known {
			return nil
		}
		c.DelTable(table)
		return c.Flush()
	}
	rules, digest := relayRules(all)
	if known && intact(c, table, len(rules), digest) {
		return nil
	}
	c.AddTable(table)
	c.DelTable(table)
	c.AddTable(table)
	accept := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{Name: "prerouting", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle, Policy: &accept})
	for _, r := range rules {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r, UserData: digest})
	}
	return c.Flush()
}

// intact reports whether the table has the rules: each carries the digest of them all.
func intact(c *nftables.Conn, table *nftables.Table, count int, digest []byte) bool {
	rules, err := c.GetRules(table, &nftables.Chain{Name: "prerouting", Table: table})
	return err == nil && len(rules) == count &&
		!slices.ContainsFunc(rules, func(r *nftables.Rule) bool { return !bytes.Equal(r.UserData, digest) })
}

// relayRules is, for each address: TCP that is no first packet, of a connection that is
// not known, goes to the other host, also its end, which is invalid to connection
// tracking rather than new; and what a router says of such a connection.
func relayRules(all []relayed) (rules [][]expr.Any, digest []byte) {
	sum := sha256.New()
	for _, r := range all {
		fmt.Fprintln(sum, r.addr, r.to, r.link.index, r.link.name)
		if !r.to.IsValid() {
			rules = append(rules, slices.Concat(toAddress(r), inState(expr.CtStateBitNEW)))
			continue
		}
		rules = append(rules,
			slices.Concat(toAddress(r), protocol(unix.IPPROTO_TCP), notFirst(), inState(expr.CtStateBitNEW), goOn(r)),
			slices.Concat(toAddress(r), protocol(unix.IPPROTO_TCP), ending(), inState(expr.CtStateBitINVALID), goOn(r)),
			slices.Concat(toAddress(r), unreachable(r.addr), inState(expr.CtStateBitINVALID), goOn(r)))
	}
	return rules, sum.Sum(nil)
}

func toAddress(r relayed) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, r.link.name)
	offset := uint32(ipv6Dest - etherLen)
	if r.addr.Is4() {
		offset = 16
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(r.addr.BitLen() / 8)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: r.addr.AsSlice()},
	}
}

func protocol(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// Flags of TCP.
const fin, syn, rst, ack = 0x01, 0x02, 0x04, 0x10

// notFirst: of FIN, SYN, RST and ACK it has not SYN alone.
func notFirst() []expr.Any { return flags(fin|syn|rst|ack, syn) }

// ending: it has FIN or RST.
func ending() []expr.Any { return flags(fin|rst, 0) }

// flags: those of the mask are others than these.
func flags(mask, not byte) []expr.Any {
	const offset = 13
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{not}},
	}
}

// unreachable is ICMP's "destination unreachable", or IPv6's "packet too big": without
// them a connection whose path takes only smaller packets stands still.
func unreachable(addr netip.Addr) []expr.Any {
	number, kind := byte(unix.IPPROTO_ICMP), byte(3)
	if addr.Is6() {
		number, kind = unix.IPPROTO_ICMPV6, 2
	}
	return append(protocol(number),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}})
}

func inState(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit),
			Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// goOn sends a packet that has more than 1 hop left to the other host's interface, and not
// to us, with 1 hop left: enough to be taken there.
func goOn(r relayed) []expr.Any {
	const toAddr, toLink = unix.NFT_REG_1, unix.NFT_REG_2
	return append(lastHop(r.addr),
		&expr.Immediate{Register: toAddr, Data: r.to.AsSlice()},
		&expr.Immediate{Register: toLink, Data: binary.NativeEndian.AppendUint32(nil, uint32(r.link.index))},
		&expr.Dup{RegAddr: toAddr, RegDev: toLink, IsRegDevSet: true},
		&expr.Verdict{Kind: expr.VerdictDrop})
}

// lastHop: the packet has more than 1 hop left, and has 1 from now on. IPv4's checksum is of
// pairs of bytes, so the field goes together with its neighbour.
func lastHop(addr netip.Addr) []expr.Any {
	const ttl, protocolAfter, checksum = 8, 0xff, 10
	hops := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: hopLimit, Len: 1}
	if addr.Is4() {
		hops.Offset = ttl
	}
	more := []expr.Any{hops, &expr.Cmp{Op: expr.CmpOpGt, Register: 1, Data: []byte{1}}}
	if addr.Is6() {
		return append(more,
			&expr.Immediate{Register: 1, Data: []byte{1}},
			&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseNetworkHeader,
				Offset: hopLimit, Len: 1})
	}
	return append(more,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: ttl, Len: 2},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0, protocolAfter}, Xor: []byte{1, 0}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseNetworkHeader,
			Offset: ttl, Len: 2, CsumType: expr.CsumTypeInet, CsumOffset: checksum})
}

// hopLimit is where IPv6 has the number of hops that are left.
const hopLimit = 7
