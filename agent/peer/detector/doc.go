// Package detector is the failure detector: what voters tell the leader of the hosts
// that they hear, and what the leader makes of that, of witnesses and of gossip. The
// peer port runs it over connections, agent/sim over a simulated network.
//
// It owns the record of a voter's streams ([Streams]), when the leader is told of
// them ([Teller]), the liveness of each host ([Watch]) with its witnesses, and since when
// a State is known to be the newest ([Freshness]). It does not own connections, dials,
// clocks or goroutines: times and answers come with each call, words and requests go
// back, and one goroutine, or one lock, uses a value.
package detector
