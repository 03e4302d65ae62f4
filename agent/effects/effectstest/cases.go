package effectstest

import (
	"slices"
	"time"

	"skein/agent/effects"
	"skein/raftfsm/fleet"
)

const long = 10 * time.Minute

var cases = map[string]func(b *bed){
	"an effect for any voter is carried out by one, once, and what comes of it is in State": func(b *bed) {
		b.answers(0, effects.Done([]byte("out")))
		b.intend("e", fleet.VoterRole(), long, time.Minute)
		if e := b.becomes("e", fleet.EffectDone, soon); string(e.Outcome) != "out" || e.Attempt != 1 {
			b.t.Errorf("effect %+v", e)
		}
		run := b.running(1)[0]
		if !slices.Contains(b.Hosts[:3], run.host) || string(run.job.Input) != "in of e" ||
			run.job.Subject != fleet.FleetSubject() {
			b.t.Errorf("begun: %+v", run)
		}
		b.total(1)
	},

	"an effect for one host is carried out there": func(b *bed) {
		for _, h := range b.Hosts {
			b.intend(fleet.EffectID("on-"+h), fleet.HostRole(h), long, time.Minute)
		}
		for _, h := range b.Hosts {
			if e := b.becomes(fleet.EffectID("on-"+h), fleet.EffectDone, soon); e.Runner != h {
				b.t.Errorf("what is for %s was carried out by %s", h, e.Runner)
			}
		}
		b.total(len(b.Hosts))
	},

	"what fails for now is tried again with the same token, and fails for good after its tries": func(b *bed) {
		b.answers(0, effects.Retry("not yet"), effects.Done(nil))
		b.intend("e", fleet.VoterRole(), long, time.Minute)
		b.becomes("e", fleet.EffectDone, soon)
		b.answers(0, effects.Retry("never"))
		b.intend("f", fleet.VoterRole(), long, time.Minute)
		if f := b.becomes("f", fleet.EffectFailed, soon+10*time.Second); f.Attempt != 4 || f.Why != "never" {
			b.t.Errorf("effect %+v", f)
		}
		b.total(2 + 4)
	},

	"a run that takes long begins once": func(b *bed) {
		b.answers(40*time.Second, effects.Done([]byte("late")))
		b.intend("e", fleet.VoterRole(), long, time.Minute)
		if e := b.becomes("e", fleet.EffectDone, 40*time.Second+soon); string(e.Outcome) != "late" {
			b.t.Errorf("effect %+v", e)
		}
		b.total(1)
	},

	"a run that takes longer than it may is stopped, and another attempt follows": func(b *bed) {
		b.answers(long, effects.Done(nil))
		b.intend("e", fleet.VoterRole(), long, 5*time.Second)
		b.running(1)
		b.answers(0, effects.Done(nil))
		if e := b.becomes("e", fleet.EffectDone, soon+5*time.Second); e.Attempt != 2 {
			b.t.Errorf("effect %+v", e)
		}
		b.total(2)
	},

	"the next leader learns what comes of what the former handed": func(b *bed) {
		b.answers(10*time.Second, effects.Done([]byte("out")))
		b.intend("e", fleet.HostRole(b.Hosts[4]), long, time.Minute)
		b.running(1)
		old := b.Leader()
		b.Depose()
		if b.Leader() == old {
			b.t.Fatal("it still leads")
		}
		if e := b.becomes("e", fleet.EffectDone, 10*time.Second+soon); string(e.Outcome) != "out" || e.Attempt != 1 {
			b.t.Errorf("effect %+v", e)
		}
		b.total(1)
	},

	"what a leader intended before it was deposed is carried out by the next": func(b *bed) {
		b.KillAgent(b.Hosts[4])
		b.intend("e", fleet.HostRole(b.Hosts[4]), long, time.Minute)
		b.Depose()
		b.Start(b.Hosts[4])
		b.becomes("e", fleet.EffectDone, 2*soon)
		b.total(1)
	},

	"a run ends with its agent, and another attempt follows in its next session": func(b *bed) {
		b.answers(30*time.Second, effects.Done(nil))
		b.intend("e", fleet.HostRole(b.Hosts[4]), long, 5*time.Minute)
		b.running(1)
		b.KillAgent(b.Hosts[4])
		b.answers(0, effects.Done(nil))
		b.Step()
		b.Start(b.Hosts[4])
		if e := b.becomes("e", fleet.EffectDone, 2*soon); e.Attempt < 2 {
			b.t.Errorf("effect %+v", e)
		}
		b.total(2)
	},

	"an effect for a host that never comes back expires at its deadline": func(b *bed) {
		b.answers(long, effects.Done(nil))
		b.intend("begun", fleet.HostRole(b.Hosts[4]), 40*time.Second, 2*time.Minute)
		b.running(1)
		b.KillAgent(b.Hosts[4])
		for range soon / StepTime {
			b.Step()
		}
		b.intend("not-begun", fleet.HostRole(b.Hosts[4]), 20*time.Second, 2*time.Minute)
		for _, id := range []fleet.EffectID{"not-begun", "begun"} {
			e := b.becomes(id, fleet.EffectExpired, 40*time.Second+soon)
			if e.EndedAt < e.Deadline {
				b.t.Errorf("effect %+v", e)
			}
		}
		b.total(1)
	},

	"a host that the leader does not reach for a while answers when it does": func(b *bed) {
		b.answers(2*time.Second, effects.Done([]byte("out")))
		host := b.Hosts[4]
		b.intend("e", fleet.HostRole(host), long, time.Minute)
		b.running(1)
		b.Cut(b.Leader(), host)
		for range 8 * time.Second / StepTime {
			b.Step()
		}
		if e := b.State().Effect("e"); e.Status != fleet.EffectHanded {
			b.t.Errorf("an attempt that nobody heard of is %s", e.Status)
		}
		b.Heal()
		b.becomes("e", fleet.EffectDone, soon)
		b.total(1)
	},

	"what is withdrawn while it runs stays withdrawn": func(b *bed) {
		b.answers(3*time.Second, effects.Done(nil))
		b.intend("e", fleet.VoterRole(), long, time.Minute)
		b.running(1)
		if err := b.Commit(fleet.WithdrawEffect{ID: "e", Why: "nobody wants it"}); err != nil {
			b.t.Fatal(err)
		}
		b.total(1)
		if e := b.State().Effect("e"); e.Status != fleet.EffectWithdrawn || e.Why != "nobody wants it" {
			b.t.Errorf("effect %+v", e)
		}
	},

	"a host refuses a leader that is older than one it has heard, and begins nothing that is over": func(b *bed) {
		host := b.Hosts[4]
		b.intend("e", fleet.HostRole(host), long, time.Minute)
		e := b.becomes("e", fleet.EffectDone, soon)
		epoch := b.State().Fleet().Epoch
		r := effects.Request{
			Fence: effects.Fence{Epoch: epoch}, ID: "e", Attempt: e.Attempt, Session: e.Session, Kind: Kind, Token: e.Token,
			WithinMs: 60_000, Until: b.State().Now() + 60_000,
		}
		if a, err := b.Ask(b.Hosts[0], host, r); err != nil || a.Refusal != effects.OlderLeader {
			b.t.Errorf("an older leader: %+v, %v", a, err)
		}
		r.Fence.Index = b.State().Index()
		if a, err := b.Ask(b.Hosts[0], host, r); err != nil || a.Verdict != fleet.VerdictDone {
			b.t.Errorf("asked again: %+v, %v", a, err)
		}
		r.ID, r.Session = "f", e.Session+1
		if a, err := b.Ask(b.Hosts[0], host, r); err != nil || a.Refusal != effects.OtherSession {
			b.t.Errorf("of another session: %+v, %v", a, err)
		}
		b.total(1)
	},

	"a host takes nothing from a host that does not vote": func(b *bed) {
		h := b.State().Host(b.Hosts[3])
		a, err := b.Ask(b.Hosts[4], h.ID, effects.Request{
			Fence: effects.Fence{Epoch: 1, Index: b.State().Index()}, ID: "e", Attempt: 1, Session: h.Session.N,
			Kind: Kind, Token: "t", WithinMs: 60_000, Until: b.State().Now() + 60_000,
		})
		if err == nil {
			b.t.Errorf("it answers %+v", a)
		}
		b.total(0)
	},
}
