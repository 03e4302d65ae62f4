// Package simdetector is the in-memory twin of membership: who hears whom on the
// streams, what voters tell the leader of it, and what witnesses and gossip say
// of a host that nobody hears. It stands for agent/peer's hub, Watch and Detector and
// for gossip's second word, over a simulated network; agent/lead/detectortest holds
// both to one contract.
//
// It owns the sight of each host, by the table in agent/peer/DESIGN.md. It does
// not own who streams from whom: the links of the simulator say so (see
// [Membership.Opened]). Which hosts and voters there are is read from State.
//
// Nothing beats. A stream that flows is alive without an event; only what changes
// makes events: a change of one host costs a few, one of a voter as many as it has
// streams, a cut a look at all streams. Sights move on the ticks of the leader
// (50 ms), as the real ones do.
//
// Otherwise than the real ones: a verdict of witnesses is looked at again when the
// network or the host's row changes, or when [Detector.Probe] asks, and not each
// second (silence of a machine that has power also as often as there are others
// to ask, up to 16 times); any number of hosts is examined at once; no host's
// limit is stretched for beats that are usually late; and clocks are known at once.
//
// A leader's executor must say which rows an entry changed ([Detector.Applied]); the
// links say when a voter ends a stream ([Membership.Cut]), voters whom they follow
// ([Membership.Follow]).
//
// Measured on two cores: a host that dies, is found silent and comes back makes 8
// events, which take 6 to 8 us at 100, 1,000 and 10,000 hosts. The four views
// that a leader takes of it are a map of all hosts each: 6 us, 0.1 ms and 1 ms.
// An election at 10,000 hosts takes 18 ms, a lost zone of 3,333 and its return 53
// ms, an idle day nothing.
//
// One goroutine uses a Membership, that of its virtual.Time.
package simdetector
