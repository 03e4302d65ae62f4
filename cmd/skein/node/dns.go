package node

import (
	"net/netip"
	"path/filepath"

	"skein/runtime/dns"
)

// openDNS opens what answers the queries of this host's tasks: at the first address of
// the range of aliases, which nobody else reaches.
func (n *node) openDNS(closers *closers, subnet, aliases netip.Prefix) (err error) {
	n.dns, err = dns.Open(dns.Config{
		Addr:           netip.AddrPortFrom(aliases.Addr().Next(), 53),
		Clients:        []netip.Prefix{subnet, aliases},
		HostResolvConf: "/etc/resolv.conf", TaskResolvConf: n.taskResolvConf(), Log: n.Log,
	})
	if err != nil {
		return err
	}
	closers.add(n.dns.Close)
	return nil
}

// taskResolvConf is the file that tasks find at /etc/resolv.conf.
func (n *node) taskResolvConf() string { return filepath.Join(n.Config.DataDir, "resolv.conf") }
