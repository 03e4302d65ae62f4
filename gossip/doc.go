// Package gossip is the adapter to memberlist: who is there, what each host
// says of its capacity, and who has answered lately. It owns the ring, the
// newest capacity report of each host and the rejoin loop. It does not own
// truth: everything here is a hint that may be late, lost or forged by any
// holder of the gossip key, so nothing is ever destroyed because of it. Silence
// of a host is decided by streams and witnesses (agent/peer/detector); the ring
// only raises suspicion, and may veto by [Ring.AnsweredWithin].
//
// Units: ages and intervals are time.Duration on this host's monotonic clock;
// times inside reports are the sender's and are for people only. All methods may
// be called from any goroutine. [Open] starts memberlist's own goroutines;
// [Ring.Run] does all the work of this package in one.
//
// # Design notes
//
//  1. A member's name in the ring is its HostID, so two machines with one
//     identity (a cloned disk) are a name conflict: the later one is refused by
//     everybody, and both addresses are logged. Human names are unique by State,
//     not here.
//  2. Metadata (CBOR behind a format byte) stays under memberlist's 512 bytes by
//     limits on its parts, not by luck. A newer format is taken as a member about
//     which nothing but its id is known, so that a rolling upgrade keeps the ring.
//  3. Capacity reports are user broadcasts, one queued per host (a newer one
//     replaces the older), and travel again in push/pull. memberlist sends a user
//     broadcast only one hop: whoever learns something newer queues it again.
//  4. A host's own broadcasts are paced so that the whole ring stays inside
//     memberlist's budget of about 21 KB/s a member: about
//     1 s at 10 hosts, 10 s at 100, minutes at 1,000. Beyond some hundred hosts the
//     streams carry the load and gossip only fills gaps.
//  5. memberlist ignores news with an incarnation that is not above the last one
//     it saw, and starts every life at 1 (memberlist#311). Here each life starts
//     [incarnationBlock] above the one before, counted in a file. What a life
//     used beyond its block is healed by the rejoin, which shows a host what
//     others believe of it and lets it refute.
//  6. memberlist does not heal a long partition by itself.
//     Run tries a few addresses that State has and the ring has not, every 5 s
//     with jitter: one contact is enough to merge two halves, and dialling only
//     the missing keeps push/pull away from the usual case.
//  7. Callbacks run under memberlist's lock or in its packet loop. They copy,
//     write to maps of ours or to bounded queues, and return; a full queue drops
//     and counts, and push/pull makes good.
//  8. Reports of hosts that left are dropped after [retention]; a tombstone of
//     (nonce, seq) stays for longer, so that a slower peer's push/pull cannot
//     bring the report back.
//  9. Reports follow the session that State has: one of that session gives way to no
//     other, or the report of a clone, whose nonce is higher, would stand after the
//     clone is gone. A report carries the nonce of the session that its host opened
//     last, so who has no session replaces nothing. Reports that ride the streams of
//     the peer port come in by [Ring.Observe], and the newer is held.
//  10. memberlist buffers up to 20 MiB of each connection before it decrypts, so it
//     is given a transport of ours, the gate, and no keys. Both ends of a stream
//     prove in a TLS handshake that they hold a gossip key (each key gives a signing
//     key and its certificate), and packets are sealed with AES-256-GCM. Before that,
//     a stranger has 32 connections of 256, 3 s and 8 KiB each. A holder of the key
//     may be hostile too: packed messages, several requests in one packet and
//     headers that announce more than a large fleet needs are refused, and
//     push/pulls of 6 MiB in all are served at once. Measured under floods of 14
//     kinds: 1 to 27 MiB above idle (11 MiB); before, 1,959. Rejected: a look
//     at the length that memberlist's encrypted frame announces (one of 10,000 hosts
//     has 2.9 MB, so a stranger could hold that much in each of its connections).
package gossip
