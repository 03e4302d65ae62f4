package peer

import "time"

// Calls.
const (
	headerTime  = 5 * time.Second
	maxInFlight = 1024 // calls served at once; a call costs a goroutine and its body
	// maxPerHost keeps one host from using them all; voters carry the batches of
	// thousands of hosts.
	maxPerHost  = 32
	maxPerVoter = 256
	// maxConnsPerHost bounds the rpc connections of one certificate: a voter's
	// calls in flight and its idle ones.
	maxConnsPerHost = maxPerVoter + 64
	// joinInFlight bounds newcomers being served, joinsPerSecond those whose token
	// is good: each costs a commit and a signature.
	joinInFlight   = 16
	joinsPerSecond = 20
	// doubtsPerSecond bounds how often an unknown token has this voter ask whether
	// it is behind: strangers may show as many as they like.
	doubtsPerSecond = 20
	// joinBodyTime bounds how long a newcomer takes to say what it wants.
	joinBodyTime = 5 * time.Second
	// servedWithin is how long a port that ends waits for calls whose connections it has
	// closed: what they wait for ends with these.
	servedWithin = 3 * time.Second

	smallBody   = 64 << 10  // sessions, probes, hand-over
	reportBody  = 384 << 10 // with intake.GatherBytes still one entry of the log (512 KiB)
	proposeBody = 1 << 20   // one entry, and room
	agesBody    = 2 << 20   // 10,000 hosts of 30 bytes, in five lists, and the reports
	apiBody     = 1 << 20   // the API's own limit
)

// Streams. Source: cmd/skein/DESIGN.md "Streams".
const (
	// streamSilence ends a stream from which nothing comes; its host is long
	// suspect by then.
	streamSilence = 5 * time.Second
	// writeTime ends a stream that does not take what it is sent. Only one frame
	// is ever under way: what changes meanwhile is in State, not in a queue.
	writeTime = 5 * time.Second
	// newStreams is how many streams a voter takes up per second: a handshake
	// costs 1.2 ms of a core.
	newStreams = 200
)

// Reports; how they are gathered is in agent/peer/intake.
const (
	// maxReportTasks bounds one report; a host sends the rest in the next.
	maxReportTasks = 512
)

// Failure detector; its own rules are in agent/peer/detector.
const (
	// clockEvery is how old the median of the fleet's clocks may be that a leader
	// tells, and clockKept how long a voter goes by the last that it was told.
	clockEvery = 2 * time.Second
	clockKept  = 10 * time.Second
	// probeTries are the tries of a witness's dial.
	probeTries = 2
	// probeCall is probeTime and the way there and back.
	probeCall = 600 * time.Millisecond
	// knowEvery is how often the hosts and voters of State are looked through.
	knowEvery = time.Second
)

// Renewals of certificates.
const (
	renewTime  = 10 * time.Second
	renewAgain = time.Minute // pace of renewals that fail
)
