package detector

import "time"

// Source: cmd/skein/DESIGN.md "Silence". Times that the simulator's own parts need too
// are in agent/peer/protocol.
const (
	// HeardWithin is how lately a session was heard that lives: four beats.
	HeardWithin = time.Second
	// StreamSpacing is the least time between two streams of one host.
	StreamSpacing = 50 * time.Millisecond
	// MaxExamined bounds suspects under examination: half a zone of 500.
	MaxExamined = 256
	// MaxReports bounds the capacity reports in one word to the leader: 256 KiB at
	// most. At one every AgesEvery that is far more than hosts send.
	MaxReports = 256
	// MaxServed bounds what hosts serve in one word to the leader, 50 bytes each.
	MaxServed = 2048
	// MaxEntryWords bounds the hosts of which a word tells what they say of entry addresses.
	MaxEntryWords = 64
	// RoutesGather is how long words about hosts that came to the newest routes are apart at
	// least: hosts come at about the same time, and a view of many of them costs the leader 5 ms.
	RoutesGather = 10 * time.Millisecond
	// MaxTraffic bounds the target groups in one word to the leader, 200 bytes each and more:
	// all that can be watched are told within a second.
	MaxTraffic = 64

	// maxSumRevisions bounds the revisions of one group in the sums of a voter, and of the
	// leader.
	maxSumRevisions = 64
	// maxSuspectAfter bounds how far a jittery host stretches it.
	maxSuspectAfter = 5 * time.Second
	// slowAge is the age from which a stream is told by name.
	slowAge = 400 * time.Millisecond
	// clockStep is how far a host's clock moves before it is told again: far less
	// than what leaders hand over for (2 s).
	clockStep = 250 * time.Millisecond
	// maxClockOff bounds what a clock may be off by: nothing overflows.
	maxClockOff = 100 * 365 * 24 * time.Hour
	// voterOverdue is when a voter's word about its streams is old.
	voterOverdue = 600 * time.Millisecond
	// goneKept is how long a voter remembers streams that ended.
	goneKept = 10 * time.Minute
)
