package peer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/effects"
	"skein/agent/effects/effectstest"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
)

func TestContractOfEffects(t *testing.T) {
	effectstest.Executor(t, func(t *testing.T, run func(*testing.T, effectstest.Fixture)) {
		synctest.Test(t, func(t *testing.T) {
			s := newEffectsRig(t)
			defer s.stop()
			run(t, s.fixture())
		})
	})
}

// effectsRig is a fleet of five whole peer ports in memory, with an executor on the
// leader: a log that has it beside the leader loop.
type effectsRig struct {
	*detectorRig
	begun func(host fleet.HostID, job effects.Job) (time.Duration, effects.Answer)
	stop  func() // the leader's executor
}

func newEffectsRig(t *testing.T) *effectsRig {
	s := &effectsRig{stop: func() {}}
	s.detectorRig = newDetectorRigWith(t, "abc", s.runners)
	for range 4 * time.Second / effectstest.StepTime {
		s.step() // until all are heard
	}
	s.lead(s.order[0])
	return s
}

// runners are those of one host.
func (s *effectsRig) runners(a *rigAgent) map[string]effects.Runner {
	return map[string]effects.Runner{effectstest.Kind: func(ctx context.Context, job effects.Job) effects.Answer {
		after, answer := s.begun(a.id(), job)
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
			return answer
		case <-ctx.Done():
			return effects.Retry("stopped")
		}
	}}
}

// lead has a voter lead, and its executor run for that term.
func (s *effectsRig) lead(id fleet.HostID) {
	s.stop()
	s.cluster.lead(id)
	a := s.hosts[id].agent
	x := &effects.Executor{
		Log: effectsLog{a.log.Load(), a.clock}, Liveness: a.port.FailureDetector().Liveness, Mono: a.clock.Mono,
		Ask: a.port.AskEffect, NotDone: rpc.NotDone, Warn: a.lines.logger().Warn,
	}
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = x.Run(ctx)
	}()
	s.stop = func() {
		cancel()
		<-done
	}
}

// effectsLog is a voter's log as the executor needs it.
type effectsLog struct {
	*voterLog
	clock *rigClock
}

func (l effectsLog) FleetTime() fleet.Time { return max(l.State().Now(), fleet.TimeOf(l.clock.Now())) }

func (l effectsLog) Verify(context.Context) error {
	if !l.IsLeader() {
		return ErrNotLeader
	}
	return nil
}

func (s *effectsRig) leaderID() fleet.HostID {
	s.cluster.mu.Lock()
	defer s.cluster.mu.Unlock()
	return s.cluster.leader
}

func (s *effectsRig) fixture() effectstest.Fixture {
	f := s.detectorRig.fixture()
	return effectstest.Fixture{
		Hosts: s.order, State: s.cluster.state, Leader: s.leaderID, Begun: &s.begun,
		Commit: func(c fleet.Command) error {
			results, _ := s.cluster.apply([]fleet.Item{{Command: c}})
			return results[0].Err
		},
		Depose: func() {
			next := s.order[1]
			if s.leaderID() == next {
				next = s.order[0]
			}
			s.lead(next)
		},
		Ask: func(from, to fleet.HostID, r effects.Request) (effects.Answer, error) {
			return s.hosts[from].agent.port.AskEffect(s.ctx, to, r)
		},
		KillAgent: f.KillAgent, Start: f.Start, Heal: f.Heal, Step: f.Step,
		Cut: func(a, b fleet.HostID) { f.Cut([]fleet.HostID{a}, []fleet.HostID{b}) },
	}
}
