package stream_test

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/agent/peer/stream"
	"skein/agent/peer/stream/streamtest"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// A host that follows the deltas of a stream holds exactly what a snapshot would
// give it, whatever happened in between and however often it reconnected.
func TestDeltasAmountToTheSnapshot(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 1))
			world := randomWanted{chance: chance, w: fleet.Wanted{Fleet: "f-1", Epoch: 1, Index: 10, Session: 1}}
			sent, held := &stream.Ledger{}, fleet.Wanted{}
			for range 100 {
				world.change()
				if chance.IntN(10) == 0 {
					sent = &stream.Ledger{} // a new stream, of another voter perhaps
					if held.Session == world.w.Session && held.Epoch == world.w.Epoch && cmp.Equal(held.Tasks, world.w.Tasks) {
						sent.ResumeWanted(world.w)
					}
				}
				d, err := rejoin(sent.FrameOf(world.w).Pieces())
				if err != nil {
					t.Fatal(err)
				}
				next, err := streamtest.Merge(held, d)
				if err != nil {
					t.Fatal(err)
				}
				held = next
				want := world.w
				want.TaskDefs = slices.Clone(want.TaskDefs)
				if diff := cmp.Diff(want, held); diff != "" {
					t.Fatal(diff)
				}
			}
		})
	}
}

// randomWanted is a host's part that changes at random.
type randomWanted struct {
	chance *rand.Rand
	w      fleet.Wanted
}

func (r *randomWanted) change() {
	w := r.w
	w.Tasks = slices.Clone(w.Tasks)
	w.Index += uint64(1 + r.chance.IntN(3))
	switch r.chance.IntN(12) {
	case 0:
		w.Session++
	case 1:
		w.Epoch++
	case 2, 3:
		if len(w.Tasks) > 0 {
			i := r.chance.IntN(len(w.Tasks))
			w.Tasks = slices.Delete(w.Tasks, i, i+1)
		}
	case 4, 5:
		if len(w.Tasks) > 0 {
			i := r.chance.IntN(len(w.Tasks))
			w.Tasks[i].ModifyIndex, w.Tasks[i].Desired = w.Index, fleet.TaskStopped
		}
	case 6:
		if len(w.Tasks) > 0 { // the service's row changed, not the task's
			w.Tasks[r.chance.IntN(len(w.Tasks))].StopAfterMs += 1000
		}
	case 7: // nothing of this host
	default:
		id := fleet.TaskID(fmt.Sprintf("t%03d", r.chance.IntN(40)))
		if !slices.ContainsFunc(w.Tasks, func(t fleet.WantedTask) bool { return t.ID == id }) {
			w.Tasks = append(w.Tasks, fleet.WantedTask{ID: id, ModifyIndex: w.Index, Desired: fleet.TaskRunning,
				Last:    fleet.TaskPending,
				TaskDef: fleet.TaskDefID(fmt.Sprintf("app:%d", 1+r.chance.IntN(4)))})
		}
	}
	slices.SortFunc(w.Tasks, func(a, b fleet.WantedTask) int { return strings.Compare(string(a.ID), string(b.ID)) })
	w.TaskDefs = nil
	for _, t := range w.Tasks {
		if !slices.ContainsFunc(w.TaskDefs, func(d fleet.TaskDef) bool { return d.ID == t.TaskDef }) {
			w.TaskDefs = append(w.TaskDefs, fleet.TaskDef{ID: t.TaskDef, CPU: 1})
		}
	}
	slices.SortFunc(w.TaskDefs, func(a, b fleet.TaskDef) int { return strings.Compare(string(a.ID), string(b.ID)) })
	if len(w.Tasks) == 0 {
		w.Tasks = nil
	}
	r.w = w
}

func TestADeltaHoldsOnlyWhatChanged(t *testing.T) {
	task := func(id string, modifyIndex uint64) fleet.WantedTask {
		return fleet.WantedTask{ID: fleet.TaskID(id), ModifyIndex: modifyIndex, TaskDef: "app:1", Desired: fleet.TaskRunning}
	}
	def := fleet.TaskDef{ID: "app:1"}
	at := func(index uint64, tasks ...fleet.WantedTask) fleet.Wanted {
		w := fleet.Wanted{Fleet: "f-1", Epoch: 1, Index: index, Session: 3, Tasks: tasks}
		if len(tasks) > 0 {
			w.TaskDefs = []fleet.TaskDef{def}
		}
		return w
	}
	l := &stream.Ledger{}
	steps := []struct {
		name    string
		w       fleet.Wanted
		kind    stream.Kind
		tasks   []fleet.TaskID
		removed []fleet.TaskID
		defs    int
	}{
		{"the first frame is everything", at(5, task("a", 4), task("b", 5)), stream.KindSnapshot, []fleet.TaskID{"a", "b"},
			nil, 1},
		{"nothing changed is a beat", at(6, task("a", 4), task("b", 5)), stream.KindBeat, nil, nil, 0},
		{"one changed", at(7, task("a", 7), task("b", 5)), stream.KindDelta, []fleet.TaskID{"a"}, nil, 0},
		{"one came and one went", at(8, task("a", 7), task("c", 8)), stream.KindDelta, []fleet.TaskID{"c"},
			[]fleet.TaskID{"b"}, 0},
		{"all went", at(9), stream.KindDelta, nil, []fleet.TaskID{"a", "c"}, 0},
		{"a definition that had gone is sent again", at(10, task("d", 10)), stream.KindDelta, []fleet.TaskID{"d"}, nil, 1},
	}
	for _, step := range steps {
		d := l.FrameOf(step.w)
		var ids []fleet.TaskID
		for _, t := range d.Tasks {
			ids = append(ids, t.ID)
		}
		if d.Kind != step.kind || !slices.Equal(ids, step.tasks) || !slices.Equal(d.Removed, step.removed) ||
			len(d.TaskDefs) != step.defs || d.Index != step.w.Index || d.Session != 3 {
			t.Errorf("%s: got %+v", step.name, d)
		}
	}
}

