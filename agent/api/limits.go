package api

import "time"

// Limits, each with its reason. Source of the starting values: the admission
// table of the reliability notes.
const (
	// maxInFlight bounds requests per agent, maxPerCaller those of one address:
	// one impatient client must not take the rest's share. maxOpenInFlight bounds
	// those of the plain listener, whose callers nothing authenticates, apart.
	maxInFlight     = 256
	maxOpenInFlight = 128
	maxPerCaller    = 32
	// Watchers hold a connection for hours, so they are counted apart.
	maxWatchers          = 128
	maxOpenWatchers      = 128
	maxWatchersPerCaller = 16

	// requestTime ends any request but a stream; writes wait for an election
	// within it.
	requestTime = 20 * time.Second
	// electionWait is how long a write waits for a leader: three elections with
	// default timers.
	electionWait = 10 * time.Second
	// retryPause spaces a write's tries while there is no leader: half of it is added to a fail-over.
	retryPause = 50 * time.Millisecond
	// proposeTime bounds one try, so that an unknown outcome leaves time to ask
	// again.
	proposeTime = 4 * time.Second
	// movedTries is how often a change of a row is made again when somebody else
	// changed it in between.
	movedTries = 4
	maxHops    = 6 // worker, voter, two voters between it and the leader, the leader, and once more when the lead moved

	// cutOffAfter is when a voter that hears no leader calls itself cut off: well
	// above an election.
	cutOffAfter = 5 * time.Second

	eventBatch     = 256              // events written before a flush
	heartbeatEvery = 10 * time.Second // keeps proxies from closing a silent stream
	stateEvery     = 250 * time.Millisecond
	// slowWrite is how long a batch may take before its watcher is told to come
	// back; writeTime is when the connection is cut without a word.
	slowWrite = 5 * time.Second
	writeTime = 15 * time.Second
	// maxServiceSeries bounds the labels of a scrape.
	maxServiceSeries = 1000
)
