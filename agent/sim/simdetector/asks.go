package simdetector

import (
	"maps"
	"slices"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// asks are those about one suspect since anything changed.
type asks struct {
	d        *Detector
	n        int
	first    time.Duration
	answered time.Duration            // the last one
	held     *detector.WitnessRequest // that waits for a change
	again    time.Duration            // how long after an answer it came
}

// ask sends witnesses to a host, or holds the request back while they can find
// nothing else than they did: a leader that waits for an answer asks no more.
func (d *Detector) ask(r detector.WitnessRequest) {
	now := d.m.time.Now()
	a := d.asks[r.Host]
	if a == nil || now-a.answered > protocol.AgainSilent+protocol.WatchEvery {
		a = &asks{d: d, first: now}
		d.asks[r.Host] = a
	}
	a.n++
	silent := now-a.answered > 2*protocol.AgainAnswered // by when it is asked again
	off := silent && d.m.net.Condition(r.Host) == virtual.Off
	if off && a.n > enoughOff || a.n > enoughAsks && now-a.first > enoughTime {
		a.held, a.again = &r, now-a.answered
		return
	}
	a.send(r, 0)
}

func (a *asks) send(r detector.WitnessRequest, wait time.Duration) {
	d := a.d
	if d.m.cfg.AbsenceIsSilence {
		a.answer(r, []detector.Vote{{By: d.leader, Outcome: detector.Silent}}, 1)
		return
	}
	d.asking++
	d.after(wait+d.m.chance.Between(protocol.ProbeTry, protocol.ProbeTime-protocol.WatchEvery), func() {
		d.asking--
		a.answer(r, d.votes(r), r.Needed)
	})
}

func (a *asks) answer(r detector.WitnessRequest, votes []detector.Vote, needed int) {
	d, now := a.d, a.d.m.time.Now()
	silent := func(v detector.Vote) bool { return v.Outcome == detector.Silent }
	if d.m.cfg.OneWitness && slices.ContainsFunc(votes, silent) {
		votes, needed = []detector.Vote{{Outcome: detector.Silent}}, 1
	}
	a.answered = now
	d.watch.Answer(now, r.Host, needed, votes, d.pinged(r.Host))
	d.arm(now)
}

// release has a request that was held back go out within a while.
func (a *asks) release(within time.Duration) {
	if a == nil || a.held == nil {
		return
	}
	r := *a.held
	a.held, a.n, a.first = nil, 1, a.d.m.time.Now()
	a.send(r, a.d.m.chance.Between(0, within))
}

// resetAsks has a host asked about again as it would be in a fleet that looks all
// the time; with no name all are.
func (d *Detector) resetAsks(id fleet.HostID) {
	hosts := []fleet.HostID{id}
	if id == "" {
		hosts = slices.Sorted(maps.Keys(d.asks))
	}
	for _, host := range hosts {
		if a := d.asks[host]; a != nil {
			a.n, a.first = 0, d.m.time.Now()
			a.release(a.again)
		}
	}
}

var outcomes = map[virtual.Reply]detector.Outcome{
	virtual.Connected: detector.Connected, virtual.Refused: detector.Refused, virtual.Silent: detector.Silent,
}

// votes are what witnesses find, of those that the leader reaches.
func (d *Detector) votes(r detector.WitnessRequest) (votes []detector.Vote) {
	for _, w := range r.Witnesses {
		if d.m.net.Linked(d.leader, w) {
			votes = append(votes, detector.Vote{By: w, Outcome: outcomes[d.m.net.Dial(w, r.Host)], Starved: d.m.starved[w]})
		}
	}
	return votes
}

// pinged is how long ago the leader's own ring had an answer of a host: it pings one
// member after another. Negative when that is too long ago to count.
func (d *Detector) pinged(host fleet.HostID) time.Duration {
	others := max(1, d.state().HostCount()-1)
	just := protocol.VetoWithin.Seconds() / gossipPing.Seconds() / float64(others)
	if d.m.net.Linked(d.leader, host) && d.m.chance.Is(just) {
		return 0
	}
	return -1
}
