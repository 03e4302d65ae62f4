// Package peer is the peer port: everything agents say to each other over one
// TLS port, and the client that every host runs against it. Connections are
// accepted by package listener; how a call travels is package rpc.
//
//   - [Port] serves the calls below /v1/peer/, streams to each host its wanted
//     tasks, forwards proposals and API requests, and admits newcomers. On a
//     worker the same Port answers pings and probes, forwards joins, and takes
//     the fleet key when it is to become a voter.
//   - [Link] is a host's side: it runs the drivers of package link over sockets
//     and renews the certificate. Streams are driven by package stream.
//   - [Watch] is what voters and witnesses together see of hosts (pure); Port
//     feeds it and offers it to the leader loop as Liveness and Probe.
//
// Who may call what stands in one table (routes.go); role and life of the caller
// are read from State on each call, never from its certificate.
//
// The package owns no State and decides nothing about tasks. Ages and timers
// are on the monotonic clock of the host that measures; only certificates use
// wall time. All exported types are safe for concurrent use unless they say
// otherwise. See DESIGN.md.
package peer
