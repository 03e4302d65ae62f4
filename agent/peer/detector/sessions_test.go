package detector

import (
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

func (s *scene) heardIn(id fleet.HostID, want uint64) {
	s.t.Helper()
	if got := s.liveness(id); got.Session != want {
		s.t.Errorf("%s is %+v, want session %d", id, got, want)
	}
}

func TestAHostIsHeardInTheSessionOfItsNewestLiveStream(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.heardIn("h9", 1)
	s.hangUp("h9", false)
	s.run(protocol.AgesEvery + protocol.WatchEvery)
	if got := s.liveness("h9"); got.Liveness != plan.LivenessAlive || got.Session != 0 {
		t.Errorf("a moment after its stream ended: %+v", got)
	}
	s.watch.Changed()
	s.openIn("h9", "h3", 2)
	s.run(protocol.AgesEvery + protocol.WatchEvery)
	s.heardIn("h9", 2)
	if !s.watch.Changed() {
		t.Error("another session is no change")
	}
	s.host("h9").stream = nil // the voter has not noticed
	s.openIn("h9", "h2", 3)
	s.run(protocol.AgesEvery + protocol.WatchEvery)
	for range 100 {
		s.heardIn("h9", 3)
		s.run(protocol.WatchEvery)
	}
}

func TestAHostThatOnlyWitnessesFindIsHeardInNoSession(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.host("h9").mute = true
	s.run(time.Second)
	if got := s.liveness("h9"); got.Liveness != plan.LivenessAlive || got.Age < protocol.SuspectAfter {
		t.Fatalf("%+v", got)
	}
	s.heardIn("h9", 0)
	s.host("h9").mute = false
	s.run(2 * protocol.HostBeat)
	s.heardIn("h9", 1)
}

// A voter that runs again tells ages before its session is open.
func TestAVotersOwnWordIsOfNoSession(t *testing.T) {
	s := newScene(t, 9, 3)
	s.run(2 * time.Second)
	s.hangUp("h2", false)
	s.run(time.Minute)
	if got := s.liveness("h2"); got.Liveness != plan.LivenessAlive {
		t.Fatalf("%+v", got)
	}
	s.heardIn("h2", 0)
}
