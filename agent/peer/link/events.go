package link

import (
	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Event is something that happened to a link: one of the types below. Results
// carry the attempt that they belong to.
type Event interface{ event() }

// The events.
type (
	// Tick says that it is time to look.
	Tick struct{}
	// SessionOpened answers OpenSession.
	SessionOpened struct {
		Attempt uint64
		Grant   protocol.SessionGrant
		Err     error
	}
	// Dialled answers Dial: the stream is open, or not.
	Dialled struct {
		Attempt uint64
		Err     error
	}
	// FrameCame is a frame of the stream.
	FrameCame struct {
		Attempt uint64
		Frame   stream.VoterFrame
	}
	// FrameTaken answers Deliver: the host has taken the frame, or refuses it.
	FrameTaken struct {
		Attempt uint64
		Frame   stream.VoterFrame
		Err     error
	}
	// StreamEnded says that the stream's connection ended.
	StreamEnded struct {
		Attempt uint64
		Err     error
	}
	// SessionEnded says that a report was refused since its session is over.
	SessionEnded struct{ Session uint64 }
)

func (Tick) event()          {}
func (SessionOpened) event() {}
func (Dialled) event()       {}
func (FrameCame) event()     {}
func (FrameTaken) event()    {}
func (StreamEnded) event()   {}
func (SessionEnded) event()  {}

// Effect is something that the caller of a machine is to do: one of the types
// below.
type Effect interface{ effect() }

// The effects.
type (
	// OpenSession asks a voter for a session; what was under way before ends.
	OpenSession struct {
		Attempt uint64
		Voter   fleet.HostID
	}
	// Dial opens a stream at a voter; what was under way before ends.
	Dial struct {
		Attempt uint64
		Voter   fleet.HostID
		At      stream.Position
	}
	// Deliver gives a frame to the host. The answer is the next event.
	Deliver struct {
		Attempt uint64
		Frame   stream.VoterFrame
	}
	// HangUp ends the stream that is up.
	HangUp struct{ Why error }
	// KeepRoster remembers the fleet's voters.
	KeepRoster struct{ Roster trust.Roster }
	// AskRoster asks a host that votes no more who does, and has the answer kept. It was
	// trusted with that when it did, and this host may have been away while all voters
	// that it knows were replaced.
	AskRoster struct{ Of fleet.HostID }
	// TellSession says that a session is open: all is to be reported again.
	TellSession struct{ Session uint64 }
	// Note says why a voter does not serve this host.
	Note struct {
		Voter fleet.HostID
		Err   error
	}
)

func (OpenSession) effect() {}
func (Dial) effect()        {}
func (Deliver) effect()     {}
func (HangUp) effect()      {}
func (KeepRoster) effect()  {}
func (AskRoster) effect()   {}
func (TellSession) effect() {}
func (Note) effect()        {}
