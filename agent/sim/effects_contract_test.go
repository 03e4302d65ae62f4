package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"skein/agent/effects"
	"skein/agent/effects/effectstest"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

func TestContractOfEffects(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			effectstest.Executor(t, func(t *testing.T, run func(*testing.T, effectstest.Fixture)) {
				run(t, newEffectsWorld(t, seed).fixture())
			})
		})
	}
}

// effectsWorld is a world of five hosts.
type effectsWorld struct {
	*World
	t     *testing.T
	begun func(host fleet.HostID, job effects.Job) (time.Duration, effects.Answer)
}

func newEffectsWorld(t *testing.T, seed uint64) *effectsWorld {
	x := &effectsWorld{t: t}
	x.World = New(Config{
		Seed: seed, Hosts: Uniform(5, fleet.Resources{CPU: 4096, Memory: 8192}),
		Network: virtual.NetworkConditions{Delay: 300 * time.Microsecond, Jitter: time.Millisecond},
		RunEffect: func(host fleet.HostID, r effects.Request) (time.Duration, effects.Answer) {
			return x.begun(host, effects.Job{ID: r.ID, Attempt: r.Attempt, Subject: r.Subject, Input: r.Input, Token: r.Token})
		},
	})
	if err := x.Bring(bringWithin); err != nil {
		t.Fatal(err)
	}
	return x
}

// hostIDs are all hosts, those that vote first.
func (x *effectsWorld) hostIDs() []fleet.HostID {
	var ids []fleet.HostID
	for v := range x.truth.Voters() {
		ids = append(ids, v.Host)
	}
	for _, h := range x.order {
		if !slices.Contains(ids, h.id) {
			ids = append(ids, h.id)
		}
	}
	return ids
}

func (x *effectsWorld) until(what string, holds func() bool) {
	x.t.Helper()
	if !x.runUntil(x.time.Now()+time.Minute, holds) {
		x.t.Fatalf("never: %s", what)
	}
}

func (x *effectsWorld) leader() *host {
	var leader *host
	x.until("somebody leads", func() bool {
		hosts, err := x.find("leader")
		if err == nil {
			leader = hosts[0]
		}
		return err == nil
	})
	return leader
}

func (x *effectsWorld) commit(c fleet.Command) (err error) {
	done := false
	leader := x.leader().agent
	items := []fleet.Item{{Command: c}}
	leader.node.Propose(items, leader.fleetTime(), func(results []fleet.Result, _ uint64, failed error) {
		if done, err = true, failed; err == nil {
			err = results[0].Err
		}
	})
	x.until("a command is answered", func() bool { return done })
	return err
}

func (x *effectsWorld) depose() {
	old := x.leader()
	old.agent.node.Transfer(func(error) {})
	x.until("another leads", func() bool {
		hosts, err := x.find("leader")
		return err == nil && hosts[0] != old
	})
}

func (x *effectsWorld) ask(from, to fleet.HostID, r effects.Request) (answer effects.Answer, err error) {
	done := false
	x.hosts[from].agent.askEffect(to, r, func(a effects.Answer, failed error, _ bool) {
		answer, err, done = a, failed, true
	})
	x.until("a host answers", func() bool { return done })
	return answer, err
}

func (x *effectsWorld) do(text string) {
	x.t.Helper()
	if err := x.Do(text); err != nil {
		x.t.Fatal(err)
	}
}

func (x *effectsWorld) fixture() effectstest.Fixture {
	return effectstest.Fixture{
		Hosts: x.hostIDs(), State: x.State, Leader: func() fleet.HostID { return x.leader().id },
		Commit: x.commit, Depose: x.depose, Begun: &x.begun, Ask: x.ask,
		KillAgent: func(id fleet.HostID) { x.hosts[id].killAgent() },
		Start:     func(id fleet.HostID) { x.hosts[id].startAgentSoon() },
		Cut:       func(a, b fleet.HostID) { x.do("cut " + x.nameOf(a) + " " + x.nameOf(b)) },
		Heal:      func() { x.do("heal") },
		Step: func() {
			x.Run(x.time.Now() + effectstest.StepTime)
			if f := x.broken(); f != nil {
				x.t.Fatal(f)
			}
		},
	}
}
