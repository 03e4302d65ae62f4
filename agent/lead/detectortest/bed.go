package detectortest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// bed adds to a fixture what most cases do.
type bed struct {
	Fixture
	t      *testing.T
	before map[fleet.HostID]plan.Liveness
	told   int
}

func (b *bed) see(h fleet.HostID) plan.HostLiveness { return b.Detector().Liveness().Hosts[h] }

// step lets a little time pass, and wants each change of liveness to be told: in
// the step in which it is seen, or, where it is told after that, in the next.
func (b *bed) step() {
	b.t.Helper()
	b.Step()
	told := b.Changes()
	now := map[fleet.HostID]plan.Liveness{}
	changed := false
	for _, h := range b.Hosts {
		now[h] = b.see(h).Liveness
		changed = changed || b.before != nil && b.before[h] != now[h]
	}
	if changed && told == b.told {
		b.t.Fatalf("nothing was told of the change from %v to %v", b.before, now)
	}
	b.before, b.told = now, told
}

func (b *bed) run(d time.Duration) {
	b.t.Helper()
	for ; d > 0; d -= StepTime {
		b.step()
	}
}

// settle waits until all hosts are alive.
func (b *bed) settle() {
	b.t.Helper()
	b.settleBut("")
}

func (b *bed) settleBut(dead fleet.HostID) {
	b.t.Helper()
	b.before = nil // there may be another leader now
	for _, h := range b.Hosts {
		if h != dead {
			b.until(h, plan.LivenessAlive, orphanLatest)
		}
	}
	b.run(2 * time.Second)
}

// heardInTheirs wants all hosts to be heard in the sessions that State has.
func (b *bed) heardInTheirs() {
	b.t.Helper()
	for _, h := range b.Hosts {
		if s := b.see(h); s.Session == 0 || s.Session != b.Session(h) {
			b.t.Errorf("%s has session %d: %+v", h, b.Session(h), s)
		}
	}
}

// clock wants the clocks to be so in a moment.
func (b *bed) clock(off time.Duration, samples int) {
	b.t.Helper()
	b.run(2 * time.Second)
	if s := b.Detector().Liveness(); s.ClockSamples != samples || (s.ClockOffset-off).Abs() > clockError {
		b.t.Errorf("%s by %d hosts, want %s by %d", s.ClockOffset, s.ClockSamples, off, samples)
	}
}

// served awaits something, and wants it to be heard that hosts have come to it.
func (b *bed) served(asked fleet.Served, hosts []fleet.HostID) {
	b.t.Helper()
	b.Detector().Await(asked)
	for took := time.Duration(0); ; took += StepTime {
		lacks := slices.IndexFunc(hosts, func(h fleet.HostID) bool { return !b.see(h).Served.Reached(asked) })
		if lacks < 0 {
			return
		}
		if took > servedLatest {
			b.t.Fatalf("%s serves %+v after %s, and %+v is awaited", hosts[lacks], b.see(hosts[lacks]).Served, servedLatest,
				asked)
		}
		b.step()
	}
}

// until runs until a host is seen so, and returns how long that took.
func (b *bed) until(h fleet.HostID, want plan.Liveness, within time.Duration) time.Duration {
	b.t.Helper()
	return b.wait(h, "not "+want.String(), within, func(s plan.Liveness) bool { return s == want })
}

func (b *bed) untilNot(h fleet.HostID, unwanted plan.Liveness, within time.Duration) {
	b.t.Helper()
	b.wait(h, "still so", within, func(s plan.Liveness) bool { return s != unwanted })
}

func (b *bed) untilNever(h fleet.HostID, want, unwanted plan.Liveness, within time.Duration) time.Duration {
	b.t.Helper()
	return b.wait(h, "not "+want.String(), within, func(s plan.Liveness) bool {
		b.t.Helper()
		if s == unwanted {
			b.t.Fatalf("%s is %s", h, s)
		}
		return s == want
	})
}

func (b *bed) wait(h fleet.HostID, otherwise string, within time.Duration, ok func(plan.Liveness) bool) time.Duration {
	b.t.Helper()
	for took := time.Duration(0); ; took += StepTime {
		s := b.see(h)
		if ok(s.Liveness) {
			return took
		}
		if took > within {
			b.t.Fatalf("%s is %s after %s: %s (%+v)", h, s.Liveness, within, otherwise, s)
		}
		b.step()
	}
}

// hold fails if any of the hosts is ever seen otherwise.
func (b *bed) hold(d time.Duration, hosts []fleet.HostID, want plan.Liveness) {
	b.t.Helper()
	for ; d > 0; d -= StepTime {
		b.step()
		for _, h := range hosts {
			if s := b.see(h); s.Liveness != want {
				b.t.Fatalf("%s is %s, not %s (%+v)", h, s.Liveness, want, s)
			}
		}
	}
}

func (b *bed) never(h fleet.HostID, unwanted plan.Liveness, d time.Duration) {
	b.t.Helper()
	for ; d > 0; d -= StepTime {
		b.step()
		if s := b.see(h); s.Liveness == unwanted {
			b.t.Fatalf("%s is %s (%+v)", h, s.Liveness, s)
		}
	}
}

// mishap hurts a host, or has it run again; is says what it should be seen as then.
// The leader stays well.
func (b *bed) mishap(chance *rand.Rand, is map[fleet.HostID]plan.Liveness) {
	h := b.Hosts[1+chance.IntN(len(b.Hosts)-1)]
	if is[h] != plan.LivenessAlive {
		b.Start(h)
		is[h] = plan.LivenessAlive
		return
	}
	switch chance.IntN(3) {
	case 0:
		b.KillMachine(h)
		is[h] = plan.LivenessSilent
	case 1:
		b.KillAgent(h)
		is[h] = plan.LivenessRefused
	case 2:
		b.Freeze(h)
		is[h] = plan.LivenessRefused
	}
}
