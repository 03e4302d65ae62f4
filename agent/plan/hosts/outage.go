package hosts

import (
	"slices"

	"skein/raftfsm/fleet"
)

// outage is a time in which a machine was down, as far as State knows.
type outage struct {
	from fleet.Time // when it fell silent; zero: nobody noticed, so at any time before
	to   fleet.Time // when the fleet heard of its new boot
}

// powerReturned reports whether most hosts have just booted after one outage that
// they shared: a moment at which all of them were down. Hosts that rebooted one
// after the other are seen to fall silent when others are back already, so no
// moment is common to them. The answer comes from rows, whatever the size of the
// fleet; hosts that come may be booting, whatever their rows say of before.
func powerReturned(s *fleet.State, now fleet.Time, comes func(*fleet.Host) bool) bool {
	var outages []outage
	for host := range s.Hosts() {
		if host.State == fleet.HostForgotten {
			continue
		}
		if o, ok := outageOf(host.SilentSince, host.BootedAt, now); ok {
			outages = append(outages, o)
		} else if comes(host) {
			outages = append(outages, outage{to: now})
		}
	}
	return 2*len(outages) > s.HostCount() && 2*mostAtOnce(outages) > s.HostCount()
}

// outageOf is the outage that a boot ended, if that was of late. Of a host that
// fell silent again since, nobody knows when it was down before.
func outageOf(silentSince, bootedAt, now fleet.Time) (outage, bool) {
	o := outage{silentSince, bootedAt}
	return o, bootedAt > now.Add(-BootRecent) && silentSince <= bootedAt
}

// mostAtOnce is the largest number of outages that share a moment. The moment at
// which one of them begins is among those at which most are under way.
func mostAtOnce(outages []outage) int {
	begins, ends := make([]fleet.Time, len(outages)), make([]fleet.Time, len(outages))
	for i, o := range outages {
		begins[i], ends[i] = o.from, o.to
	}
	slices.Sort(begins)
	slices.Sort(ends)
	most, ended := 0, 0
	for begun, at := range begins {
		for ends[ended] < at {
			ended++
		}
		most = max(most, begun+1-ended)
	}
	return most
}
