package raftfsm

import "errors"

// Sentinels of Open. None of them is cured by trying the same folder again.
var (
	// ErrLogDamaged: the log or all snapshots cannot be trusted. The file has been
	// set aside; the host runs on without a vote and comes back under a new RaftID.
	ErrLogDamaged = errors.New("log is damaged")
	// ErrWiped: this RaftID had a log here and it is gone, so it may have voted in
	// ways nobody remembers. It never votes again; the keeper gives the host a new one.
	ErrWiped = errors.New("log of this raft id is gone")
	// ErrLocked: another process has the log open.
	ErrLocked = errors.New("log is in use by another process")
	// ErrUnreadable: an entry was written by a newer version of Skein.
	ErrUnreadable = errors.New("entry is unreadable to this version, upgrade skein on this host")
)

// MayPass reports whether an error of Open may be gone at the next try: the disk did not
// answer as it should, which says nothing of what is on it.
func MayPass(err error) bool {
	for _, final := range []error{ErrLogDamaged, ErrWiped, ErrLocked, ErrUnreadable} {
		if errors.Is(err, final) {
			return false
		}
	}
	return err != nil
}

// Sentinels of proposals and membership changes.
var (
	// ErrNotLeader: nothing was put into the log. Ask the leader.
	ErrNotLeader = errors.New("not the leader")
	// ErrUnknown: it may or may not be committed, now or later. Only the same
	// receipt makes another try safe.
	ErrUnknown = errors.New("outcome unknown")
	// ErrStalled: the disk did not take an entry in time; nothing was put into the log.
	ErrStalled = errors.New("disk stalled")
	// ErrBusy: too many proposals wait; nothing was put into the log.
	ErrBusy = errors.New("too many proposals wait")
	// ErrTooLarge: the items do not fit into one entry; nothing was put into the log.
	ErrTooLarge = errors.New("too large for one entry")
	// ErrUnencodable: a command has no form in the log that could be read back;
	// nothing was put into the log.
	ErrUnencodable = errors.New("command cannot be written to the log")
	// ErrClosed: the node is closed; nothing was put into the log.
	ErrClosed = errors.New("node is closed")
	// ErrExists: there is a configuration already.
	ErrExists = errors.New("raft configuration exists already")
)

// NotDone reports whether an error of Propose says that nothing was done and
// nothing will be. Of any other error the outcome is unknown.
func NotDone(err error) bool {
	if errors.Is(err, ErrUnknown) {
		return false // whatever else it says
	}
	for _, sentinel := range []error{ErrNotLeader, ErrStalled, ErrBusy, ErrTooLarge, ErrUnencodable, ErrClosed} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

// ErrDiskFull is why a write failed, or why the ballast was given up.
var ErrDiskFull = errors.New("disk is full")
