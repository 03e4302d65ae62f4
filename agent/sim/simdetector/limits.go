package simdetector

import "time"

// Times that only the simulation has; the failure detector's are those of
// agent/peer/protocol and agent/peer/detector.
const (
	gossipPing = 500 * time.Millisecond // a ring's member pings one other each
	// What witnesses find is not asked again while nothing changes: after so many
	// asks, and so long that a machine which hangs has been found to.
	enoughAsks = 16
	enoughOff  = 3 // of a machine without power nobody finds anything else
	enoughTime = 12 * time.Second
	// sendAgesAfter is how long after a tick its changes are told, all at once.
	sendAgesAfter = time.Millisecond
)
