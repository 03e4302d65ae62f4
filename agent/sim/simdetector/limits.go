package simdetector

import "time"

// The times of agent/peer, where their reasons are.
const (
	beatUp         = 250 * time.Millisecond
	suspectAfter   = 600 * time.Millisecond
	neverSeenAfter = 3 * time.Second
	starvedFactor  = 3
	agesEvery      = 250 * time.Millisecond
	watchEvery     = 50 * time.Millisecond
	maxWitnesses   = 3
	probeLeast     = 100 * time.Millisecond
	probeMost      = 300 * time.Millisecond
	vetoWithin     = 300 * time.Millisecond
	gossipPing     = 500 * time.Millisecond // a ring's member pings one other each
	hungAfter      = 10 * time.Second
	againAnswered  = time.Second
	againSilent    = 5 * time.Second
	againUnclear   = 500 * time.Millisecond
	livenessEvery  = 100 * time.Millisecond
	// maxUnfound is how often silence is asked about while nothing changes.
	maxUnfound = 16
	// sendAgesAfter is how long after a tick its changes are told, all at once.
	sendAgesAfter = time.Millisecond
	never         = time.Duration(1 << 62)
)
