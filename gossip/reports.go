package gossip

import (
	"bytes"
	"time"

	"skein/raftfsm/fleet"
)

// retention is how long the report of a host outlives its membership, so that a
// short absence does not empty the tables; buriedFor is how long its tombstone
// then stays, longer than any peer may still hold the report.
const (
	retention = 10 * time.Minute
	buriedFor = time.Hour
)

// reports keeps the newest report of each host. It is a plain value without
// locks or clock.
type reports struct {
	rows map[fleet.HostID]*row
}

type row struct {
	report  fleet.CapacityReport // of a tombstone: host, nonce and seq only
	encoded []byte               // as sent; nil for a tombstone
	at      time.Time            // when it was received
	gone    time.Time            // since when the host is not a member; zero for members
}

func newReports() reports { return reports{rows: make(map[fleet.HostID]*row)} }

// put stores r and a copy of its encoding, unless it does not replace what is
// held or the table is full. nonce is that of the host's session in State, 0 where
// this host has none.
func (t *reports) put(r fleet.CapacityReport, encoded []byte, nonce uint64, member bool, now time.Time) bool {
	held, ok := t.rows[r.Host]
	if ok && !r.Replaces(&held.report, nonce) {
		return false
	}
	if !ok && len(t.rows) >= maxReports {
		return false
	}
	next := &row{report: r, encoded: bytes.Clone(encoded), at: now}
	if !member {
		next.gone = now
		if ok && !held.gone.IsZero() && held.encoded != nil {
			next.gone = held.gone
		}
	}
	t.rows[r.Host] = next
	return true
}

// get returns the newest report of a host.
func (t *reports) get(host fleet.HostID) (r fleet.CapacityReport, at time.Time, ok bool) {
	held, ok := t.rows[host]
	if !ok || held.encoded == nil {
		return fleet.CapacityReport{}, time.Time{}, false
	}
	return held.report, held.at, true
}

// all returns the reports held, in no order.
func (t *reports) all() []fleet.CapacityReport {
	out := make([]fleet.CapacityReport, 0, len(t.rows))
	for _, held := range t.rows {
		if held.encoded != nil {
			out = append(out, held.report)
		}
	}
	return out
}

// state renders push/pull state; what does not fit is left to a later exchange,
// which starts elsewhere since map order is random.
func (t *reports) state() []byte {
	size := 0
	for _, held := range t.rows {
		size += 2 + len(held.encoded)
	}
	out := make([]byte, 0, min(size, maxStateBytes))
	for _, held := range t.rows {
		if held.encoded == nil {
			continue
		}
		if len(out)+2+len(held.encoded) > maxStateBytes {
			break
		}
		out = appendState(out, held.encoded)
	}
	return out
}

// sweep marks hosts that left the ring, buries the reports of those gone for
// long and forgets old tombstones.
func (t *reports) sweep(isMember func(fleet.HostID) bool, now time.Time) {
	for host, held := range t.rows {
		switch {
		case isMember(host):
			held.gone = time.Time{}
		case held.gone.IsZero():
			held.gone = now
		case held.encoded != nil && now.Sub(held.gone) >= retention:
			held.encoded = nil
			held.report = fleet.CapacityReport{Host: host, Nonce: held.report.Nonce, Seq: held.report.Seq}
		case held.encoded == nil && now.Sub(held.gone) >= retention+buriedFor:
			delete(t.rows, host)
		}
	}
}
