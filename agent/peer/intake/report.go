package intake

import (
	"fmt"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// Known reports whether State has a report already, so that it is acknowledged
// without an entry. An error says that it is not to be committed: ErrBehind where this
// State has not come to its session yet, fleet.ErrOldSession where it is over. That is
// told without the log's help: two agents with one identity must not fill it.
func Known(st *fleet.State, r fleet.Report) (bool, error) {
	h := st.Host(r.Host)
	switch {
	case h == nil || h.Session.N < r.Session:
		return false, fmt.Errorf("session %d of %s is not seen here yet: %w", r.Session, r.Host, protocol.ErrBehind)
	case h.Session.N > r.Session:
		return false, fmt.Errorf("report in session %d, now %d: %w", r.Session, h.Session.N, fleet.ErrOldSession)
	}
	return r.Seq <= h.ReportSeq, nil
}
