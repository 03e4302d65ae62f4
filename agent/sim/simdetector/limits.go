package simdetector

import "time"

// Times that only the simulation has; the failure detector's are those of
// agent/peer/protocol.
const (
	gossipPing = 500 * time.Millisecond // a ring's member pings one other each
	// maxUnfound is how often silence is asked about while nothing changes.
	maxUnfound = 16
	// sendAgesAfter is how long after a tick its changes are told, all at once.
	sendAgesAfter = time.Millisecond
	never         = time.Duration(1 << 62)
)
