package node

import (
	"encoding/binary"
	"net/netip"
	"path/filepath"

	"skein/runtime/dns"
)

const dnsPort = 53

// openDNS opens what answers the queries of this host's tasks: at the first address of
// the range of aliases, which nobody else reaches.
func (n *node) openDNS(closers *closers, subnet netip.Prefix) (err error) {
	n.dns, err = dns.Open(dns.Config{
		Addr:           netip.AddrPortFrom(n.aliases.Addr().Next(), dnsPort),
		Clients:        []netip.Prefix{subnet, n.aliases},
		AliasAddr:      n.aliasAddr,
		HostResolvConf: "/etc/resolv.conf", TaskResolvConf: n.taskResolvConf(), Log: n.Log,
		Store: n.sockets.of(dnsSockets), Inherited: n.sockets.inherited(dnsSockets),
	})
	if err != nil {
		return err
	}
	closers.add(n.dns.Close)
	return nil
}

// aliasAddr is where this host answers at an alias. The first address of the range is DNS's.
func (n *node) aliasAddr(number int) netip.Addr {
	addr := n.aliases.Addr().As4()
	binary.BigEndian.PutUint32(addr[:], binary.BigEndian.Uint32(addr[:])+uint32(number)+1)
	return netip.AddrFrom4(addr)
}

// taskResolvConf is the file that tasks find at /etc/resolv.conf.
func (n *node) taskResolvConf() string { return filepath.Join(n.Config.DataDir, "resolv.conf") }
