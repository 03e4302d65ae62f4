package hosts

import (
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// flaps is what Host.Flaps becomes with another silence of a host that is ready.
func (p *planner) flaps(host *fleet.Host) int {
	if host.SilentSince == 0 || p.in.Now.Sub(host.StateSince) >= FlapWindow {
		return 0
	}
	return min(host.Flaps+1, fleet.MaxFlaps)
}

// returnAfter is how long a silent host must be heard without a break to be back.
func returnAfter(host *fleet.Host) time.Duration {
	if host.Flaps == 0 {
		return ReturnAfter
	}
	hold := ReturnFlapping
	for range host.Flaps - 1 {
		if hold = min(2*hold, ReturnMost); hold == ReturnMost {
			break
		}
	}
	return hold
}

// heardFor is how long a host has been heard in the session that State has.
func (p *planner) heardFor(host *fleet.Host, liveness plan.HostLiveness) time.Duration {
	return min(liveness.For, p.in.Now.Sub(max(host.SilentSince, host.Session.Since)))
}

// explain says why a host that comes and goes is not believed yet, and that the agent
// of one that is there does not answer. It clears that once the cause has ended.
func (p *planner) explain(host *fleet.Host, liveness plan.HostLiveness) {
	subject := fleet.HostSubject(host.ID)
	row := p.in.State.Condition(subject, By)
	down := row != nil && row.Code == plan.CodeAgentDown
	switch {
	case host.State == fleet.HostSilent && host.Flaps > 0:
		p.explainFlaps(host, subject)
	case host.State != fleet.HostReady:
		p.out.ClearCondition(p.in, By, subject)
	case liveness.Liveness == plan.LivenessRefused && !down:
		if p.refused(host, liveness) >= AgentNews && !p.gone(host, liveness) {
			p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeAgentDown, Message: fmt.Sprintf(
				"the agent of %s refuses connections and its machine answers: its tasks run on, and are replaced after %s of this",
				host.Name, p.agentDownAfter())})
		}
	case liveness.Liveness == plan.LivenessAlive && down:
		if left := AgentNews - p.answersFor(host, liveness); left > 0 {
			p.out.WakeAt(p.in.Now.Add(left), subject)
			return
		}
		p.out.EndCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeAgentBack, Message: fmt.Sprintf(
			"the agent of %s answers again", host.Name)})
	case !down:
		p.out.ClearCondition(p.in, By, subject)
	}
}

// answersFor is how long a host's agent has answered in its present session.
func (p *planner) answersFor(host *fleet.Host, liveness plan.HostLiveness) time.Duration {
	return min(liveness.For, p.in.Now.Sub(host.Session.Since))
}

func (p *planner) explainFlaps(host *fleet.Host, subject fleet.Subject) {
	p.out.SetCondition(p.in, By, fleet.PutCondition{Subject: subject, Code: plan.CodeFlapping, Message: fmt.Sprintf(
		"%s comes and goes: %s within %s of its return, so it is not believed back until it is heard for %s without a break",
		host.Name, times(host.Flaps), FlapWindow, returnAfter(host))})
}

func times(silences int) string {
	if silences == 1 {
		return "it fell silent"
	}
	return fmt.Sprintf("it fell silent %d times in a row", silences)
}
