package peer

import (
	"time"

	"skein/agent/peer/intake"
)

// Listener. Unauthenticated connections must not exhaust memory or descriptors (CVE-2020-7218 is of that class).
const (
	// MaxHalfOpen bounds connections without a verified certificate; joins count
	// for their whole life. A half-open one costs about 30 KiB.
	MaxHalfOpen = 1024
	// MaxHalfOpenPerSource keeps one address from using them all.
	MaxHalfOpenPerSource = 64
	// maxHandshake bounds what a peer may say before it is verified: ten times what
	// two certificates of ours take. Without it a chain may have 256 KiB.
	maxHandshake = 32 << 10
	// drainTime and drainBytes bound what is read from a peer that was refused.
	drainTime  = 200 * time.Millisecond
	drainBytes = 64 << 10
	// maxConnsPerHost bounds the rpc connections of one certificate: a voter's
	// calls in flight and its idle ones.
	maxConnsPerHost = maxPerVoter + 64
	// alpnQueue is how many verified connections may wait for a protocol's
	// server; more means that it is stuck.
	alpnQueue = 256
	// logsPerSecond and logBurst bound lines of one kind about what others do: a
	// scan must not fill the disk. They are counted anyway.
	logsPerSecond = 5
	logBurst      = 20
)

// Calls.
const (
	headerTime  = 5 * time.Second
	idleTime    = 60 * time.Second
	maxHeader   = 32 << 10
	maxInFlight = 1024 // calls served at once; a call costs a goroutine and its body
	// maxPerHost keeps one host from using them all; voters carry the batches of
	// thousands of hosts.
	maxPerHost  = 32
	maxPerVoter = 256
	// joinInFlight bounds newcomers being served, joinsPerSecond those whose token
	// is good: each costs a commit and a signature.
	joinInFlight   = 16
	joinsPerSecond = 20
	// doubtsPerSecond bounds how often an unknown token has this voter ask whether
	// it is behind: strangers may show as many as they like.
	doubtsPerSecond = 20
	// joinBodyTime bounds how long a newcomer takes to say what it wants.
	joinBodyTime = 5 * time.Second

	smallBody   = 64 << 10  // sessions, probes, hand-over
	reportBody  = 384 << 10 // with intake.GatherBytes still one entry of the log (512 KiB)
	proposeBody = 1 << 20   // one entry, and room
	agesBody    = 2 << 20   // 10,000 hosts of 30 bytes, in five lists, and the reports
	apiBody     = 1 << 20   // the API's own limit
	maxAnswer   = 4 << 20

	// callTime bounds any call that is not a stream; a caller's shorter deadline
	// counts.
	callTime = intake.CallTime
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
