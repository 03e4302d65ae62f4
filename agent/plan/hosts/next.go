package hosts

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// By names this planner in events and conditions.
const By = "hosts"

// Next plans the lives of the hosts in scope, in the order of their ids.
//
// A plan without commands means that State agrees with what is seen of every host, or
// that nothing certain is known. Equal inputs give equal plans. Source:
// cmd/skein/DESIGN.md "Silence".
func Next(in plan.Input) plan.Plan {
	p := planner{in: in, settings: in.State.Fleet().Settings}
	if in.Scope.Full {
		for host := range in.State.Hosts() {
			p.visit(host)
		}
	} else {
		for id := range in.Scope.Hosts() {
			if host := in.State.Host(id); host != nil {
				p.visit(host)
			}
		}
	}
	p.brake()
	return p.out
}

type planner struct {
	in       plan.Input
	settings fleet.Settings
	out      plan.Plan
	silence  []*fleet.Host // to be silenced, unless a brake holds
	lose     []*fleet.Host // to be lost, unless a brake holds
}

func (p *planner) visit(host *fleet.Host) {
	liveness := p.in.Liveness.Of(host.ID)
	p.explain(host, liveness)
	switch host.State {
	case fleet.HostReady:
		p.ready(host, liveness)
	case fleet.HostSilent:
		p.silent(host, liveness)
	case fleet.HostLost:
		p.expire(host) // it comes back with a new session
	case fleet.HostJoining, fleet.HostForgotten:
	}
}

func (p *planner) ready(host *fleet.Host, liveness plan.HostLiveness) {
	switch {
	case liveness.Liveness == plan.LivenessSuspect:
		p.ask(host)
	case p.gone(host, liveness) && p.arrived(host, liveness):
		// Its session says that it is here; the silence is of the time before.
		p.out.WakeAt(lastArrival(host).Add(ArrivalGrace), fleet.HostSubject(host.ID))
	case p.gone(host, liveness):
		p.silence = append(p.silence, host)
	case liveness.Liveness == plan.LivenessRefused:
		after := p.agentDownAfter()
		if refused := p.refused(host, liveness); refused < AgentNews {
			after = min(after, AgentNews)
		}
		p.out.WakeAt(p.in.Now.Add(after-p.refused(host, liveness)), fleet.HostSubject(host.ID))
	}
}

func (p *planner) silent(host *fleet.Host, liveness plan.HostLiveness) {
	if liveness.Liveness == plan.LivenessAlive {
		if liveness.Session == host.Session.N {
			p.heardAgain(host, liveness)
		}
		return // alive in another session, or by a witness's word: its session, or its stream, follows
	}
	if p.in.Now < p.lostAt(host) {
		return // State.Due brings it back
	}
	if unheard := liveness.Age; host.Flaps > 0 && unheard >= 0 && unheard < p.lostAfter() {
		p.out.WakeAt(p.in.Now.Add(p.lostAfter()-unheard), fleet.HostSubject(host.ID))
		return // it comes and goes: it was heard since
	}
	switch liveness.Liveness {
	case plan.LivenessSilent, plan.LivenessRefused:
		p.lose = append(p.lose, host)
	default:
		p.ask(host) // recorded silence is not proof of silence now
	}
}

// heardAgain records that a host is back once it has been heard for long enough in
// the session it had. One that restarted its agent returns by OpenSession instead,
// unless it comes and goes.
func (p *planner) heardAgain(host *fleet.Host, liveness plan.HostLiveness) {
	if left := returnAfter(host) - p.heardFor(host, liveness); left > 0 {
		p.out.WakeAt(p.in.Now.Add(left), fleet.HostSubject(host.ID))
		return
	}
	if !p.out.Full() {
		p.add(fleet.ReturnHost{Host: host.ID, Session: host.Session.N}, "")
	}
}

