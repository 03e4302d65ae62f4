package simdetector_test

import (
	"slices"
	"testing"
	"time"

	"skein/agent/lead/detectortest"
	"skein/agent/sim/simdetector"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestContractOfEyes(t *testing.T) {
	for seed := range uint64(5) {
		detectortest.FailureDetector(t, func(t *testing.T, zones string, run func(*testing.T, detectortest.Fixture)) {
			run(t, newLinks(newRigIn(t, zones, 5, 3, seed, simdetector.Mutants{})).fixture())
		})
	}
}

// links are the hosts' ends of the streams, as agent/peer's Link keeps them: a
// host leaves a voter that it does not hear for 1.5 s.
type links struct {
	*rig
	at      map[fleet.HostID]fleet.HostID
	refuses map[fleet.HostID]bool
	index   uint64 // of what they are sent
}

const (
	voterSilence = 1500 * time.Millisecond
	linkRetry    = 200 * time.Millisecond
)

func newLinks(r *rig) *links {
	l := &links{rig: r, at: map[fleet.HostID]fleet.HostID{}, refuses: map[fleet.HostID]bool{}, index: 1}
	for i := range r.n {
		l.at[name(i+1)] = r.home(i + 1)
	}
	l.serve()
	r.net.Watch(func(id fleet.HostID) {
		c := r.net.Condition(id)
		gone := id != "" && (c == virtual.Down || c == virtual.Off)
		if gone {
			l.at[id] = ""
		}
		for i := range r.n {
			host := name(i + 1)
			switch voter := l.at[host]; {
			case voter == "":
			case voter == id && gone:
				r.time.After(voterSilence, func() { l.leave(host, voter) }) // its streams ended with it
			case !r.net.Linked(host, voter):
				r.time.After(voterSilence, func() {
					if !r.net.Linked(host, voter) {
						l.leave(host, voter)
					}
				})
			}
		}
	})
	return l
}

// leave looks for another voter.
func (l *links) leave(host, voter fleet.HostID) {
	switch {
	case l.at[host] != voter:
	case l.net.Condition(host) == virtual.Frozen:
		l.time.After(linkRetry, func() { l.leave(host, voter) })
	case l.net.Condition(host) == virtual.Up:
		l.membership.Closed(host, voter)
		l.at[host] = ""
		l.open(host)
	}
}

// open streams from the first voter that is heard, another than the host itself
// if there is one.
func (l *links) open(host fleet.HostID) {
	if l.at[host] != "" || l.net.Condition(host) != virtual.Up {
		return
	}
	var voters []fleet.HostID
	for i := range l.voters {
		voters = append(voters, name(i+1))
	}
	if at := slices.Index(voters, host); at >= 0 {
		voters = append(slices.Delete(voters, at, at+1), host)
	}
	for _, voter := range voters {
		if l.net.Linked(host, voter) {
			l.at[host] = voter
			l.membership.Opened(host, voter, l.session(host))
			return
		}
	}
	l.time.After(linkRetry, func() { l.open(host) })
}

func (l *links) session(h fleet.HostID) uint64 { return l.state.Host(h).Session.N }

// begin has an agent run that opens a session.
func (l *links) begin(h fleet.HostID) {
	l.rig.begin(h)
	row := l.state.Host(h)
	l.do(fleet.OpenSession{Host: h, Boot: "boot-1", Nonce: row.Session.Nonce + 1, Addr: row.Addr, Zone: row.Zone,
		Capacity: row.Capacity})
	l.do(fleet.Report{Host: h, Session: l.session(h), Seq: 1,
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
}

// start has a machine and its agent run, whatever was done to them.
func (l *links) start(h fleet.HostID) {
	switch l.net.Condition(h) {
	case virtual.Frozen:
		l.net.Set(h, virtual.Up)
	case virtual.Off:
		l.net.PowerOn(h)
		l.begin(h)
	case virtual.Down:
		l.begin(h)
	case virtual.Up:
	}
	l.open(h)
}

// serve has hosts take what they are sent, unless they refuse it.
func (l *links) serve() {
	for h := range l.at {
		if !l.refuses[h] {
			l.membership.SetServed(h, fleet.ServedAt(1, l.index))
		}
	}
}

func (l *links) fixture() detectortest.Fixture {
	return detectortest.Fixture{
		Hosts:       []fleet.HostID{name(1), name(2), name(3), name(4), name(5)},
		Detector:    func() detectortest.Watcher { return l.detector },
		Changes:     func() int { return l.told },
		Voter:       func(h fleet.HostID) fleet.HostID { return l.at[h] },
		Session:     l.session,
		Lead:        l.leadHost,
		KillMachine: func(h fleet.HostID) { l.net.Set(h, virtual.Off) },
		KillAgent:   func(h fleet.HostID) { l.net.Set(h, virtual.Down) },
		Freeze:      func(h fleet.HostID) { l.net.Set(h, virtual.Frozen) },
		Start:       l.start,
		Cut: func(a, b []fleet.HostID) {
			l.net.Cut(a, b)
			l.net.Cut(b, a)
		},
		Heal:     l.net.Heal,
		Starve:   l.membership.Starve,
		SetClock: l.membership.SetClock,
		Commit: func() fleet.Served {
			l.index++
			l.time.After(time.Millisecond, l.serve)
			return fleet.ServedAt(1, l.index)
		},
		Refuse: func(h fleet.HostID, refuses bool) {
			l.refuses[h] = refuses
			l.serve()
		},
		Step: func() { l.run(detectortest.StepTime) },
	}
}
