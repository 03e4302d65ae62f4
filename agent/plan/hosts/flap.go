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

// explainFlaps says why a host that comes and goes is not believed yet, and
// clears that once it is back or lost.
func (p *planner) explainFlaps(host *fleet.Host) {
	subject := fleet.HostSubject(host.ID)
	if host.State != fleet.HostSilent || host.Flaps == 0 {
		p.out.ClearCondition(p.in, By, subject)
		return
	}
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
