package peer

import "skein/agent/peer/protocol"

// Sentinels of calls between agents: those of the protocol.
var (
	ErrNotLeader = protocol.ErrNotLeader
	ErrNoLeader  = protocol.ErrNoLeader
	ErrUnknown   = protocol.ErrUnknown
	ErrStalled   = protocol.ErrStalled
	ErrBusy      = protocol.ErrBusy
	ErrTooLarge  = protocol.ErrTooLarge
	ErrBehind    = protocol.ErrBehind
	ErrForbidden = protocol.ErrForbidden
	ErrNotHere   = protocol.ErrNotHere
	ErrTryOther  = protocol.ErrTryOther
	ErrNoVoter   = protocol.ErrNoVoter
	ErrMalformed = protocol.ErrMalformed
	ErrCloned    = protocol.ErrCloned
)
