package protocol

import (
	"math"
	"time"
)

// Never is later than everything: when what nobody waits for is due.
const Never = time.Duration(math.MaxInt64)

// GoneAfter without an acknowledgement by its kernel, a machine is gone as far as a
// connection goes: twice what its peers need to see that it is silent.
const GoneAfter = 2 * time.Second

// Times of the failure detector. Source: cmd/skein/DESIGN.md "Silence". The port's
// detector and the simulator's go by the same.
const (
	// SuspectAfter without a byte a host is suspect: two beats and a bit.
	SuspectAfter = 600 * time.Millisecond
	// StarvedFactor slows suspicion down when the observer itself is late.
	StarvedFactor = 3
	// NeverSeenAfter is when a host that no voter has a stream of becomes
	// suspect, and one whose voter died: it needs the time to find another.
	NeverSeenAfter = 3 * time.Second
	// AgesEvery is how often a voter tells the leader the ages of its streams.
	AgesEvery = 250 * time.Millisecond
	// WatchEvery is how often ages are looked at while a host may turn suspect or the
	// fleet has a young leader or none; WatchSeldom is how often else.
	WatchEvery  = 50 * time.Millisecond
	WatchSeldom = 2 * WatchEvery
	// MaxWitnesses are asked about one suspect.
	MaxWitnesses = 3
	// ProbeTry bounds one try of a witness's dial, ProbeTime all of them.
	ProbeTry  = 100 * time.Millisecond
	ProbeTime = 300 * time.Millisecond
	// VetoWithin is how recent an answer by gossip overrules silent witnesses: a
	// host that died with its last beat has been dead longer by then.
	VetoWithin = 300 * time.Millisecond
	// HungAfter: a machine that takes connections but says nothing for so long
	// has an agent that is as good as down; and what starved witnesses say counts
	// from then on, slower but not never.
	HungAfter = 10 * time.Second
	// What witnesses said is asked again after these.
	AgainAnswered = time.Second
	AgainSilent   = 5 * time.Second
	AgainUnclear  = 500 * time.Millisecond
	// LivenessEvery is how often at most the leader's view is made anew.
	LivenessEvery = 100 * time.Millisecond
)
