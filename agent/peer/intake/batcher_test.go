package intake_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// bench steps a batcher and keeps what it asked for and said.
type bench struct {
	t        *testing.T
	b        intake.Batcher
	now      time.Duration
	leads    bool
	proposed []intake.Propose // not answered yet
	sizes    []int            // of all
	answers  map[uint64]intake.Answer
	wake     time.Duration
}

func newBench(t *testing.T, leads bool) *bench {
	return &bench{t: t, leads: leads, answers: map[uint64]intake.Answer{}}
}

func (x *bench) step(events ...intake.Event) {
	x.t.Helper()
	for _, e := range x.b.Step(x.now, x.leads, events...) {
		switch e := e.(type) {
		case intake.Propose:
			x.proposed, x.sizes = append(x.proposed, e), append(x.sizes, len(e.Items))
		case intake.Answer:
			if _, told := x.answers[e.Ref]; told {
				x.t.Errorf("report %d is answered twice", e.Ref)
			}
			x.answers[e.Ref] = e
		case intake.Wake:
			x.wake = e.At
		}
	}
}

// arrive brings reports from a number on, of a size each.
func (x *bench) arrive(from, n, size int) {
	x.t.Helper()
	for i := from; i < from+n; i++ {
		x.step(intake.Arrived{Ref: uint64(i), Item: fleet.Item{Command: fleet.Report{Seq: uint64(i)}}, Size: size})
	}
}

// answer answers the oldest proposal: refused when it holds what cannot be committed.
func (x *bench) answer(poison map[uint64]error) {
	x.t.Helper()
	p := x.proposed[0]
	x.proposed = x.proposed[1:]
	done := intake.Committed{N: p.N, Index: 7}
	for _, item := range p.Items {
		seq := item.Command.(fleet.Report).Seq
		if err := poison[seq]; err != nil {
			x.step(intake.Committed{N: p.N, Err: err})
			return
		}
		done.Results = append(done.Results, fleet.Result{Dropped: int(seq)})
	}
	x.step(done)
}

func TestTheLeaderWaitsAMomentForMore(t *testing.T) {
	x := newBench(t, true)
	x.now = time.Second
	x.arrive(0, 1, 100)
	if len(x.proposed) != 0 || x.wake != time.Second+intake.Gather {
		t.Fatalf("%d proposed at once, woken at %s", len(x.proposed), x.wake)
	}
	x.now += intake.Gather - 1
	x.arrive(1, 2, 100)
	x.now++
	x.step()
	if fmt.Sprint(x.sizes) != "[3]" {
		t.Errorf("batches of %v, want one of 3", x.sizes)
	}
}

func TestAnotherVoterSendsOnWhatItHas(t *testing.T) {
	x := newBench(t, false)
	x.arrive(0, 1, 100)
	if fmt.Sprint(x.sizes) != "[1]" {
		t.Errorf("batches of %v, want one at once", x.sizes)
	}
}

func TestABatchIsClosedByItsSize(t *testing.T) {
	for name, c := range map[string]struct{ reports, size, want int }{
		"by the number of reports": {intake.GatherItems + 1, 1, intake.GatherItems},
		"by their bytes":           {9, intake.GatherBytes / 8, 8},
		"by one that is large":     {1, intake.GatherBytes, 1},
	} {
		x := newBench(t, true)
		x.arrive(0, c.reports, c.size)
		if len(x.sizes) != 1 || x.sizes[0] != c.want {
			t.Errorf("%s: batches of %v at once, want one of %d", name, x.sizes, c.want)
		}
	}
}

func TestFewBatchesAreUnderWayAndTheNextGathersMeanwhile(t *testing.T) {
	x := newBench(t, false)
	x.arrive(0, intake.BatchesInFlight+3, 100)
	if len(x.proposed) != intake.BatchesInFlight {
		t.Fatalf("%d batches are under way, want %d", len(x.proposed), intake.BatchesInFlight)
	}
	x.answer(nil)
	if got := x.sizes[len(x.sizes)-1]; got != 3 || len(x.proposed) != intake.BatchesInFlight {
		t.Errorf("then one of %d, %d under way", got, len(x.proposed))
	}
}

