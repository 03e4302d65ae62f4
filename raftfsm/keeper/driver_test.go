package keeper_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// driven is a world whose leader runs a Driver. What the driver asks for is carried
// out by run, or by hand.
type driven struct {
	*world
	driver *keeper.Driver
	mono   time.Duration
	wake   time.Duration
	log    []string // of effects, with the time since the term began
}

func newDriven(t *testing.T, seldom time.Duration, zones ...string) *driven {
	d := &driven{world: newWorld(t, zones...), mono: time.Hour}
	d.driver = keeper.NewDriver(d.mono, seldom)
	d.step()
	return d
}

// step steps the driver and returns what it asks for, but the wake.
func (d *driven) step(events ...keeper.Event) (effects []keeper.Effect) {
	d.t.Helper()
	in := d.input()
	in.Answers = nil
	for _, e := range d.driver.Step(d.now, d.mono, in, events...) {
		if wake, ok := e.(keeper.Wake); ok {
			d.wake = wake.At
			continue
		}
		d.log = append(d.log, fmt.Sprintf("%v %s", d.mono-time.Hour, strings.TrimPrefix(fmt.Sprintf("%T", e), "keeper.")))
		effects = append(effects, e)
	}
	return effects
}

func (d *driven) pass(by time.Duration) {
	d.now, d.mono = d.now.Add(by), d.mono+by
}

// look lets time pass until the next look and returns the questions it begins with.
func (d *driven) look() []keeper.Effect {
	d.t.Helper()
	d.pass(d.wake - d.mono)
	return d.step()
}

// answered are the answers to questions, as hosts give them.
func (d *driven) answered(effects []keeper.Effect) (events []keeper.Event) {
	for _, e := range effects {
		if ask, ok := e.(keeper.Ask); ok {
			answer := d.answer(d.state.Voter(ask.ID))
			answer.For = 0
			events = append(events, keeper.Answered{N: ask.N, ID: ask.ID, Answer: answer})
		}
	}
	return events
}

// carry carries effects out, and what follows, until the driver rests.
func (d *driven) carry(effects []keeper.Effect) {
	d.t.Helper()
	for range 1_000 {
		if len(effects) == 0 {
			return
		}
		events := d.answered(effects)
		for _, e := range effects {
			switch e := e.(type) {
			case keeper.Ask:
			case keeper.Propose:
				for _, item := range e.Items {
					d.intent(item)
				}
				events = append(events, keeper.Proposed{})
			default:
				d.carryOut(e)
				events = append(events, keeper.Done{})
			}
		}
		effects = d.step(events...)
	}
	d.t.Fatal("the driver never rests")
}

func (d *driven) run(for_ time.Duration) {
	d.t.Helper()
	for end := d.mono + for_; d.wake < end; {
		d.carry(d.look())
	}
}

func kinds(effects []keeper.Effect) string {
	var names []string
	for _, e := range effects {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", e), "keeper."))
	}
	return strings.Join(names, " ")
}

func (d *driven) want(what string, effects []keeper.Effect, want string) []keeper.Effect {
	d.t.Helper()
	if got := kinds(effects); got != want {
		d.t.Fatalf("%s: got %q, want %q\n%s", what, got, want, strings.Join(d.log, "\n"))
	}
	return effects
}

func TestADriverGrowsAFleetFromOneVoterToThreeAtOnce(t *testing.T) {
	d := newDriven(t, 0, "a", "b", "c")
	d.run(time.Minute)
	if got := d.voters(); got != "1 2 3" {
		t.Fatalf("%s vote\n%s", got, strings.Join(d.log, "\n"))
	}
	var added []string
	for _, line := range d.log {
		if at, ok := strings.CutSuffix(line, " AddVoter"); ok {
			added = append(added, at)
		}
	}
	if len(added) != 2 || added[0] != added[1] {
		t.Errorf("votes were given at %v", added)
	}
}

// grown is a fleet of three voters whose driver rests, and a host more.
func grown(t *testing.T, seldom time.Duration) *driven {
	d := newDriven(t, seldom, "a", "b", "c", "a")
	d.run(time.Minute)
	if got := d.voters(); got != "1 2 3" {
		t.Fatalf("%s vote", got)
	}
	return d
}

func TestAQuestionEndsInTime(t *testing.T) {
	d := grown(t, 0)
	asks := d.want("a look", d.look(), "Ask Ask")
	d.want("one of two has answered", d.step(d.answered(asks[:1])...), "")
	d.pass(keeper.AskFor - 1)
	d.want("too soon", d.step(), "")
	began := d.mono + 1 - keeper.AskFor
	d.pass(1)
	d.want("silence is an answer", d.step(), "")
	if d.wake != began+keeper.LookEvery {
		t.Errorf("the next look is %s after this one, want %s", d.wake-began, keeper.LookEvery)
	}
}

func TestAnAnswerOfAnEarlierRoundIsNone(t *testing.T) {
	d := grown(t, 0)
	old := d.answered(d.look())
	d.pass(keeper.AskFor)
	d.step()
	d.want("the next look", d.look(), "Ask Ask")
	d.step(old...)
	began := d.mono
	d.pass(d.wake - d.mono)
	if d.mono-began != keeper.AskFor {
		t.Fatalf("late answers end the round after %s", d.mono-began)
	}
}

func TestSilenceIsMeasuredFromItsBegin(t *testing.T) {
	d := grown(t, 0)
	d.down(2)
	began := d.mono
	d.run(keeper.DeadAfter - 2*time.Second)
	if rows := d.rows(); strings.Contains(rows, "4.1") {
		t.Fatalf("replaced after %s: %s", d.mono-began, rows)
	}
	d.back(2, false)
	d.run(time.Second) // heard, once
	d.down(2)
	d.run(keeper.DeadAfter - 2*time.Second)
	if rows := d.rows(); strings.Contains(rows, "4.1") {
		t.Fatalf("replaced though it was heard meanwhile: %s", rows)
	}
	d.run(10 * time.Second)
	if rows := d.rows(); !strings.Contains(rows, "4.1") {
		t.Errorf("not replaced: %s", rows)
	}
}

