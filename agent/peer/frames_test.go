package peer

import (
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Everything that a caller can send is decoded by one codec into these.
func FuzzBodies(f *testing.F) {
	for _, v := range []any{
		fleet.OpenSession{Host: "h-1", Nonce: 1}, fleet.Report{Host: "h-1", Session: 1, Seq: 1, Tasks: []fleet.TaskReport{{Task: "t"}}},
		Ages{Seq: 1, Full: true, Open: []OpenAge{{Host: "h-1", Session: 2}}, Clocks: []HostClock{{Host: "h-1", OffMs: -1 << 60}}, Gone: []GoneAge{{Host: "h-2", AgeMs: 5}}},
		handover{RaftID: "h-1.1"}, probeRequest{Host: "h-1"}, stream.VoterFrame{Kind: stream.KindSnapshot, Tasks: []fleet.WantedTask{{ID: "t"}}},
	} {
		b, err := wire.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&fleet.OpenSession{}, &fleet.Report{}, &Ages{}, &handover{}, &probeRequest{}, &stream.VoterFrame{}, &stream.HostFrame{}, &ProposeAnswer{}} {
			_ = wire.Unmarshal(b, v)
		}
		var ages Ages
		if wire.Unmarshal(b, &ages) == nil {
			w := NewWatch("h-0")
			w.Take(time.Second, "h-9", ages)
			w.Step(2*time.Second, false, 10)
			w.Liveness(3*time.Second, nil)
		}
	})
}

func TestArrivalsStretchTheLimitOfALateHostOnly(t *testing.T) {
	tests := map[string]struct {
		gaps []time.Duration
		want time.Duration
	}{
		"beats on time":                    {repeat(protocol.HostBeat, 100), protocol.SuspectAfter},
		"a little late":                    {repeat(protocol.HostBeat+20*time.Millisecond, 100), protocol.SuspectAfter},
		"two outages do not count":         {append(repeat(protocol.HostBeat, 100), 9*time.Second, 9*time.Second), protocol.SuspectAfter},
		"always late by 150 ms":            {repeat(protocol.HostBeat+150*time.Millisecond, 100), 850 * time.Millisecond},
		"hopelessly late is bounded":       {repeat(4*time.Second, 100), maxSuspectAfter},
		"forgotten after two windows":      {append(repeat(2*time.Second, 10), repeat(protocol.HostBeat, 2*arrivalWindow+10)...), protocol.SuspectAfter},
		"remembered for at least a window": {append(repeat(2*time.Second, 10), repeat(protocol.HostBeat, arrivalWindow)...), maxSuspectAfter},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var a arrivals
			for _, gap := range tt.gaps {
				a.add(gap)
			}
			if got := a.suspectAfter(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func repeat(d time.Duration, n int) []time.Duration {
	out := make([]time.Duration, n)
	for i := range out {
		out[i] = d
	}
	return out
}
