// Package trust says who a host is and what it may do.
//
// It owns the identity folder of a host (certificate, key, gossip keys, the
// voters it knows, and on voters the fleet key), the fleet's authority (init,
// signing, sealing), join and operator tokens, joining, renewal, and the TLS
// configurations of the peer port. It opens no listener and keeps no loop:
// agent/peer does.
//
// A certificate only says which host its holder is. What that host may do is
// read from State on every call (see [Authority]), so that a host forgotten a
// second ago is refused although its certificate is good for days.
//
// Secrets (fleet key, CA key, gossip keys, token secrets, private keys) never
// appear in an error, a log line or a String method of this package.
//
// Times are wall-clock and come from the caller. A [IdentityStore] may be used by many
// goroutines; all else is values. See DESIGN.md.
package trust
