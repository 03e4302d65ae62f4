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

// FrameOf is the frame that brings a host from what was sent to w, of which anything
// may have changed.
func (l *ledger) FrameOf(w fleet.Wanted) VoterFrame {
	marks := l.marks
	marks[fleet.WantedTasks]++
	return l.next(w, marks)
}

// ResumeWanted makes the ledger that of a host which holds w.
func (l *ledger) ResumeWanted(w fleet.Wanted) {
	l.tasks.sentAll(w)
	l.sent(w, l.marks)
}
