package peer

import (
	"testing"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/stream"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// Everything that a caller can send is decoded by one codec into these.
func FuzzBodies(f *testing.F) {
	for _, v := range []any{
		fleet.OpenSession{Host: "h-1", Nonce: 1},
		fleet.Report{Host: "h-1", Session: 1, Seq: 1, Tasks: []fleet.TaskReport{{Task: "t"}}},
		detector.Ages{Seq: 1, Full: true, Open: []detector.OpenAge{{Host: "h-1", Session: 2}},
			Clocks: []detector.HostClock{{Host: "h-1", OffMs: -1 << 60}}, Gone: []detector.GoneAge{{Host: "h-2", AgeMs: 5}}},
		handover{RaftID: "h-1.1"}, probeRequest{Host: "h-1"},
		stream.VoterFrame{Kind: stream.KindSnapshot, Wanted: fleet.Wanted{Tasks: []fleet.WantedTask{{ID: "t"}}}},
	} {
		b, err := wire.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&fleet.OpenSession{}, &fleet.Report{}, &detector.Ages{}, &handover{}, &probeRequest{},
			&stream.VoterFrame{}, &stream.HostFrame{}, &ProposeAnswer{}} {
			_ = wire.Unmarshal(b, v)
		}
		var ages detector.Ages
		if wire.Unmarshal(b, &ages) == nil {
			w := detector.NewWatch("h-0")
			w.Take(time.Second, "h-9", ages)
			w.Step(2*time.Second, false, 10)
			w.Liveness(3*time.Second, nil)
		}
	})
}