func TestTooManyThatWaitAreRefused(t *testing.T) {
	x := newBench(t, false)
	n := intake.BatchesInFlight + intake.MaxWaiting
	x.arrive(0, n, 1)
	if len(x.answers) != 0 {
		t.Fatalf("%d refused, and there was room", len(x.answers))
	}
	x.arrive(n, 1, 1)
	if err := x.answers[uint64(n)].Err; !errors.Is(err, protocol.ErrBusy) {
		t.Errorf("one too many is told %v", err)
	}
}

func TestWhatNobodyWaitsForIsNotWritten(t *testing.T) {
	x := newBench(t, true)
	x.arrive(0, 2, 1)
	x.step(intake.GivenUp{Ref: 0}, intake.GivenUp{Ref: 9})
	x.now += intake.Gather
	x.step()
	if len(x.proposed) != 1 || len(x.proposed[0].Items) != 1 || x.proposed[0].Items[0].Command.(fleet.Report).Seq != 1 {
		t.Fatalf("proposed %+v, want report 1 alone", x.proposed)
	}
	x.arrive(2, 1, 1)
	x.step(intake.GivenUp{Ref: 2})
	x.now += intake.Gather
	x.step()
	if len(x.sizes) != 1 {
		t.Errorf("batches of %v, the last for nobody", x.sizes)
	}
}

func TestOnlyTheReportThatCannotBeCommittedIsRefused(t *testing.T) {
	bad := errors.New("cannot be encoded")
	for name, c := range map[string]struct {
		poison map[uint64]error // by sequence number
		calls  int              // at most
	}{
		"one of many":        {map[uint64]error{3: protocol.ErrTooLarge}, 2*10 + 1},
		"the first and last": {map[uint64]error{0: protocol.ErrMalformed, 63: bad}, 4*7 + 1},
		"none":               {nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			x := newBench(t, true)
			x.arrive(0, 64, 1)
			x.now = intake.Gather
			x.step()
			for len(x.proposed) > 0 {
				x.answer(c.poison)
				if len(x.proposed) > 1 {
					t.Fatal("two parts of a batch are under way")
				}
			}
			for i := range uint64(64) {
				got, told := x.answers[i]
				if want := c.poison[i]; !told || !errors.Is(got.Err, want) ||
					want == nil && (got.Index != 7 || got.Result.Dropped != int(i)) {
					t.Errorf("report %d got %+v, want %v", i, got, want)
				}
			}
			if len(x.sizes) > c.calls {
				t.Errorf("proposed %d times, want at most %d", len(x.sizes), c.calls)
			}
		})
	}
}

func TestABatchIsNotPartedForWhatSaysNothingOfIt(t *testing.T) {
	for _, err := range []error{protocol.ErrNotLeader, protocol.ErrNoLeader, protocol.ErrUnknown, protocol.ErrStalled,
		protocol.ErrBusy, protocol.ErrBehind, protocol.ErrNotHere, context.Canceled, context.DeadlineExceeded} {
		x := newBench(t, true)
		x.arrive(0, 2, 1)
		x.now = intake.Gather
		x.step()
		x.step(intake.Committed{N: x.proposed[0].N, Err: err})
		if len(x.sizes) != 1 || !errors.Is(x.answers[0].Err, err) || !errors.Is(x.answers[1].Err, err) {
			t.Errorf("%v: proposed %d times, told %+v", err, len(x.sizes), x.answers)
		}
	}
}

func TestAnAnswerThatFitsNoProposal(t *testing.T) {
	x := newBench(t, false)
	x.arrive(0, 1, 1)
	x.step(intake.Committed{N: 99}, intake.Committed{N: x.proposed[0].N, Results: make([]fleet.Result, 2)})
	if err := x.answers[0].Err; !errors.Is(err, protocol.ErrUnknown) {
		t.Errorf("two results for one report are told as %v, want unknown", err)
	}
	x.step(intake.Committed{N: x.proposed[0].N}) // again
	if len(x.answers) != 1 {
		t.Errorf("answered %v", x.answers)
	}
}

func TestWhereAProposalIsTriedAgain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{protocol.ErrNotLeader, true},
		{fmt.Errorf("no way: %w", protocol.ErrNoLeader), true},
		{protocol.ErrUnknown, false},
		{fmt.Errorf("%w: %w", protocol.ErrUnknown, protocol.ErrNotLeader), false}, // it may have been committed
		{protocol.ErrStalled, false},
		{fleet.ErrInvalid, false},
		{nil, false},
	} {
		if got := intake.AgainElsewhere(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
