package link

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Preferred orders voters for a host: those that vote, by rendezvous hash, so
// that hosts spread evenly and few move when a voter comes or goes; the host
// itself last, since a stream to itself dies with it and shows nobody anything.
// When none votes yet, all are tried.
func Preferred(self fleet.HostID, r trust.Roster) []fleet.HostID {
	var hosts []fleet.HostID
	for _, v := range r.Voters {
		if v.Voting {
			hosts = append(hosts, v.Host)
		}
	}
	if len(hosts) == 0 {
		for _, v := range r.Voters {
			hosts = append(hosts, v.Host)
		}
	}
	slices.SortFunc(hosts, func(a, b fleet.HostID) int {
		if (a == self) != (b == self) {
			if a == self {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(protocol.Hash(string(self), string(b)), protocol.Hash(string(self), string(a))),
			cmp.Compare(a, b))
	})
	return hosts
}

// passOver keeps a voter from being asked again at once.
func (m *Machine) passOver(now time.Duration, err error, was phase) {
	p := m.passedOf(m.voter)
	p.tries++
	wait := m.backoff(p.tries)
	switch {
	case errors.Is(err, fleet.ErrForgotten), errors.Is(err, fleet.ErrAgentTooOld),
		errors.Is(err, trust.ErrRevoked), errors.Is(err, trust.ErrWrongKey):
		wait = refusedBackoff
	case errors.Is(err, protocol.ErrNotHere):
		wait = notVoterPause
	case errors.Is(err, fleet.ErrOldSession):
		wait = 0 // it has answered well
	case was == phaseUp:
		wait = max(wait, VoterSilence) // another one first
	}
	p.until, p.failed = now+wait, now
}

func (m *Machine) backoff(tries int) time.Duration {
	return m.jitter(min(BackoffMost, backoffBase<<min(tries, 10)))
}

// other reports whether there is another voter to try now.
func (m *Machine) other(now time.Duration, roster trust.Roster, fresh bool) bool {
	for _, v := range Preferred(m.self, roster) {
		p := m.passed[v]
		if v == m.voter || p != nil && (now < p.until || fresh && now < p.stale) {
			continue
		}
		return true
	}
	return false
}

func (m *Machine) passedOf(voter fleet.HostID) *passedOver {
	p := m.passed[voter]
	if p == nil {
		p = &passedOver{}
		m.passed[voter] = p
	}
	return p
}

// choose takes the first voter by preference that may be asked. One that failed of
// late comes after those that did not, and after those that failed before it: a
// dial that times out takes longer than a back-off, and two voters that are gone
// would be asked in turn for ever. One whose leader was old is asked only when all
// others are.
func (m *Machine) choose(now time.Duration, roster trust.Roster) (fleet.HostID, bool) {
	var best fleet.HostID
	var bestFailed time.Duration
	bestStale := false
	for _, v := range Preferred(m.self, roster) {
		var failed time.Duration
		stale := false
		if p := m.passed[v]; p != nil {
			if now < p.until {
				continue
			}
			if stale = now < p.stale; now-p.failed < failedFor {
				failed = p.failed
			}
		}
		if best == "" || bestStale && !stale || bestStale == stale && failed < bestFailed {
			best, bestFailed, bestStale = v, failed, stale
		}
	}
	return best, best != ""
}

// nextChance is when the first voter may be asked again.
func (m *Machine) nextChance(now time.Duration, roster trust.Roster) time.Duration {
	next := now + BackoffMost
	for _, v := range Preferred(m.self, roster) {
		if p := m.passed[v]; p != nil {
			next = min(next, p.until)
		}
	}
	return max(next, now+time.Millisecond)
}
