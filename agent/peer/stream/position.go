package stream

import (
	"fmt"
	"net/url"
	"strconv"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Position is what a host quotes when it opens a stream.
type Position struct {
	Epoch, Index uint64 // the newest intent it has accepted: older is refused
	Session      uint64
	Resume       bool // it holds all its tasks as of (Epoch, Index), in this session
}

// Query is the position in a URL.
func (at Position) Query() string {
	q := url.Values{}
	q.Set("epoch", strconv.FormatUint(at.Epoch, 10))
	q.Set("index", strconv.FormatUint(at.Index, 10))
	q.Set("session", strconv.FormatUint(at.Session, 10))
	q.Set("resume", strconv.FormatBool(at.Resume))
	return q.Encode()
}

// ParsePosition reads what Query made.
func ParsePosition(q url.Values) (at Position, err error) {
	read := func(name string, into *uint64) {
		n, parseErr := strconv.ParseUint(q.Get(name), 10, 64)
		if parseErr != nil && err == nil {
			err = fmt.Errorf("%s is not a number: %w", name, protocol.ErrMalformed)
		}
		*into = n
	}
	read("epoch", &at.Epoch)
	read("index", &at.Index)
	read("session", &at.Session)
	at.Resume = q.Get("resume") == "true"
	return at, err
}

// Reached checks that State is not behind what the host has seen, and that the
// host's session has not ended.
func Reached(st *fleet.State, host fleet.HostID, at Position) error {
	row, h := st.Fleet(), st.Host(host)
	if row == nil || h == nil {
		return fmt.Errorf("%s is not known here yet: %w", host, protocol.ErrBehind)
	}
	if row.Epoch < at.Epoch || row.Epoch == at.Epoch && st.Index() < at.Index {
		return fmt.Errorf("at epoch %d index %d, asked for %d and %d: %w", row.Epoch, st.Index(), at.Epoch, at.Index,
			protocol.ErrBehind)
	}
	if h.Session.N < at.Session {
		return fmt.Errorf("session %d is not seen here yet: %w", at.Session, protocol.ErrBehind)
	}
	if h.Session.N > at.Session {
		return fmt.Errorf("stream of session %d, now %d: %w", at.Session, h.Session.N, fleet.ErrOldSession)
	}
	if h.State == fleet.HostLost {
		// A host without tasks has nothing to report, and would never learn otherwise
		// that only another session brings it back.
		return fmt.Errorf("%s was declared lost, which ended session %d: %w", host, at.Session, fleet.ErrOldSession)
	}
	return nil
}
