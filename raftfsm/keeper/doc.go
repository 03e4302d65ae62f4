// Package keeper decides which hosts hold the Raft log: 1, 3, 5 or 7 of them,
// spread over zones, replaced when they go (MECHANICS 7).
//
// [Step] is a pure function of the time, the State, the Raft configuration and
// what the voters answer; whoever leads runs it and carries its effects out.
// Every change is first an intent in State and then, once committed, an effect,
// so that a new leader goes on where the old one stopped. It owns no
// connection and no clock, and its memory may be lost at any time.
package keeper
