// Package link is a host's side of the peer port: which voter it talks to, and
// what became of its reports.
//
// [Machine] opens a session, dials a voter, follows its stream, and leaves it for
// another when it is silent, stale or refuses. [Outbox] has the newest report
// committed by one voter or another. Both are pure drivers: (now, event) ->
// effects, for one goroutine. agent/peer runs them over sockets, agent/sim over a
// simulated network.
//
// The package opens no connection, keeps nothing on disk, and does not know what
// a host does with its tasks.
package link
