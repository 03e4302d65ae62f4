// Package simdetector runs the failure detector of agent/peer/detector over a simulated
// network: who hears whom on the streams, what voters tell the leader of it, and what
// witnesses and gossip say of a host that nobody hears. It stands for agent/peer's hub
// and FailureDetector; agent/lead/detectortest holds both to one contract.
//
// It owns no rule of its own, only what a network does: which streams flow, whose words
// come, what dials find. It does not own who streams from whom: the links of the
// simulator say so (see [Membership.Opened]). Which hosts and voters there are is read
// from State.
//
// Nothing beats. A stream that flows is alive without an event, and so is a voter that
// tells: what their beats and words have brought is noted whenever somebody looks. Only
// what changes makes events. Sights move on the ticks of the leader (50 ms), as the
// real ones do.
//
// Otherwise than the real ones: witnesses that can find nothing else than they did are
// not asked again until the network or the host's row changes, or [Detector.Probe] asks;
// no host's limit is stretched for beats that are usually late; a voter tells the newest
// leader that it has a link to, without a word lost; and clocks are known at once.
//
// A leader's executor must say which rows an entry changed ([Detector.Applied]); the
// links say when a voter ends a stream ([Membership.Cut]).
//
// A host that dies, is found silent and comes back makes 12 events, whatever the number
// of hosts; each view that a leader takes is a map of all hosts. An idle day makes none.
//
// One goroutine uses a Membership, that of its virtual.Time.
package simdetector
