package lead

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// bench steps a Driver whose one planner has more commands than an entry holds in
// its first pass, and none later. Effects are carried out by hand.
type bench struct {
	t      *testing.T
	driver *Driver
	in     Input
	did    []Effect // of the last step
	wake   time.Duration
	asked  Barrier // the newest
}

func newBench(t *testing.T, told bool) *bench {
	t.Helper()
	w := newWorld(t, 3)
	def := fleet.TaskDef{NetworkMode: fleet.NetworkBridge,
		Containers: []fleet.Container{{Name: "app", Image: "x", CPU: 256, MemoryReservation: 128}}}
	b := &bench{t: t, in: Input{Now: Instant{Wall: start, Mono: time.Hour}, State: w.s}}
	b.driver = NewDriver(DriverConfig{
		NewID: w.newID, Told: told, NotProposed: func(err error) bool { return errors.Is(err, errBusy) },
		Planners: []Planner{{By: "bulk", Next: func(plan.Input) plan.Plan {
			var p plan.Plan
			for i := range MaxEntryItems + 1 {
				p.Add(fleet.Item{By: "bulk", Command: fleet.RegisterTaskDef{Family: fmt.Sprint("f", i), Def: def}})
			}
			return p
		}}},
	})
	return b
}

func (b *bench) step(events ...Event) {
	b.t.Helper()
	b.did = b.driver.Step(b.in, events...)
	for _, e := range b.did {
		switch e := e.(type) {
		case Wake:
			b.wake = e.At
		case Barrier:
			b.asked = e
		}
	}
}

func (b *bench) after(d time.Duration) *bench {
	b.in.Now.Mono += d
	b.in.Now.Wall = b.in.Now.Wall.Add(d)
	return b
}

// of is the effects of a kind that the last step gave.
func of[E Effect](b *bench) (all []E) {
	for _, e := range b.did {
		if e, ok := e.(E); ok {
			all = append(all, e)
		}
	}
	return all
}

// kinds is the last step's effects but wakes, by name.
func (b *bench) kinds() string {
	var names []string
	for _, e := range b.did {
		if _, wake := e.(Wake); !wake {
			names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", e), "lead."))
		}
	}
	return strings.Join(names, " ")
}

func (b *bench) want(what, kinds string) {
	b.t.Helper()
	if got := b.kinds(); got != kinds {
		b.t.Fatalf("%s: the step gives %q, want %q", what, got, kinds)
	}
}

// elect makes the driver plan: its first entry is proposed.
func (b *bench) elect() ProposeEntry {
	b.t.Helper()
	b.in.Leads = true
	b.step(LeadershipChanged{})
	b.want("elected", "Barrier")
	b.step(BarrierDone{N: b.asked.N})
	b.want("the barrier has passed", "ReadLiveness")
	b.step(LivenessChanged{})
	b.want("the view is read", "StartDuties ProposeEntry")
	return of[ProposeEntry](b)[0]
}

func TestADriverProposesEntriesOneAfterTheOther(t *testing.T) {
	b := newBench(t, true)
	first := b.elect()
	b.step(EntryDone{N: first.N, Index: 7})
	b.want("the first has committed", "ProposeEntry")
	second := of[ProposeEntry](b)[0]
	if len(first.Items) != MaxEntryItems || len(second.Items) != 1 {
		t.Errorf("entries of %d and %d commands", len(first.Items), len(second.Items))
	}
	b.step(EntryDone{N: second.N, Index: 8})
	b.want("both have committed, and are not applied yet", "")
}

func TestTheEndOfAProposal(t *testing.T) {
	for _, tt := range []struct {
		name      string
		err       error
		want      string
		stepDowns uint64
	}{
		{"an entry that is surely not done lets the leader go on", fmt.Errorf("later: %w", errBusy), "", 0},
		{"an entry of which nobody knows makes it step down", errors.New("deadline"), "StopDuties StepDown", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, true)
			first := b.elect()
			b.step(EntryDone{N: first.N, Index: 7})
			b.step(EntryDone{N: first.N, Err: tt.err})
			b.want("the second ended", tt.want)
			if got := b.driver.Stats().StepDowns; got != tt.stepDowns {
				t.Errorf("%d steps down", got)
			}
		})
	}
}

