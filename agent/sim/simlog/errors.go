package simlog

import (
	"errors"
	"slices"
)

// Sentinels, as in raftfsm.
var (
	// ErrNotLeader: nothing was put into the log.
	ErrNotLeader = errors.New("not the leader")
	// ErrUnknown: it may or may not be committed, now or later.
	ErrUnknown = errors.New("outcome unknown")
	// ErrStalled: the disk does not answer; nothing was put into the log.
	ErrStalled = errors.New("disk stalled")
	// ErrDiskFull: the disk takes nothing; nothing was put into the log.
	ErrDiskFull = errors.New("disk is full")
	// ErrBusy: too many proposals wait; nothing was put into the log.
	ErrBusy = errors.New("too many proposals wait")
	// ErrTooLarge: the items do not fit into one entry.
	ErrTooLarge = errors.New("too large for one entry")
	// ErrUnencodable: a command could not be read back; nothing was put into the log.
	ErrUnencodable = errors.New("command cannot be written to the log")
	// ErrClosed: the node is closed; nothing was put into the log.
	ErrClosed = errors.New("node is closed")

	// ErrUnreadable: another build wrote what this one must not read.
	ErrUnreadable = errors.New("written by a newer build")

	// ErrExists: there is a configuration already.
	ErrExists = errors.New("raft configuration exists already")
	// ErrWiped: this RaftID had a log here and it is gone. It never votes again.
	ErrWiped = errors.New("log of this raft id is gone")
	// ErrOtherID: the disk holds the log of another RaftID.
	ErrOtherID = errors.New("log of another raft id")
	// ErrLocked: another node has the log open.
	ErrLocked = errors.New("log is in use by another process")

	errNobody   = errors.New("there is no voter to hand leadership to")
	errNoVoters = errors.New("no voter would be left")
)

// NotProposed reports whether an error of Propose says that nothing was done and
// nothing will be; see lead.Config.
func NotProposed(err error) bool {
	return !errors.Is(err, ErrUnknown) &&
		slices.ContainsFunc([]error{ErrNotLeader, ErrStalled, ErrDiskFull, ErrBusy, ErrTooLarge, ErrUnencodable, ErrClosed},
			func(s error) bool { return errors.Is(err, s) })
}
