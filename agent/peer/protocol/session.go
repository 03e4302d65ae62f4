package protocol

import (
	"time"

	"skein/agent/trust"
)

const (
	// HandshakeTime ends a handshake that dawdles.
	HandshakeTime = 5 * time.Second
	// HostBeat and VoterBeat are how often either end says that it lives.
	HostBeat  = 250 * time.Millisecond
	VoterBeat = time.Second
)

// SessionGrant is a session opened: what the host quotes from now on, and the
// least it accepts as intent.
type SessionGrant struct {
	Epoch   uint64       `cbor:"1,keyasint"`
	Index   uint64       `cbor:"2,keyasint"`
	Session uint64       `cbor:"3,keyasint"`
	Roster  trust.Roster `cbor:"4,keyasint"`
}
