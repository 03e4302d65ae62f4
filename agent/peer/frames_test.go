package peer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net/url"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestReadUpRefusesALargeFrameBeforeItReadsIt(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, maxHostFrame+1)
	var up HostFrame
	err := readHostFrame(bufio.NewReader(bytes.NewReader(head)), &up)
	wantErr(t, err, ErrTooLarge)
}

func FuzzReadUp(f *testing.F) {
	var good bytes.Buffer
	if err := wire.WriteFrame(&good, HostFrame{LateMs: 3, Starved: true, Capacity: &fleet.CapacityReport{Host: "h-1", Nonce: 1, Seq: 2}}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte{0, 0, 0, 1, 0xa0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		for range 10 {
			var up HostFrame
			if err := readHostFrame(r, &up); err != nil {
				return
			}
		}
	})
}

// Everything that a caller can send is decoded by one codec into these.
func FuzzBodies(f *testing.F) {
	for _, v := range []any{
		fleet.OpenSession{Host: "h-1", Nonce: 1}, fleet.Report{Host: "h-1", Session: 1, Seq: 1, Tasks: []fleet.TaskReport{{Task: "t"}}},
		Ages{Seq: 1, Full: true, Open: []OpenAge{{Host: "h-1", Session: 2}}, Clocks: []HostClock{{Host: "h-1", OffMs: -1 << 60}}, Gone: []GoneAge{{Host: "h-2", AgeMs: 5}}},
		handover{RaftID: "h-1.1"}, probeRequest{Host: "h-1"}, VoterFrame{Kind: KindSnapshot, Tasks: []fleet.WantedTask{{ID: "t"}}},
	} {
		b, err := wire.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{&fleet.OpenSession{}, &fleet.Report{}, &Ages{}, &handover{}, &probeRequest{}, &VoterFrame{}, &HostFrame{}, &ProposeAnswer{}} {
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

func TestAPositionSurvivesItsQuery(t *testing.T) {
	for _, want := range []position{{}, {epoch: 1, index: 1 << 63, session: 7, resume: true}} {
		q, err := url.ParseQuery(want.query())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsePosition(q); err != nil || got != want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	for _, query := range []string{"", "epoch=-1&index=1&session=1", "epoch=1&index=x&session=1", "epoch=1&index=1"} {
		q, _ := url.ParseQuery(query)
		if _, err := parsePosition(q); err == nil {
			t.Errorf("%q is taken", query)
		}
	}
}

func TestArrivalsStretchTheLimitOfALateHostOnly(t *testing.T) {
	tests := map[string]struct {
		gaps []time.Duration
		want time.Duration
	}{
		"beats on time":                    {repeat(HostBeat, 100), SuspectAfter},
		"a little late":                    {repeat(HostBeat+20*time.Millisecond, 100), SuspectAfter},
		"two outages do not count":         {append(repeat(HostBeat, 100), 9*time.Second, 9*time.Second), SuspectAfter},
		"always late by 150 ms":            {repeat(HostBeat+150*time.Millisecond, 100), 850 * time.Millisecond},
		"hopelessly late is bounded":       {repeat(4*time.Second, 100), maxSuspectAfter},
		"forgotten after two windows":      {append(repeat(2*time.Second, 10), repeat(HostBeat, 2*arrivalWindow+10)...), SuspectAfter},
		"remembered for at least a window": {append(repeat(2*time.Second, 10), repeat(HostBeat, arrivalWindow)...), maxSuspectAfter},
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
