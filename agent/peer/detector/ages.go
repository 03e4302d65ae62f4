package detector

import "skein/raftfsm/fleet"

// Ages is what a voter tells the leader about its own streams. A full one holds
// all of them; one that is not holds what changed since the one before.
type Ages struct {
	Seq  uint64    `cbor:"1,keyasint"` // rises by one; a gap asks for a full one
	Full bool      `cbor:"2,keyasint,omitempty"`
	Open []OpenAge `cbor:"3,keyasint,omitempty"` // streams opened
	Gone []GoneAge `cbor:"4,keyasint,omitempty"` // streams that ended
	// all open streams older than slowAge; all others are younger
	Slow         []SlowAge      `cbor:"5,keyasint,omitempty"`
	Starved      bool           `cbor:"6,keyasint,omitempty"` // this voter is late itself
	StarvedHosts []fleet.HostID `cbor:"7,keyasint,omitempty"` // all hosts with an open stream that say so
	// Clocks are those of hosts with an open stream against this voter's, once
	// measured, and again when one moved by clockStep.
	Clocks []HostClock `cbor:"8,keyasint,omitempty"`
	// ClockMs is this voter's clock minus the leader's; nil until measured.
	ClockMs *int64 `cbor:"9,keyasint,omitempty"`
	// Reports are capacity reports that came on streams and were not told yet, at
	// most maxAgesReports; the rest is told next.
	Reports []fleet.CapacityReport `cbor:"10,keyasint,omitempty"`
	// Served is what hosts with an open stream serve, of those that had not come to what
	// the leader awaits when they were told of last; at most MaxServed, the rest is told
	// next.
	Served []HostServed `cbor:"11,keyasint,omitempty"`
	// Traffic is what this voter's hosts counted of the groups that are watched, since they
	// are: of those that moved, each whole; at most MaxTraffic, the rest is told next.
	Traffic []fleet.GroupTraffic `cbor:"12,keyasint,omitempty" since:"2,skip"`
	// Entries are the words of all hosts with an open stream that leave or have trouble with
	// an entry address; at most MaxEntryWords. A leader that skips them finds out later.
	Entries []EntryWord `cbor:"13,keyasint,omitempty" since:"2,skip"`
}

// HostServed is how far a host has come.
type HostServed struct {
	Host   fleet.HostID `cbor:"1,keyasint"`
	Served fleet.Served `cbor:"2,keyasint"`
}

// OpenAge is a stream that opened.
type OpenAge struct {
	Host    fleet.HostID `cbor:"1,keyasint"`
	Session uint64       `cbor:"2,keyasint"` // that the stream is of
}

// HostClock is a host's clock minus its voter's.
type HostClock struct {
	Host  fleet.HostID `cbor:"1,keyasint"`
	OffMs int64        `cbor:"2,keyasint,omitempty"`
}

// GoneAge is a stream that ended, and when its host was last heard.
type GoneAge struct {
	Host  fleet.HostID `cbor:"1,keyasint"`
	AgeMs int64        `cbor:"2,keyasint"`
	Cut   bool         `cbor:"3,keyasint,omitempty"` // by the voter
}

// SlowAge is an open stream on which nothing came for a while.
type SlowAge struct {
	Host      fleet.HostID `cbor:"1,keyasint"`
	AgeMs     int64        `cbor:"2,keyasint"`
	SuspectMs int64        `cbor:"3,keyasint"` // when this host becomes suspect
}

// AgesAck is the leader's answer; it is also how a voter knows that its State is
// the newest.
type AgesAck struct {
	NeedFull bool  `cbor:"1,keyasint,omitempty"`
	WallMs   int64 `cbor:"2,keyasint,omitempty"` // the leader's clock, UTC
	// Index is that of the leader's State: who has applied it holds the newest.
	Index uint64 `cbor:"3,keyasint,omitempty"`
	// MedianMs is the median of the fleet's clocks minus the leader's; nil while too
	// few are measured.
	MedianMs *int64 `cbor:"4,keyasint,omitempty"`
	// Await is what the leader wants to hear that hosts serve; zero for nothing.
	Await fleet.Served `cbor:"5,keyasint,omitempty"`
	// Watch are the target groups of which the leader wants to hear, at most
	// plan.MaxWatched; see Streams.Watch. A voter that skips it tells nothing of them.
	Watch []fleet.TargetGroupName `cbor:"6,keyasint,omitempty" since:"2,skip"`
	// ConfirmedMs is how long before this answer a quorum had confirmed that the leader
	// leads, rounded up; nil: not lately. A voter that skips it gives hosts no lease.
	ConfirmedMs *int64 `cbor:"7,keyasint,omitempty" since:"2,skip"`
}
