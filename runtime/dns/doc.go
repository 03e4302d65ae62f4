// Package dns answers the DNS queries of this host's tasks: names of services from the
// routes that the host was sent last, everything else by the host's resolvers. It also
// writes what tasks find at /etc/resolv.conf.
//
// What is answered ([Names]) is pure. A [Server] has the sockets, the bounds of what tasks
// may take, and the way to the resolvers. It knows nothing of leaders or voters: with none
// it goes on with the routes that it has. See DESIGN.md.
package dns
