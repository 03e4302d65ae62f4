package hosts

import (
	"fmt"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// hostCounts is the fleet as the brakes see it.
type hostCounts struct {
	hosts   int            // members that are ready or silent
	unheard int            // of them: silent in State, or not seen alive by this leader
	lately  int            // hosts that fell silent within SilenceWindow
	newest  fleet.Time     // when the newest of them did
	zones   map[string]int // unheard by zone
}

// brake acts as far as the bounds on mass silence allow and says what it holds
// back. It counts the fleet only when something is to be done or to be unsaid.
func (p *planner) brake() {
	standing := p.in.State.Condition(fleet.FleetSubject(), By) != nil
	if len(p.silence) == 0 && len(p.lose) == 0 && !standing {
		return
	}
	c := p.countHosts()
	switch {
	case 2*c.unheard > c.hosts:
		p.cutOff(c)
	case len(p.silence) > 0 && p.watching():
		p.watch()
	case len(p.silence) > 0 && p.awaitsSessions():
		p.out.WakeAt(p.in.Now.Add(AskAgain), fleet.HostSubject(p.silence[0].ID))
	default:
		p.pace(c)
	}
}

// cutOff holds everything: a leader that hears less than half of the fleet is
// more likely to be the one that is cut off. Source: cmd/skein/DESIGN.md "Silence".
func (p *planner) cutOff(c hostCounts) {
	if len(p.silence) == 0 && len(p.lose) == 0 {
		return // the condition stays as it is
	}
	p.setCondition(fleet.PutCondition{Code: plan.CodeLeaderCutOff, Counts: sortedCounts(c.zones), Message: fmt.Sprintf(
		"%d of %d hosts are silent: the leader assumes that it is the one cut off; no host is silenced or lost until half "+
			"are heard (forget those that are gone for good)",
		c.unheard, c.hosts)})
}

func (p *planner) watching() bool {
	return p.in.Liveness.LeaderAge < PowerWatch &&
		powerReturned(p.in.State, p.in.Now, func(*fleet.Host) bool { return false })
}

// awaitsSessions reports whether power may have returned to most hosts, of which some
// have not said so yet: State hears of a boot by its session.
func (p *planner) awaitsSessions() bool {
	return p.in.Liveness.LeaderAge < SessionsWithin && powerReturned(p.in.State, p.in.Now, p.comes)
}

// comes reports whether a host may run and is heard in no session: it is about to open
// one, or to open its stream.
func (p *planner) comes(host *fleet.Host) bool {
	liveness := p.in.Liveness.Of(host.ID)
	return host.State == fleet.HostReady && liveness.Session == 0 &&
		(liveness.Liveness == plan.LivenessAlive || liveness.Liveness == plan.LivenessSuspect)
}

// watch holds silences while a fleet comes back from a power loss: who is not
// up yet is booting.
func (p *planner) watch() {
	until := p.in.Now.Add(PowerWatch - p.in.Liveness.LeaderAge)
	p.setCondition(fleet.PutCondition{Code: plan.CodePowerReturn, Until: until,
		Message: "most hosts have just booted: hosts not heard yet are given time before they are replaced"})
	p.out.WakeAt(until, fleet.HostSubject(p.silence[0].ID))
}

// pace lets hosts fall silent at once up to the quick bound, and beyond it one
// each SlowEvery.
func (p *planner) pace(c hostCounts) {
	quick := max(QuickHosts, c.hosts*QuickPercent/100)
	n := min(len(p.silence), max(0, quick-c.lately))
	if n == 0 && len(p.silence) > 0 && p.in.Now >= c.newest.Add(SlowEvery) {
		n = 1
	}
	p.act(n)
	if n == len(p.silence) {
		p.out.EndCondition(p.in, By, fleet.PutCondition{Subject: fleet.FleetSubject(), Code: plan.CodeSilenceOver,
			Message: "silence is back within bounds"})
		return
	}
	p.setCondition(fleet.PutCondition{Code: plan.CodeMassSilence, Counts: sortedCounts(c.zones), Message: fmt.Sprintf(
		"mass silence, slowed: %d of %d hosts are silent; beyond %d in %s one is replaced every %s",
		c.unheard, c.hosts, quick, SilenceWindow, SlowEvery)})
	next := p.in.Now
	if n == 0 {
		next = c.newest
	}
	p.out.WakeAt(next.Add(SlowEvery), fleet.HostSubject(p.silence[n].ID))
}

// countHosts counts the fleet: O(hosts), so only when it matters.
func (p *planner) countHosts() hostCounts {
	c := hostCounts{zones: map[string]int{}}
	for host := range p.in.State.Hosts() {
		since, fell := p.fellSilent(host)
		if fell && since > p.in.Now.Add(-SilenceWindow) {
			c.lately++
		}
		if fell && since > c.newest {
			c.newest = since
		}
		if host.State != fleet.HostReady && host.State != fleet.HostSilent {
			continue
		}
		c.hosts++
		if p.unheard(host) {
			c.unheard++
			c.zones["zone "+host.Zone]++
		}
	}
	return c
}

// fellSilent returns when a host that is silent or lost fell silent. Rows of lost
// hosts written before State kept it say the latest that it can have been.
func (p *planner) fellSilent(host *fleet.Host) (fleet.Time, bool) {
	switch host.State {
	case fleet.HostSilent:
		return host.StateSince, true
	case fleet.HostLost:
		if host.SilentSince != 0 {
			return host.SilentSince, true
		}
		return host.StateSince - fleet.Time(p.settings.LostAfterMs), true
	default:
		return 0, false
	}
}

// unheard counts suspects too: when a leader is cut off, witnesses confirm one
// host after the other, and the first must not fall before the rest is known.
func (p *planner) unheard(host *fleet.Host) bool {
	liveness := p.in.Liveness.Of(host.ID)
	return liveness.Liveness == plan.LivenessSuspect || p.gone(host, liveness) ||
		host.State == fleet.HostSilent && liveness.Liveness != plan.LivenessAlive
}