func TestWhatAnEarlierTermBeganIsNotGoneOnWith(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lost  bool // seen, not only told of
		again int  // notices
	}{
		{"leadership is lost", true, 1},
		{"leadership is lost and nobody says so", true, 0},
		{"leadership is lost and won again before anybody looks", false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, true)
			first := b.elect()
			b.in.Leads = !tt.lost
			b.step(slices.Repeat([]Event{LeadershipChanged{}}, tt.again)...)
			if of[StopDuties](b) == nil || b.driver.Leading() {
				t.Fatalf("duties run on: %s", b.kinds())
			}
			b.step(EntryDone{N: first.N, Index: 7})
			if of[ProposeEntry](b) != nil {
				t.Error("the next entry of a term that is over is proposed")
			}
			b.in.Leads = true
			b.step()
			b.step(BarrierDone{N: b.asked.N})
			b.step(LivenessChanged{})
			b.want("elected again", "StartDuties ProposeEntry")
			b.step(EntryDone{N: first.N, Err: errors.New("deadline")})
			b.want("a proposal of the earlier term is unknown", "")
		})
	}
}

func TestOnlyABarrierOfThePresentTermCounts(t *testing.T) {
	b := newBench(t, true)
	b.in.Leads = true
	b.step(LeadershipChanged{})
	old := b.asked
	b.step(LeadershipChanged{})
	b.want("elected again while a barrier is under way", "")
	b.step(BarrierDone{N: old.N})
	b.want("a barrier of the earlier term has passed", "Barrier")
	b.step(BarrierDone{N: b.asked.N})
	b.want("one of the present term has", "ReadLiveness")
	b.in.Leads = false
	b.step(LivenessChanged{})
	b.want("leadership went before the view came", "")
	b.in.Leads = true
	b.step()
	b.want("it leads again", "Barrier")
}

func TestABarrierIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		pause time.Duration
		fail  func(b *bench)
	}{
		{"after one that did not pass", BarrierAgain, func(b *bench) {
			b.in.Leads = true
			b.step(LeadershipChanged{})
			b.step(BarrierDone{N: b.asked.N, Err: errors.New("no quorum")})
		}},
		{"after a step down", RegainAfter, func(b *bench) {
			b.step(EntryDone{N: b.elect().N, Err: errors.New("deadline")})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, true)
			tt.fail(b)
			at := b.in.Now.Mono + tt.pause
			if b.wake != at {
				t.Errorf("it wakes after %s, want %s", b.wake-b.in.Now.Mono, tt.pause)
			}
			b.after(tt.pause - 1).step()
			b.want("too soon", "")
			b.after(1).step()
			b.want("in time", "Barrier")
		})
	}
}

func TestADriverReadsTheViewWhereNobodySaysThatItChanged(t *testing.T) {
	for _, told := range []bool{false, true} {
		t.Run(fmt.Sprint("told: ", told), func(t *testing.T) {
			b := newBench(t, told)
			b.step(LivenessNoticed{})
			b.want("it does not lead", "")
			b.elect()
			b.step(LivenessNoticed{})
			b.want("noticed", "ReadLiveness")
			b.step(LivenessChanged{})
			b.after(PollEvery - 1).step()
			b.want("just read", "")
			b.after(1).step()
			if got := of[ReadLiveness](b) != nil; got == told {
				t.Errorf("read: %v", got)
			}
		})
	}
}

func TestADriverDoesNotPlanBeforeItLeads(t *testing.T) {
	b := newBench(t, true)
	b.step(Applied{State: b.in.State, ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("web"))})
	b.want("applied", "")
	b.elect()
	if got := b.driver.Stats().FullPasses; got != 1 {
		t.Errorf("%d full passes", got)
	}
}
