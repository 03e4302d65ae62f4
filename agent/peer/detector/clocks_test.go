package detector

import (
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

func TestAClockIsMeasuredByBeatsThatComeInStep(t *testing.T) {
	const off = 3 * time.Second
	type beat struct{ gap, held time.Duration } // held up on the way for so long
	usual := beat{gap: protocol.HostBeat}
	tests := map[string]struct {
		beats []beat
		want  int64
	}{
		"the first beat comes at once": {[]beat{{}}, noClock},
		"beats on time":                {[]beat{{}, usual, usual}, off.Milliseconds()},
		"a host that tells no time":    {[]beat{{gap: protocol.HostBeat, held: -1}}, noClock},
		"beats of a reader that was held": {[]beat{{}, usual, {10 * time.Second, 9 * time.Second}, {0, 8 * time.Second},
			{0, 7 * time.Second}, {1, time.Second}}, off.Milliseconds()},
		"only beats that were late": {[]beat{{}, {time.Second, time.Second}, {time.Second, time.Second}}, noClock},
		"in step again after it was held": {[]beat{{10 * time.Second, 9 * time.Second}, {0, 8 * time.Second},
			{100 * time.Millisecond, 0}, usual}, off.Milliseconds()},
		"a little early and a little late": {[]beat{{gap: protocol.HostBeat - 100*time.Millisecond},
			{gap: protocol.HostBeat + 100*time.Millisecond}}, off.Milliseconds()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock := &fakeClock{mono: time.Hour}
			st := NewStreams().Open(clock.Mono(), "h9", 1)
			at := clock.Now()
			for _, b := range tt.beats {
				at = at.Add(b.gap)
				beat := Beat{WallMs: at.Add(off - b.held).UnixMilli()}
				if b.held < 0 {
					beat.WallMs = 0
				}
				clock.mono += b.gap
				st.Beat(clock.Mono(), clock.Now(), beat)
			}
			if st.clock != tt.want {
				t.Errorf("off by %d ms, want %d", st.clock, tt.want)
			}
		})
	}
}

func (s *scene) clockIs(want time.Duration, samples int) {
	s.t.Helper()
	s.run(2 * protocol.AgesEvery)
	if liveness := s.watch.Liveness(s.clock.mono, nil); liveness.ClockOffset != want || liveness.ClockSamples != samples {
		s.t.Errorf("%s by %d hosts, want %s by %d", liveness.ClockOffset, liveness.ClockSamples, want, samples)
	}
}

// setClock has a host's clock be off against the clock of the voter that it streams from.
func (s *scene) setClock(id fleet.HostID, off int64) { s.host(id).stream.clock = off }

func TestClocksAreTheMedianOfReadyHostsAgainstTheLeaders(t *testing.T) {
	s := newScene(t, 9, 3)
	s.clockIs(0, 1) // the leader's own; the others' were not measured
	for _, h := range s.hosts {
		s.setClock(h.ID, 0)
	}
	s.clockIs(0, 9)
	s.voters["h2"].clock, s.voters["h3"].clock = 3000, 3000
	s.clockIs(3*time.Second, 9) // five hosts stream from them, and one of the three others leads
	for _, h := range s.hosts {
		if h.at == "h3" {
			s.setClock(h.ID, -3000) // their clocks are as the leader's
		}
	}
	s.clockIs(0, 9)
	s.host("h9").State, s.host("h8").State = fleet.HostJoining, fleet.HostSilent
	s.run(knowEvery)
	s.clockIs(0, 7)
	s.die("h7")
	s.run(2 * time.Second)
	s.clockIs(0, 6)
	s.setClock("h6", -1<<62)
	s.setClock("h5", 1<<62)
	s.clockIs(0, 6)
}

func TestOnlyClocksThatMovedAreTold(t *testing.T) {
	s := newScene(t, 9, 3)
	v := s.voters[s.host("h9").at]
	s.setClock("h9", 100)
	s.run(time.Second)
	for _, off := range []int64{-149, 349, 0, 350} {
		s.setClock("h9", off)
		s.run(time.Second)
	}
	if len(v.said) != 1 {
		t.Errorf("told %v", v.said)
	}
	s.setClock("h9", 351)
	s.run(time.Second)
	if len(v.said) != 2 || v.said[1] != (HostClock{Host: "h9", OffMs: 351}) {
		t.Errorf("told %v", v.said)
	}
	v.teller.Told(false, nil)
	s.run(time.Second)
	if len(v.said) != 3 {
		t.Errorf("a leader that asked for all was told %v", v.said)
	}
}

func TestAVoterWhoseClockIsNotMeasuredYetSaysNothingOfItsHosts(t *testing.T) {
	w := NewWatch("h1")
	hosts := []Host{{ID: "h1", State: fleet.HostReady}, {ID: "h2", State: fleet.HostReady},
		{ID: "h3", State: fleet.HostReady}}
	ages := Ages{Seq: 1, Full: true, Open: []OpenAge{{Host: "h2", Session: 1}, {Host: "h3", Session: 1}},
		Clocks: []HostClock{{Host: "h2", OffMs: 5000}, {Host: "h3", OffMs: 5000}}}
	look := func(off time.Duration, samples int) {
		t.Helper()
		w.Step(time.Second, false, 0)
		if liveness := w.Liveness(time.Second, nil); liveness.ClockOffset != off || liveness.ClockSamples != samples {
			t.Errorf("%s by %d hosts, want %s by %d", liveness.ClockOffset, liveness.ClockSamples, off, samples)
		}
	}
	w.Know(time.Second, hosts, []fleet.HostID{"h1", "h2"})
	w.Take(time.Second, "h2", ages)
	look(0, 1)
	behind := int64(-4000)
	w.Take(time.Second, "h2", Ages{Seq: 2, ClockMs: &behind})
	look(time.Second, 3)
}
