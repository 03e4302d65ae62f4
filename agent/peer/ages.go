package peer

import "skein/raftfsm/fleet"

// Ages is what a voter tells the leader about its own streams. A full one holds
// all of them; one that is not holds what changed since the one before.
type Ages struct {
	Seq          uint64         `cbor:"1,keyasint"` // rises by one; a gap asks for a full one
	Full         bool           `cbor:"2,keyasint,omitempty"`
	Open         []fleet.HostID `cbor:"3,keyasint,omitempty"` // streams opened
	Gone         []GoneAge      `cbor:"4,keyasint,omitempty"` // streams that ended
	Slow         []SlowAge      `cbor:"5,keyasint,omitempty"` // all open streams older than slowAge; all others are younger
	Starved      bool           `cbor:"6,keyasint,omitempty"` // this voter is late itself
	StarvedHosts []fleet.HostID `cbor:"7,keyasint,omitempty"` // all hosts with an open stream that say so
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

// AgesAck is the leader's answer; it is also how a voter knows that a leader
// lives.
type AgesAck struct {
	NeedFull bool `cbor:"1,keyasint,omitempty"`
}
