package stream

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/raftfsm/fleet/wire/corpustest"
)

func TestTheCorpusIsReadAsEver(t *testing.T) {
	task := fleet.TaskID(strings.Repeat("1a", 16))
	kept := func(name string, v any, read func([]byte) ([]byte, error)) {
		t.Helper()
		var b bytes.Buffer
		if err := wire.WriteFrame(&b, v); err != nil {
			t.Fatal(err)
		}
		corpustest.Check(t, corpustest.Kind{Name: name, Now: b.Bytes(), Read: read})
	}
	kept("down", VoterFrame{
		Kind: KindSnapshot, LeaderAgeMs: 20, Streams: 4,
		Wanted: fleet.Wanted{
			Fleet: "f-1", Epoch: 1, Index: 9, Session: 3,
			Tasks:    []fleet.WantedTask{{ID: task, TaskDef: "web:1", Desired: fleet.TaskRunning}},
			TaskDefs: []fleet.TaskDef{{ID: "web:1", Containers: []fleet.Container{{Name: "app", Image: "web:1"}}}},
		},
	}, func(b []byte) ([]byte, error) {
		var down VoterFrame
		if err := wire.ReadFrame(bytes.NewReader(b), &down); err != nil {
			return nil, err
		}
		return wire.Marshal(down)
	})
	beat := HostFrame{LateMs: 5, Starved: true, Capacity: &fleet.CapacityReport{Host: "h-1", Nonce: 7},
		WallMs: 1_700_000_000_000}
	kept("up", beat, func(b []byte) ([]byte, error) {
		var up HostFrame
		if err := ReadHostFrame(bufio.NewReader(bytes.NewReader(b)), &up); err != nil {
			return nil, err
		}
		return wire.Marshal(up)
	})
}

func TestTheCorpusKnowsEveryField(t *testing.T) {
	corpustest.CheckFields(t, map[string]any{"down": VoterFrame{}, "up": HostFrame{}})
}