func TestAnotherSessionOrEpochBeginsWithASnapshot(t *testing.T) {
	l := &stream.Ledger{}
	w := fleet.Wanted{Fleet: "f-1", Epoch: 1, Index: 5, Session: 1}
	l.FrameOf(w)
	w.Session = 2
	if d := l.FrameOf(w); d.Kind != stream.KindSnapshot {
		t.Errorf("new session: kind %d", d.Kind)
	}
	w.Epoch = 2
	if d := l.FrameOf(w); d.Kind != stream.KindSnapshot {
		t.Errorf("new epoch: kind %d", d.Kind)
	}
}

func rejoin(pieces []stream.VoterFrame) (d stream.VoterFrame, err error) {
	d = pieces[0]
	for _, part := range pieces[1:] {
		if d, err = d.Joined(part); err != nil {
			return d, err
		}
	}
	return d, nil
}

func TestALargeFrameTravelsInPartsThatFitTheWire(t *testing.T) {
	large := stream.VoterFrame{Kind: stream.KindSnapshot, Roster: &trust.Roster{Epoch: 1},
		Wanted: fleet.Wanted{Fleet: "f-1", Epoch: 1, Index: 9, Session: 2}}
	for i := range 1000 {
		id := fleet.TaskDefID(fmt.Sprintf("app:%04d", i))
		large.TaskDefs = append(large.TaskDefs,
			fleet.TaskDef{ID: id, Containers: []fleet.Container{{Name: strings.Repeat("x", 64<<10)}}})
		large.Tasks = append(large.Tasks, fleet.WantedTask{ID: fleet.TaskID(fmt.Sprintf("t%04d", i)), TaskDef: id})
	}
	pieces := large.Pieces()
	for i, part := range pieces {
		if _, err := wire.Marshal(part); err != nil {
			t.Fatal(err)
		}
		if part.More != (i < len(pieces)-1) {
			t.Errorf("part %d of %d says more %v", i, len(pieces), part.More)
		}
	}
	got, err := rejoin(pieces)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(large, got); diff != "" {
		t.Error(diff[:min(len(diff), 1000)])
	}
	if n := len((stream.VoterFrame{Kind: stream.KindBeat}).Pieces()); n != 1 {
		t.Errorf("a beat travels in %d parts", n)
	}
}

// largestTask is a wanted task with every field at its limit.
func largestTask(n int) fleet.WantedTask {
	long := strings.Repeat("n", fleet.MaxName-2)
	t := fleet.WantedTask{
		ID: fleet.TaskID(fmt.Sprintf("%032x", n)), ModifyIndex: math.MaxUint64, Service: long,
		Revision: fleet.RevisionID(long + "/1000000000"),
		TaskDef:  fleet.TaskDefID(long + ":1000000000"), Desired: fleet.TaskRunning, StopAfterMs: math.MaxInt64,
		GraceS: math.MaxInt32,
	}
	for i := range 100 {
		t.Ports = append(t.Ports, fleet.PortBinding{Container: fmt.Sprintf("%s%02d", long, i%10), ContainerPort: 65_535,
			HostPort: 65_535, Protocol: fleet.UDP})
	}
	for i := range fleet.MaxContainers {
		t.Images = append(t.Images,
			fleet.ImagePin{Container: fmt.Sprintf("%s%02d", long, i), Digest: "sha256:" + strings.Repeat("a", 64)})
	}
	return t
}

func TestEveryPartOfAFrameFitsTheWireHoweverLargeItsTasksAndDefinitionsAre(t *testing.T) {
	large := stream.VoterFrame{Kind: stream.KindSnapshot, Wanted: fleet.Wanted{Fleet: "f1", Epoch: 1, Index: 9}}
	for i := range 2 * stream.PieceTasks {
		large.Tasks = append(large.Tasks, largestTask(i))
	}
	for i := range 2 * stream.PieceRemoved {
		large.Removed = append(large.Removed, fleet.TaskID(fmt.Sprintf("%032x", i)))
	}
	for i := range 3 * stream.PieceDefs {
		def := fleet.TaskDef{ID: fleet.MakeTaskDefID("heavy", i), Containers: []fleet.Container{{Name: "app"}}}
		for n := range fleet.MaxTaskDefMem / 5 { // the smallest texts: most bytes of the wire for a byte of text
			def.Containers[0].Environment = append(def.Containers[0].Environment, fleet.EnvVar{Name: string(rune('a' + n%26))})
		}
		large.TaskDefs = append(large.TaskDefs, def)
	}
	for i, part := range large.Pieces() {
		if err := wire.WriteFrame(io.Discard, part); err != nil {
			t.Errorf("part %d with %d tasks and %d definitions: %v", i, len(part.Tasks), len(part.TaskDefs), err)
		}
	}
}
