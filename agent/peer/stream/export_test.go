package stream

import "skein/raftfsm/fleet"

// Ledger is what a stream has sent.
type Ledger = ledger

// Of what fits one frame on the wire.
const (
	PieceDefs    = pieceDefs
	PieceTasks   = pieceTasks
	PieceRemoved = pieceRemoved
)

// FrameOf is the frame that brings a host from what was sent to w.
func (l *ledger) FrameOf(w fleet.Wanted) VoterFrame {
	f := VoterFrame{Kind: KindBeat, Fleet: w.Fleet, Epoch: w.Epoch, Index: w.Index, Session: w.Session}
	whole := !l.begun || l.epoch != w.Epoch || l.session != w.Session
	if whole {
		f.Kind = KindSnapshot
	}
	l.begun, l.epoch, l.index, l.session = true, w.Epoch, w.Index, w.Session
	l.tasks.change(&f, w, whole)
	return f
}

// ResumeWanted makes the ledger that of a host which holds w.
func (l *ledger) ResumeWanted(w fleet.Wanted) {
	l.begun, l.epoch, l.index, l.session = true, w.Epoch, w.Index, w.Session
	l.tasks.sentAll(w)
}
