package peer

import (
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Events of the link.
type (
	linkTick   struct{}
	linkOpened struct { // OpenSession answered
		attempt uint64
		grant   SessionGrant
		err     error
	}
	linkDialled struct { // the stream is open, or not
		attempt uint64
		err     error
	}
	linkFrame struct {
		attempt uint64
		frame   VoterFrame
	}
	linkTaken struct { // the frame was delivered
		attempt uint64
		frame   VoterFrame
		err     error
	}
	linkEnded struct {
		attempt uint64
		err     error
	}
	linkOldSession struct{ session uint64 } // a report was refused
)

// Actions of the link.
type (
	doOpen struct { // open a session at voter
		attempt uint64
		voter   fleet.HostID
	}
	doDial struct {
		attempt uint64
		voter   fleet.HostID
		at      position
	}
	doDeliver struct {
		attempt uint64
		frame   VoterFrame
	}
	doClose    struct{ why error } // the stream that is up
	doRoster   struct{ roster trust.Roster }
	doSendAges struct{ session uint64 } // a session is open
	doNote     struct {                 // for the log
		voter fleet.HostID
		err   error
	}
)