// expire declares what was left on a lost host stopped.
func (p *planner) expire(host *fleet.Host) {
	if p.out.Full() {
		return
	}
	for task := range p.in.State.HeldBy(host.ID) {
		if !task.Stopped() {
			p.add(fleet.ExpireTasks{Host: host.ID}, "")
			return
		}
	}
}

func (p *planner) ask(host *fleet.Host) {
	if len(p.out.Probes) < MaxProbes {
		p.out.Probes = append(p.out.Probes, host.ID)
	}
	p.out.WakeAt(p.in.Now.Add(AskAgain), fleet.HostSubject(host.ID))
}

// gone reports whether a host's silence is certain.
func (p *planner) gone(host *fleet.Host, liveness plan.HostLiveness) bool {
	return liveness.Liveness == plan.LivenessSilent ||
		liveness.Liveness == plan.LivenessRefused && p.refused(host, liveness) >= p.agentDownAfter()
}

// refused is how long a host's agent has been down: it was up when it opened its
// session, whatever was seen before.
func (p *planner) refused(host *fleet.Host, liveness plan.HostLiveness) time.Duration {
	return min(liveness.For, p.in.Now.Sub(host.Session.Since))
}

// arrived reports whether a host came, or came back, so lately that what is seen
// of it is older: the fleet heard it open its session, and its stream follows.
func (p *planner) arrived(host *fleet.Host, liveness plan.HostLiveness) bool {
	here := p.in.Now.Sub(lastArrival(host))
	return here < ArrivalGrace && max(liveness.Age, liveness.For) > here
}

// lastArrival is when the fleet last heard a host come: an agent that restarted
// opens a session though its host was never away.
func lastArrival(host *fleet.Host) fleet.Time { return max(host.StateSince, host.Session.Since) }

func (p *planner) agentDownAfter() time.Duration {
	return time.Duration(p.settings.AgentDownAfterMs) * time.Millisecond
}

func (p *planner) lostAt(host *fleet.Host) fleet.Time {
	return host.StateSince.Add(p.lostAfter())
}

func (p *planner) lostAfter() time.Duration {
	return time.Duration(p.settings.LostAfterMs) * time.Millisecond
}

func (p *planner) add(c fleet.Command, reason string) {
	p.out.Add(fleet.Item{Command: c, By: By, Reason: reason})
}

// act carries out what no brake holds: n silences in the order of ids, and all losses.
func (p *planner) act(n int) {
	for _, host := range p.silence[:n] {
		p.add(fleet.SilenceHost{Host: host.ID, Session: host.Session.N, Flaps: p.flaps(host)}, p.whySilent(host))
	}
	for _, host := range p.lose {
		if p.out.Full() {
			return
		}
		p.add(fleet.LoseHost{Host: host.ID, Session: host.Session.N}, "")
		p.expire(host)
	}
}

func (p *planner) whySilent(host *fleet.Host) string {
	liveness := p.in.Liveness.Of(host.ID)
	switch {
	case liveness.Liveness == plan.LivenessRefused:
		return fmt.Sprintf("%s counts as silent: its agent has refused connections for %s", host.Name,
			liveness.For.Round(time.Second))
	case liveness.Age < 0:
		return host.Name + " went silent: never heard by this leader, and no witness reached it"
	default:
		return fmt.Sprintf("%s went silent: no byte for %s, and no witness reached it", host.Name,
			liveness.Age.Round(time.Millisecond))
	}
}

// setCondition writes that a brake holds. A condition with the same code is left as it
// is: its numbers change while hosts come and go.
func (p *planner) setCondition(w fleet.PutCondition) {
	w.Subject = fleet.FleetSubject()
	if row := p.in.State.Condition(w.Subject, By); row == nil || row.Code != w.Code {
		p.out.SetCondition(p.in, By, w)
	}
}

func sortedCounts(counts map[string]int) []fleet.Count {
	out := make([]fleet.Count, 0, len(counts))
	for name, n := range counts {
		out = append(out, fleet.Count{Name: name, N: n})
	}
	slices.SortFunc(out, func(a, b fleet.Count) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
