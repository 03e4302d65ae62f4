// Package detectortest is the contract of what a leader sees: the same cases for the
// simulator's membership and for the real one. See [FailureDetector].
//
// Against agent/peer all of the peer port is real: links, streams, ages told to
// the leader, the watch, witnesses and their dials, over TLS on a network in
// memory and in the fake time of testing/synctest. Made up are that network, the
// log that voters share, and gossip, which has no word there.
package detectortest