// replacing is a fleet at the step that takes a retired voter's row away: it has a
// proposal and an effect.
func replacing(t *testing.T) (d *driven, propose []keeper.Effect) {
	d = grown(t, 0)
	d.down(2)
	for range 10_000 {
		effects := d.look()
		for len(effects) > 0 {
			if p, ok := effects[0].(keeper.Propose); ok {
				if _, removes := p.Items[0].Command.(fleet.RemoveVoter); removes {
					return d, effects
				}
			}
			effects = d.carryOnce(effects)
		}
	}
	t.Fatal("no row is removed")
	return nil, nil
}

// carryOnce carries effects out and returns what follows.
func (d *driven) carryOnce(effects []keeper.Effect) []keeper.Effect {
	d.t.Helper()
	events := d.answered(effects)
	for _, e := range effects {
		switch e := e.(type) {
		case keeper.Ask:
		case keeper.Propose:
			d.intent(e.Items[0])
			events = append(events, keeper.Proposed{})
		default:
			d.carryOut(e)
			events = append(events, keeper.Done{})
		}
	}
	return d.step(events...)
}

func TestEffectsFollowAProposal(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []keeper.Event
		want   string
	}{
		{"that has committed", []keeper.Event{keeper.Proposed{}}, "DeleteLog"},
		{"not one that is unknown", []keeper.Event{keeper.Proposed{Err: errors.New("unknown")}}, ""},
		{"and the next step follows the last", []keeper.Event{keeper.Proposed{}, keeper.Done{}}, "DeleteLog Ask Ask"},
		{"unless one failed", []keeper.Event{keeper.Proposed{}, keeper.Done{Err: errors.New("no answer")}}, "DeleteLog"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, effects := replacing(t)
			d.want("the row is to go", effects, "Propose")
			d.intent(effects[0].(keeper.Propose).Items[0])
			var got []keeper.Effect
			for _, e := range tt.events {
				got = append(got, d.step(e)...)
			}
			d.want("then", got, tt.want)
		})
	}
}

func TestAnOlderLogDoesNotAnswerForOneThatIsToBeMade(t *testing.T) {
	d := newDriven(t, 0, "a", "b", "c")
	effects := d.look()
	for range keeper.StepsAtOnce {
		if kinds(effects) == "HandOverKeys" {
			return
		}
		if p, ok := effects[0].(keeper.Propose); ok {
			set := p.Items[0].Command.(fleet.SetVoter)
			if set.Phase == fleet.VoterLearning {
				t.Fatalf("%s learns though this leader has not handed keys over", set.ID)
			}
			d.hosts[set.ID.Host()].holds = set.ID // of a preparation by a leader before
		}
		effects = d.carryOnce(effects)
	}
	t.Errorf("no keys are handed over\n%s", strings.Join(d.log, "\n"))
}

func TestStepsOfOneLookAreBounded(t *testing.T) {
	d := newDriven(t, 0, "a", "b", "c")
	effects, proposals := d.look(), 0
	for ; len(effects) > 0 && proposals < 100; effects = d.step(keeper.Proposed{}) {
		d.want("alone", effects, "Propose") // the log says that it committed, and State never has it
		proposals++
	}
	if proposals != keeper.StepsAtOnce {
		t.Errorf("%d steps in one look", proposals)
	}
}

func TestADriverThatHasNothingToDoLooksSeldom(t *testing.T) {
	const seldom = 2 * time.Minute
	d := grown(t, seldom)
	d.run(keeper.AwakeFor + time.Minute)
	d.carry(d.look())
	if got := d.wake - d.mono; got != seldom {
		t.Fatalf("it looks again in %s", got)
	}
	d.step(keeper.Changed{})
	if got := d.wake - d.mono; got != keeper.LookEvery {
		t.Errorf("it looks %s after a change", got)
	}
	d.carry(d.look())
	if got := d.wake - d.mono; got != keeper.LookEvery {
		t.Errorf("it looks again in %s soon after a change", got)
	}
}

func TestADriverRestsWhileTheLogTellsNothing(t *testing.T) {
	d := grown(t, 0)
	d.pass(d.wake - d.mono)
	for _, e := range d.driver.Step(d.now, d.mono, keeper.Input{}) {
		if wake, ok := e.(keeper.Wake); !ok || wake.At != d.mono+keeper.LookEvery {
			t.Errorf("got %#v", e)
		}
	}
}

// A moment that State names is met without looking for it before.
func TestADriverThatLooksSeldomRaisesTheFormatOnTime(t *testing.T) {
	d := newDriven(t, 7*time.Hour, "a", "b", "c")
	d.run(10 * time.Minute)
	d.upgrade(2, 1, 2, 3)
	d.step(keeper.Changed{})
	d.run(10 * time.Minute)
	at := d.state.Fleet().NextFormatAt
	if at == 0 {
		t.Fatalf("nothing is planned: %+v", d.state.Fleet())
	}
	before := len(d.log)
	d.run(at.Sub(d.now) + time.Second)
	if d.state.Fleet().Format != 2 {
		t.Errorf("the format is %d at %v, planned for %v\n%s", d.state.Fleet().Format, d.now, at,
			strings.Join(d.log[before:], "\n"))
	}
	if asked := strings.Count(strings.Join(d.log[before:], "\n"), "Ask"); asked > 2*(4+2) {
		t.Errorf("%d questions were asked meanwhile", asked)
	}
}
