package detectortest

import (
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// Watcher is lead.FailureDetector without its channel.
type Watcher interface {
	Liveness() plan.FleetLiveness
	Probe(hosts []fleet.HostID)
	Await(asked fleet.Served)
	Watch(groups []fleet.TargetGroupName)
}

// Fixture is a fleet of five ready hosts in zones in turn. The first three vote, the first leads,
// and each streams from a voter. Machines that are hurt stay so until Start or Heal.
type Fixture struct {
	Hosts []fleet.HostID
	// Detector are those of the present leader; Changes counts how often they, or
	// those of leaders before, told of a change.
	Detector func() Watcher
	Changes  func() int
	// Voter is the voter from which a host streams.
	Voter func(fleet.HostID) fleet.HostID
	// Session is the one of a host that State has.
	Session func(fleet.HostID) uint64
	// Lead makes another voter the leader.
	Lead func(fleet.HostID)

	KillMachine func(fleet.HostID) // nothing answers any more
	KillAgent   func(fleet.HostID) // dials are refused
	Freeze      func(fleet.HostID) // its kernel accepts, nobody answers
	Start       func(fleet.HostID) // it runs again, whatever was done to it
	Cut         func(a, b []fleet.HostID)
	Heal        func()
	Starve      func(fleet.HostID, bool) // it is late itself, and says so
	SetClock    func(fleet.HostID, time.Duration)
	// Commit has something committed, and returns what a host serves that has come to it.
	Commit func() fleet.Served
	Refuse func(fleet.HostID, bool) // it takes nothing of what it is sent

	// Step lets StepTime pass.
	Step func()
}

// StepTime is how often the suite looks.
const StepTime = 50 * time.Millisecond

// Times that both keep, with the room that ticks and words on their way need.
const (
	suspectSoonest = 300 * time.Millisecond // a beat before the limit of 600 ms
	suspectLatest  = 1200 * time.Millisecond
	silentLatest   = 2 * time.Second
	aliveLatest    = 4 * time.Second // of a host that opens a stream
	orphanLatest   = 9 * time.Second // of a host whose voter is gone or not heard
	hungSoonest    = 8 * time.Second
	hungLatest     = 14 * time.Second
	long           = 20 * time.Second
	clockError     = 300 * time.Millisecond
	servedLatest   = 9 * time.Second        // of a host that may have to find a voter
	viewAge        = 100 * time.Millisecond // of a view that is still shown
)

// FailureDetector runs the contract of lead.FailureDetector. open makes a fixture, once for each case,
// in zones of one letter each; the case runs inside, so that a fixture may put it
// into a time of its own.
func FailureDetector(t *testing.T, open func(t *testing.T, zones string, run func(t *testing.T, f Fixture))) {
	for zones, cases := range map[string]map[string]func(b *bed){"abc": cases, "a": casesOfOneZone} {
		for name, run := range cases {
			t.Run(name, func(t *testing.T) {
				open(t, zones, func(t *testing.T, f Fixture) { run(&bed{Fixture: f, t: t}) })
			})
		}
	}
}

var casesOfOneZone = map[string]func(b *bed){
	"of several witnesses, one that alone reaches a host is asked too, and stays heard": func(b *bed) {
		for _, victim := range []fleet.HostID{b.Hosts[4], b.Hosts[3]} { // each is the other's only way
			b.settle()
			b.Cut([]fleet.HostID{victim}, b.Hosts[:3])
			b.until(victim, plan.LivenessRefused, long)
			b.hold(2*long, []fleet.HostID{victim}, plan.LivenessRefused)
			b.Heal()
		}
	},
}

var cases = map[string]func(b *bed){
	"live hosts become alive, and a quiet fleet tells of no change": func(b *bed) {
		b.settle()
		before := b.Changes()
		b.hold(5*time.Second, b.Hosts, plan.LivenessAlive)
		if n := b.Changes() - before; n > 0 {
			b.t.Errorf("%d changes were told though there was none", n)
		}
		for _, h := range b.Hosts {
			if s := b.see(h); s.Age < 0 || s.Age > suspectLatest {
				b.t.Errorf("%s was heard %s ago", h, s.Age)
			}
		}
	},
	"how far hosts have come is heard while it is awaited, and of one that refuses once it takes": func(b *bed) {
		b.settle()
		for _, h := range b.Hosts {
			if s := b.see(h); s.Served != (fleet.Served{}) {
				b.t.Errorf("nothing is awaited, and %s is said to serve %+v", h, s.Served)
			}
		}
		last := b.Hosts[4]
		b.served(b.Commit(), b.Hosts)
		b.Refuse(last, true)
		asked := b.Commit()
		b.served(asked, b.Hosts[:4])
		if s := b.see(last); s.Served.Reached(asked) {
			b.t.Errorf("%s refuses what it is sent, and is said to serve %+v", last, s.Served)
		}
		b.Refuse(last, false)
		b.served(asked, b.Hosts)
		b.Lead(b.Hosts[1])
		b.settle()
		for _, h := range b.Hosts {
			if s := b.see(h); s.Served != (fleet.Served{}) {
				b.t.Errorf("the new leader awaits nothing, and %s is said to serve %+v", h, s.Served)
			}
		}
		b.served(asked, b.Hosts)
	},
	"how far hosts have come with routes is heard while a group is watched": func(b *bed) {
		b.settle()
		b.Detector().Watch([]fleet.TargetGroupName{"web"})
		for _, h := range b.Hosts {
			for took := time.Duration(0); b.see(h).Served == (fleet.Served{}); took += StepTime {
				if took > servedLatest {
					b.t.Fatalf("nothing is heard of %s after %s", h, servedLatest)
				}
				b.step()
			}
		}
		b.Detector().Watch(nil)
		before := b.Changes()
		b.hold(5*time.Second, b.Hosts, plan.LivenessAlive)
		if n := b.Changes() - before; n > 0 {
			b.t.Errorf("%d changes were told though nothing is watched any more", n)
		}
	},
	"a dead machine is suspect, and silent once witnesses have looked": func(b *bed) {
		for _, victim := range []fleet.HostID{b.Hosts[4], b.Hosts[1]} {
			b.settle()
			b.KillMachine(victim)
			took := b.until(victim, plan.LivenessSuspect, suspectLatest)
			if took < suspectSoonest {
				b.t.Errorf("suspect after %s", took)
			}
			b.Detector().Probe([]fleet.HostID{victim})
			took = b.until(victim, plan.LivenessSilent, silentLatest)
			if took < StepTime {
				b.t.Errorf("silent after %s: nobody can have dialled", took)
			}
			b.hold(long, []fleet.HostID{victim}, plan.LivenessSilent)
			if s := b.see(victim); s.Age < long || s.For < long-viewAge {
				b.t.Errorf("silent for %s, heard %s ago", s.For, s.Age)
			}
			b.Start(victim)
		}
	},
	"a dead agent is refused, and never silent": func(b *bed) {
		b.settle()
		b.KillAgent(b.Hosts[4])
		b.untilNever(b.Hosts[4], plan.LivenessRefused, plan.LivenessSilent, silentLatest)
		b.hold(long, b.Hosts[4:], plan.LivenessRefused)
	},
	"a frozen machine is refused after a while, and never silent": func(b *bed) {
		b.settle()
		b.Freeze(b.Hosts[4])
		if took := b.untilNever(b.Hosts[4], plan.LivenessRefused, plan.LivenessSilent, hungLatest); took < hungSoonest {
			b.t.Errorf("refused after %s: a short stall is none", took)
		}
		b.never(b.Hosts[4], plan.LivenessSilent, long)
	},
	"a machine whose agent was refused is silent when it dies too": func(b *bed) {
		b.settle()
		b.KillAgent(b.Hosts[4])
		b.until(b.Hosts[4], plan.LivenessRefused, silentLatest)
		b.KillMachine(b.Hosts[4])
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
	},
	"a host cut from its voter only is never silent, and alive by another": func(b *bed) {
		b.settle()
		host := b.Hosts[4]
		b.Cut([]fleet.HostID{host}, []fleet.HostID{b.Voter(host)})
		b.never(host, plan.LivenessSilent, hungSoonest)
		b.hold(long, []fleet.HostID{host}, plan.LivenessAlive)
	},
	"a host that one witness reaches is not silent, and refused once it is not heard for long": func(b *bed) {
		b.settle()
		host := b.Hosts[4]
		b.Cut([]fleet.HostID{host}, b.Hosts[:3]) // no voter hears it
		took := b.untilNever(host, plan.LivenessRefused, plan.LivenessSilent, hungLatest)
		if took < hungSoonest {
			b.t.Errorf("refused after %s", took)
		}
		b.hold(long, []fleet.HostID{host}, plan.LivenessRefused)
		b.Heal()
		b.untilNever(host, plan.LivenessAlive, plan.LivenessSilent, orphanLatest)
	},
	"a host is heard in its session, and in none while only witnesses find it": func(b *bed) {
		b.settle()
		host := b.Hosts[4]
		b.heardInTheirs()
		b.Cut([]fleet.HostID{host}, b.Hosts[:3])
		b.until(host, plan.LivenessSuspect, suspectLatest)
		for s := b.see(host); s.Liveness != plan.LivenessRefused; s = b.see(host) {
			if s.Session != 0 {
				b.t.Fatalf("nobody streams from it: %+v", s)
			}
			b.step()
		}
		b.Heal()
		b.until(host, plan.LivenessAlive, orphanLatest)
		b.settle()
		b.heardInTheirs()
	},
	"a host that runs again is never heard in the session before": func(b *bed) {
		for _, hurt := range []func(fleet.HostID){b.KillMachine, b.KillAgent} {
			for _, host := range []fleet.HostID{b.Hosts[4], b.Hosts[1]} {
				b.settle()
				before := b.Session(host)
				hurt(host)
				b.run(3 * time.Second)
				if s := b.see(host); s.Session != 0 {
					b.t.Errorf("%s is gone: %+v", host, s)
				}
				b.Start(host)
				for range int(orphanLatest / StepTime) {
					if s := b.see(host); s.Session == before {
						b.t.Fatalf("%s is heard in session %d: %+v", host, before, s)
					}
					b.step()
				}
				if b.Session(host) <= before {
					b.t.Errorf("%s has opened no session", host)
				}
				b.heardInTheirs()
			}
		}
	},
	"clocks are the median of ready hosts against the leader's": func(b *bed) {
		b.settle()
		b.clock(0, 5)
		b.SetClock(b.Hosts[3], time.Hour)
		b.SetClock(b.Hosts[1], 3*time.Second) // a voter
		b.clock(0, 5)
		b.SetClock(b.Hosts[2], 3*time.Second)
		b.clock(3*time.Second, 5)
		b.Lead(b.Hosts[2])
		b.settle()
		b.clock(0, 5)
		b.SetClock(b.Hosts[2], 5*time.Second) // the leader
		b.clock(-2*time.Second, 5)
		b.SetClock(b.Hosts[4], -time.Hour)
		b.clock(-2*time.Second, 5)
		b.SetClock(b.Hosts[0], -time.Hour)
		b.clock(-2*time.Second, 5)
		b.KillMachine(b.Hosts[3])
		b.until(b.Hosts[3], plan.LivenessSilent, silentLatest)
		b.clock(-2*time.Second, 4)
		b.KillMachine(b.Hosts[4])
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
		b.clock(-2*time.Second, 3)
	},
	"a host that stood still does not seem to have another clock, nor its hosts": func(b *bed) {
		b.settle()
		b.Freeze(b.Hosts[1]) // a voter
		b.run(5 * time.Second)
		b.Start(b.Hosts[1])
		for range int(orphanLatest / StepTime) {
			b.step()
			if off := b.Detector().Liveness().ClockOffset; off.Abs() > clockError {
				b.t.Fatalf("clocks are off by %s", off)
			}
		}
	},
	"machines that die together are all silent": func(b *bed) {
		b.settle()
		b.KillMachine(b.Hosts[3])
		b.KillMachine(b.Hosts[4])
		b.until(b.Hosts[3], plan.LivenessSilent, silentLatest+suspectLatest)
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
		b.hold(long, b.Hosts[:3], plan.LivenessAlive)
	},
	"a host cut from everybody is silent, and alive once it is heard": func(b *bed) {
		b.settle()
		b.Cut(b.Hosts[4:], b.Hosts[:4])
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
		b.hold(long, b.Hosts[:4], plan.LivenessAlive)
		b.Heal()
		b.untilNever(b.Hosts[4], plan.LivenessAlive, plan.LivenessUnknown, orphanLatest)
	},
	"a host that runs again is alive again": func(b *bed) {
		for _, hurt := range []func(fleet.HostID){b.KillMachine, b.KillAgent, b.Freeze} {
			b.settle()
			hurt(b.Hosts[4])
			b.run(3 * time.Second)
			b.Start(b.Hosts[4])
			b.until(b.Hosts[4], plan.LivenessAlive, orphanLatest)
		}
	},
	"hosts of a dead voter find another and are never silent": func(b *bed) {
		b.settle()
		voter := b.Voter(b.Hosts[4])
		if voter == b.Hosts[0] {
			b.Lead(b.Hosts[1])
			b.settle()
		}
		b.KillMachine(voter)
		for range int(orphanLatest / StepTime) {
			b.step()
			for _, h := range b.Hosts {
				if h != voter && b.see(h).Liveness == plan.LivenessSilent {
					b.t.Fatalf("%s is silent", h)
				}
			}
		}
		for _, h := range b.Hosts {
			if h != voter && b.see(h).Liveness != plan.LivenessAlive {
				b.t.Errorf("%s is %s", h, b.see(h).Liveness)
			}
		}
	},
	"a new leader starts with unknown, keeps ages, and asks before it says silent": func(b *bed) {
		b.settle()
		victim := b.Hosts[4]
		b.KillMachine(victim)
		b.run(long)
		b.Lead(b.Hosts[1])
		for _, h := range b.Hosts {
			if s := b.see(h).Liveness; s != plan.LivenessUnknown {
				b.t.Errorf("%s is %s to a new leader", h, s)
			}
		}
		took := b.until(victim, plan.LivenessSilent, silentLatest+suspectLatest)
		if took < StepTime {
			b.t.Errorf("silent after %s: nobody can have dialled", took)
		}
		if s := b.see(victim); s.Age < long {
			b.t.Errorf("heard %s ago: the election restarted the clock", s.Age)
		}
		b.settleBut(victim)
	},
	"the leader before is silent to the next when its machine died": func(b *bed) {
		b.settle()
		b.KillMachine(b.Hosts[0])
		b.Lead(b.Hosts[1])
		b.until(b.Hosts[0], plan.LivenessSilent, orphanLatest)
		for _, h := range b.Hosts[1:] {
			b.until(h, plan.LivenessAlive, orphanLatest)
		}
	},
	"a leader that is cut off hears nobody, and everybody once it is not": func(b *bed) {
		b.settle()
		b.Cut(b.Hosts[:1], b.Hosts[1:])
		for _, h := range b.Hosts[1:] {
			b.untilNot(h, plan.LivenessAlive, orphanLatest)
		}
		b.until(b.Hosts[4], plan.LivenessSilent, long) // its own word is all there is
		if s := b.see(b.Hosts[0]).Liveness; s != plan.LivenessAlive {
			b.t.Errorf("the leader itself is %s", s)
		}
		b.Heal()
		for _, h := range b.Hosts {
			b.until(h, plan.LivenessAlive, orphanLatest)
		}
	},
	"a starved host says so": func(b *bed) {
		b.settle()
		b.Starve(b.Hosts[4], true)
		b.run(2 * time.Second)
		for i, h := range b.Hosts {
			if s := b.see(h); s.Starved != (i == 4) || s.Liveness != plan.LivenessAlive {
				b.t.Errorf("%s is %+v", h, s)
			}
		}
		b.Starve(b.Hosts[4], false)
		b.run(2 * time.Second)
		if b.see(b.Hosts[4]).Starved {
			b.t.Error("it is not starved any more")
		}
	},
	"a starved leader is slower to suspect, and not blind": func(b *bed) {
		b.settle()
		b.Starve(b.Hosts[0], true)
		b.run(2 * time.Second)
		b.KillMachine(b.Hosts[4])
		b.hold(suspectLatest, b.Hosts, plan.LivenessAlive)
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
	},
	"the silence that starved witnesses find counts late": func(b *bed) {
		b.settle()
		for _, h := range b.Hosts[:4] {
			b.Starve(h, true)
		}
		b.run(2 * time.Second)
		b.KillMachine(b.Hosts[4])
		b.never(b.Hosts[4], plan.LivenessSilent, hungSoonest)
		b.until(b.Hosts[4], plan.LivenessSilent, hungLatest-hungSoonest)
	},
	"probing hosts that are alive or unknown by name changes nothing": func(b *bed) {
		b.settle()
		before := b.Changes()
		for range 10 {
			b.Detector().Probe([]fleet.HostID{b.Hosts[0], b.Hosts[4], "nobody"})
			b.hold(time.Second, b.Hosts, plan.LivenessAlive)
		}
		if n := b.Changes() - before; n > 0 {
			b.t.Errorf("%d changes were told", n)
		}
	},
	"whatever has happened, a fleet at rest is seen as it is": func(b *bed) {
		b.settle()
		chance := rand.New(rand.NewPCG(1, 1))
		is := map[fleet.HostID]plan.Liveness{}
		for _, h := range b.Hosts {
			is[h] = plan.LivenessAlive
		}
		for range 8 {
			for range 5 {
				b.mishap(chance, is)
				b.run(time.Duration(chance.IntN(60)) * StepTime)
			}
			b.run(long)
			for _, h := range b.Hosts {
				if s := b.see(h); s.Liveness != is[h] {
					b.t.Fatalf("%s is %+v, should be %s; all: %v", h, s, is[h], is)
				}
			}
		}
	},
	"a view that was handed over does not change": func(b *bed) {
		b.settle()
		held := b.Detector().Liveness()
		kept := maps.Clone(held.Hosts)
		b.KillMachine(b.Hosts[4])
		b.until(b.Hosts[4], plan.LivenessSilent, silentLatest)
		if !reflect.DeepEqual(held.Hosts, kept) {
			b.t.Errorf("was %+v, is %+v", kept, held.Hosts)
		}
	},
}
