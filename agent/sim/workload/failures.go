package workload

import (
	"time"

	"skein/agent/sim/virtual"
)

// FailureRates say how often things break: the mean time between two failures
// of one of a kind. 0: never.
type FailureRates struct {
	Host   time.Duration // of each host
	Zone   time.Duration // of any zone
	Agent  time.Duration // of the agent of each host
	Reboot time.Duration // until a host that only rebooted is back
	Repair float64       // share of host failures that need hands
	Hands  Lifetime      // how long those take; Share is not looked at
	Outage Lifetime      // how long a zone is away; Share is not looked at
}

// HostFails is a machine that loses power and comes back after a while.
type HostFails struct {
	Host  int // of those that were drawn
	After time.Duration
}

// ZoneFails is all machines of a zone losing power at once.
type ZoneFails struct {
	Zone  string
	After time.Duration
}

// AgentCrashes is an agent that ends; whoever supervises it starts it again.
type AgentCrashes struct{ Host int }

func (HostFails) event()    {}
func (ZoneFails) event()    {}
func (AgentCrashes) event() {}

// Failures is the stream of HostFails, ZoneFails and AgentCrashes.
type Failures struct {
	arrivals
	rates FailureRates
	hosts int
	zones []string
}

// NewFailures makes the stream for machines. A machine that is down can fail
// again: who applies the events leaves that out.
func NewFailures(c *virtual.Chance, machines []Machine, r FailureRates) *Failures {
	f := &Failures{rates: r, hosts: len(machines), zones: zonesOf(machines)}
	f.arrivals = arrivals{chance: c, rate: func(time.Duration) (float64, time.Duration) {
		all := 0.0
		for _, rate := range f.kinds() {
			all += rate
		}
		return all, Never
	}}
	return f
}

// kinds are the rates of hosts, zones and agents.
func (f *Failures) kinds() []float64 {
	if f.hosts == 0 {
		return nil
	}
	hosts := float64(f.hosts)
	return []float64{perSecond(hosts, f.rates.Host), perSecond(1, f.rates.Zone), perSecond(hosts, f.rates.Agent)}
}

// Next is the next failure.
func (f *Failures) Next() (time.Duration, Event) {
	at := f.next()
	if at == Never {
		return Never, nil
	}
	switch weighted(f.chance, f.kinds()) {
	case 0:
		host, after := f.chance.IntN(f.hosts), f.rates.Reboot
		if f.chance.Is(f.rates.Repair) {
			after = logNormal(f.chance, f.rates.Hands.Median, f.rates.Hands.Sigma)
		}
		return at, HostFails{Host: host, After: after}
	case 1:
		zone := virtual.Pick(f.chance, f.zones...)
		return at, ZoneFails{Zone: zone, After: logNormal(f.chance, f.rates.Outage.Median, f.rates.Outage.Sigma)}
	}
	return at, AgentCrashes{Host: f.chance.IntN(f.hosts)}
}

// zonesOf lists the zones in the order in which machines name them.
func zonesOf(machines []Machine) (zones []string) {
	known := map[string]bool{}
	for _, m := range machines {
		if !known[m.Zone] {
			known[m.Zone] = true
			zones = append(zones, m.Zone)
		}
	}
	return zones
}
