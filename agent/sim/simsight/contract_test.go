package simsight_test

import (
	"slices"
	"testing"
	"time"

	"skein/agent/lead/eyestest"
	"skein/agent/sim/simsight"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestContractOfEyes(t *testing.T) {
	for seed := range uint64(5) {
		eyestest.Eyes(t, func(t *testing.T, run func(*testing.T, eyestest.Fixture)) {
			run(t, newLinks(newRig(t, 5, 3, seed, simsight.Mutants{})).fixture())
		})
	}
}

// links are the hosts' ends of the streams, as agent/peer's Link keeps them: a
// host leaves a voter that it does not hear for 1.5 s.
type links struct {
	*rig
	at map[fleet.HostID]fleet.HostID
}

const (
	voterSilence = 1500 * time.Millisecond
	linkRetry    = 200 * time.Millisecond
)

func newLinks(r *rig) *links {
	l := &links{rig: r, at: map[fleet.HostID]fleet.HostID{}}
	for i := range 5 {
		l.at[name(i+1)] = r.home(i + 1)
	}
	r.net.Watch(func(id fleet.HostID) {
		for i := range 5 {
			l.look(name(i + 1))
		}
		if c := r.net.Condition(id); id != "" && (c == virtual.Down || c == virtual.Off) {
			l.at[id] = ""
		}
	})
	return l
}

func (l *links) look(host fleet.HostID) {
	voter := l.at[host]
	if voter == "" || l.net.Linked(host, voter) {
		return
	}
	l.time.After(voterSilence, func() {
		if l.at[host] == voter && !l.net.Linked(host, voter) && l.net.Condition(host) == virtual.Up {
			l.sights.Closed(host, voter)
			l.at[host] = ""
			l.open(host)
		}
	})
}

// open streams from the first voter that is heard, another than the host itself
// if there is one.
func (l *links) open(host fleet.HostID) {
	if l.at[host] != "" || l.net.Condition(host) != virtual.Up {
		return
	}
	voters := []fleet.HostID{name(1), name(2), name(3)}
	if at := slices.Index(voters, host); at >= 0 {
		voters = append(slices.Delete(voters, at, at+1), host)
	}
	for _, voter := range voters {
		if l.net.Linked(host, voter) {
			l.at[host] = voter
			l.sights.Opened(host, voter)
			return
		}
	}
	l.time.After(linkRetry, func() { l.open(host) })
}

func (l *links) fixture() eyestest.Fixture {
	return eyestest.Fixture{
		Hosts:   []fleet.HostID{name(1), name(2), name(3), name(4), name(5)},
		Eyes:    func() eyestest.Watcher { return l.eyes },
		Changes: func() int { return l.told },
		Voter:   func(h fleet.HostID) fleet.HostID { return l.at[h] },
		Lead: func(h fleet.HostID) {
			for i := range 5 {
				if name(i+1) == h {
					l.lead(i + 1)
				}
			}
		},
		KillMachine: func(h fleet.HostID) { l.net.Set(h, virtual.Off) },
		KillAgent:   func(h fleet.HostID) { l.net.Set(h, virtual.Down) },
		Freeze:      func(h fleet.HostID) { l.net.Set(h, virtual.Frozen) },
		Start: func(h fleet.HostID) {
			switch l.net.Condition(h) {
			case virtual.Frozen:
				l.net.Set(h, virtual.Up)
			case virtual.Off:
				l.net.PowerOn(h)
				fallthrough
			default:
				l.begin(h)
			}
			l.open(h)
		},
		Cut: func(a, b []fleet.HostID) {
			l.net.Cut(a, b)
			l.net.Cut(b, a)
		},
		Heal: l.net.Heal,
		Step: func() { l.run(eyestest.StepTime) },
	}
}
