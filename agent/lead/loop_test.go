package lead

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/hosts"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestALoopThatDoesNotLeadDoesNothing(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.advance(time.Minute)
	if len(w.proposals) > 0 || w.wake != 0 {
		t.Errorf("proposed %d entries, wakes at %v", len(w.proposals), w.wake)
	}
}

func TestANewLeaderMakesAFullPassAtOnce(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.lead()
	if got := commands(w.proposals); got != "PutGoals CreateTasks PutCondition PlaceTasks" {
		t.Errorf("proposed %q", got)
	}
	if s := w.loop.Stats(); s.FullPasses != 1 {
		t.Errorf("%d full passes", s.FullPasses)
	}
}

func TestEventsAreGathered(t *testing.T) {
	w := newWorld(t, 3)
	w.lead()
	w.service("a", 1, false)
	w.advance(GatherFor - time.Millisecond)
	w.service("b", 1, false)
	if len(w.proposals) > 0 {
		t.Fatalf("planned before %v", GatherFor)
	}
	w.advance(GatherFor)
	if len(w.proposals) != 1 {
		t.Errorf("%d entries for two services, want 1: %s", len(w.proposals), commands(w.proposals))
	}
}

func TestGatheringEnds(t *testing.T) {
	w := newWorld(t, 3)
	w.lead()
	began := w.now.Mono
	for i := range 100 {
		w.service(fmt.Sprintf("s%02d", i), 1, false)
		w.advance(GatherFor - 2*time.Millisecond)
		if len(w.proposals) > 0 {
			break
		}
	}
	if took := w.now.Mono - began; took > GatherMost+GatherFor {
		t.Errorf("the first of many events waited %v, want at most %v", took, GatherMost)
	}
}

func TestNothingIsPlannedOnAStateWithoutOnesOwnCommands(t *testing.T) {
	w := newWorld(t, 3)
	w.lead()
	w.mute = true
	w.service("web", 3, false)
	w.advance(time.Second)
	if len(w.proposals) != 1 {
		t.Fatalf("proposed %s", commands(w.proposals))
	}
	// The entry commits, but it is not applied here yet.
	index := w.s.Index() + 100
	w.step(ProposalDone{N: w.held.N, Index: index, Results: make([]fleet.Result, len(w.held.Entries[0]))})
	w.service("other", 1, false)
	w.advance(time.Second)
	if len(w.proposals) != 1 {
		t.Fatalf("planned without it: %s", commands(w.proposals))
	}
	w.mute = false
	_, changeSet := w.commitAt(index, w.held.Entries[0])
	w.step(Applied{State: w.s.Clone(), ChangeSet: changeSet})
	w.advance(time.Second)
	if got := w.s.Counts("other", "").Total; got != 1 {
		t.Errorf("%d tasks of the other service", got)
	}
	if got := w.s.Counts("web", "").Total; got != 3 {
		t.Errorf("%d tasks of the first service", got)
	}
}

func TestAProposalThatDoesNotReturnEndsTheTerm(t *testing.T) {
	tests := map[string]func(w *world){
		"no answer for 5 s": func(w *world) { w.advance(UnknownAfter) },
		"an answer that is unknown": func(w *world) {
			w.step(ProposalUnknown{N: w.held.N, Err: errors.New("lost")})
		},
	}
	for name, happen := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			w.lead()
			w.mute = true
			w.service("web", 3, false)
			w.advance(time.Second)
			happen(w)
			if w.stepDown == "" || w.loop.Leading() {
				t.Fatalf("leads on: %q", w.stepDown)
			}
			w.service("other", 1, false)
			w.advance(time.Minute)
			if len(w.proposals) != 1 {
				t.Errorf("plans on: %s", commands(w.proposals))
			}
			// What became of it is known after a barrier; an answer from before it is
			// of no interest.
			w.mute = false
			old := w.held.N
			w.lead()
			w.step(ProposalDone{N: old, Index: 1 << 40})
			w.settle()
			if w.running("web") != 3 || w.running("other") != 1 {
				t.Errorf("%d and %d tasks run after the next election", w.running("web"), w.running("other"))
			}
		})
	}
}

func TestALateAnswerOfAnEarlierTermChangesNothing(t *testing.T) {
	w := newWorld(t, 3)
	w.lead()
	w.mute = true
	w.service("web", 3, false)
	w.advance(time.Second)
	old := w.held.N
	w.step(LostLeadership{})
	w.lead()
	w.step(ProposalUnknown{N: old, Err: errors.New("late")})
	if !w.loop.Leading() {
		t.Error("stepped down for a proposal of an earlier term")
	}
}

func TestABusyLogIsTriedAgainAfterAPause(t *testing.T) {
	w := newWorld(t, 3)
	w.lead()
	w.mute = true
	w.service("web", 3, false)
	w.advance(time.Second)
	for i, pause := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		w.step(ProposalDone{N: w.held.N, NotProposed: errors.New("busy")})
		w.advance(pause - 50*time.Millisecond)
		if len(w.proposals) != i+1 {
			t.Fatalf("tried again within %v: %d times", pause, len(w.proposals))
		}
		w.advance(100 * time.Millisecond)
		if len(w.proposals) != i+2 {
			t.Fatalf("not tried again after %v", pause)
		}
	}
	if !w.loop.Leading() {
		t.Error("stepped down")
	}
}

func TestCommandsOfEarlierPlannersAreSeenByLaterOnes(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.lead()
	w.settle()
	w.advance(time.Minute)
	w.proposals = nil
	w.see("h2", plan.LivenessSilent)
	w.advance(GatherFor)
	// Silence, replacement and its host: one pass, one entry.
	if got := commands(w.proposals); got != "SilenceHost CreateTasks PutCondition PlaceTasks" || len(w.proposals) != 1 {
		t.Errorf("%d entries: %s", len(w.proposals), got)
	}
}

func TestARefusedFoldIsDroppedCountedAndSaid(t *testing.T) {
	bad := Planner{By: "bad", Next: func(in plan.Input) plan.Plan {
		var p plan.Plan
		p.Add(fleet.Item{Command: fleet.SilenceHost{Host: "nobody"}, By: "bad"},
			fleet.Item{Command: fleet.CordonHost{Host: "h1"}, By: "bad"})
		return p
	}}
	w := newWorld(t, 1, bad)
	w.lead()
	if got := w.loop.Stats().FoldRefused["bad"]; got != 1 {
		t.Errorf("%d refused folds counted", got)
	}
	if w.s.Host("h1").Cordon == nil {
		t.Error("the other command was dropped too")
	}
	if row := w.s.Condition(fleet.PlannerSubject("bad"), By); row == nil || row.Code != plan.CodeRefused {
		t.Errorf("nothing is said: %+v", row)
	}
}

func TestARefusedShareIsCountedAndTheOthersArePlaced(t *testing.T) {
	share := func(host fleet.HostID, task fleet.TaskID) fleet.AssignTasks {
		return fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{task}}
	}
	run := fleet.PlaceTasks{Shares: []fleet.AssignTasks{share("nobody", "t1"), share("h1", "t2")}}
	t.Run("in the fold, as a bug", func(t *testing.T) {
		w := newWorld(t, 1, Planner{By: "bad", Next: func(in plan.Input) plan.Plan {
			var p plan.Plan
			if task := in.State.Task("t2"); task != nil && task.Host == "" {
				p.Add(fleet.Item{Command: run, By: "bad"})
			}
			return p
		}})
		w.service("web", 2, false)
		w.do(fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"t1", "t2"}})
		w.lead()
		if got := w.loop.Stats().FoldRefused["bad"]; got != 1 || w.s.Task("t2").Host != "h1" {
			t.Errorf("%d refused folds counted, t2 is on %q", got, w.s.Task("t2").Host)
		}
	})
	t.Run("by the log, and planned again after a pause", func(t *testing.T) {
		w := newWorld(t, 1)
		w.mute = true
		w.lead()
		w.service("web", 1, false)
		w.advance(GatherMost)
		if w.held == nil {
			t.Fatal("nothing is proposed")
		}
		w.mute = false
		w.step(ProposalDone{N: w.held.N,
			Results: []fleet.Result{{Refused: []fleet.ShareRefusal{{Share: 0, Err: fleet.ErrNotPlaceable}}}}})
		if got := w.loop.Stats().ApplyRefused; got != 1 {
			t.Errorf("%d refusals of the log counted", got)
		}
		w.advance(2 * RetryFirst)
		if n := w.s.Counts("web", "").Total; n != 1 {
			t.Errorf("%d tasks after the pause", n)
		}
	})
}

func TestACommandThatTheLogCannotHoldIsRefusedInTheFold(t *testing.T) {
	for name, poison := range map[string]fleet.Item{
		"text that is not UTF-8": {Command: fleet.CordonHost{Host: "h2"}, By: "bad", Reason: "\xff"},
		"larger than an entry": {Command: fleet.CordonHost{Host: "h2"}, By: "bad",
			Reason: strings.Repeat("x", MaxEntryBytes)},
		"no command": {By: "bad"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := Planner{By: "bad", Next: func(in plan.Input) plan.Plan {
				var p plan.Plan
				p.Add(poison, fleet.Item{Command: fleet.CordonHost{Host: "h1"}, By: "bad"})
				return p
			}}
			w := newWorld(t, 2, bad)
			w.lead()
			if got := w.loop.Stats().FoldRefused["bad"]; got != 1 {
				t.Errorf("%d refused folds counted", got)
			}
			if w.s.Host("h1").Cordon == nil || w.s.Host("h2").Cordon != nil {
				t.Error("the other command was dropped, or the poison was not")
			}
			row := w.s.Condition(fleet.PlannerSubject("bad"), By)
			if row == nil || row.Code != plan.CodeRefused {
				t.Fatalf("nothing is said: %+v", row)
			}
			if _, err := wire.EncodeItem(fleet.Item{Command: fleet.PutCondition{Message: row.Message}}); err != nil {
				t.Errorf("what is said about it is poison too: %v", err)
			}
		})
	}
}

func TestEntriesAreBounded(t *testing.T) {
	const tasks = 3 * MaxEntries * MaxEntryItems
	many := Planner{By: "many", Next: func(in plan.Input) plan.Plan {
		var p plan.Plan
		for task := range in.State.Unassigned() {
			if p.Full() {
				break
			}
			p.Add(fleet.Item{Command: fleet.StopTasks{Tasks: []fleet.TaskID{task.ID}, Cause: fleet.CauseOperator,
				Reason: "test"}, By: "many"})
		}
		return p
	}}
	w := newWorld(t, 1, many)
	w.service("web", tasks, false)
	for made := 0; made < tasks; made += MaxEntryItems {
		run := fleet.CreateTasks{Revision: "web/1"}
		for range MaxEntryItems {
			run.Tasks = append(run.Tasks, w.newID())
		}
		w.do(run)
	}
	w.lead()
	w.advance(time.Second)
	for _, items := range w.proposals {
		if len(items) > MaxEntryItems {
			t.Fatalf("an entry of %d commands", len(items))
		}
	}
	if n := w.s.UnassignedCount(); n > 0 {
		t.Errorf("%d tasks are left over", n)
	}
}

func TestCommandsBeyondThoseOfOnePassAreNotForgotten(t *testing.T) {
	const tokens = 3 * MaxEntries * MaxEntryItems
	id := func(i int) fleet.TokenID { return fleet.TokenID(fmt.Sprintf("t%05d", i)) }
	// It says nothing of what the loop cuts, and its commands touch nothing that
	// brings it back: what is left is for the loop to remember.
	all := Planner{By: "all", Next: func(in plan.Input) plan.Plan {
		var p plan.Plan
		if !in.Scope.Any(fleet.SubjectService) {
			return p
		}
		for i := range tokens {
			if in.State.Token(id(i)) == nil {
				p.Add(fleet.Item{Command: fleet.PutToken{ID: id(i), TokenKind: fleet.TokenOperator, Hash: make([]byte, 32),
					NotAfter: start.Add(time.Hour)}, By: "all"})
			}
		}
		return p
	}}
	w := newWorld(t, 1, all)
	w.lead()
	w.advance(time.Second)
	full := w.loop.Stats().FullPasses
	w.service("web", 1, false)
	w.advance(2 * time.Second)
	for i := range tokens {
		if w.s.Token(id(i)) == nil {
			t.Fatalf("%d of %d commands were carried out", i, tokens)
		}
	}
	if got := w.loop.Stats().FullPasses; got != full {
		t.Errorf("%d full passes found them", got-full)
	}
}

func TestAHostIsLostWhenItsTimeComesThoughNothingHappens(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.lead()
	w.settle()
	w.see("h2", plan.LivenessSilent)
	w.advance(5*time.Minute - time.Second)
	if w.s.Host("h2").State != fleet.HostSilent {
		t.Fatalf("h2 is %s", w.s.Host("h2").State)
	}
	w.advance(2 * time.Second)
	if w.s.Host("h2").State != fleet.HostLost {
		t.Fatalf("h2 is %s", w.s.Host("h2").State)
	}
	for task := range w.s.TasksOfHost("h2") {
		if !task.Stopped() || !task.Unconfirmed {
			t.Errorf("task %s is %s", task.ID, task.Last)
		}
	}
}

func TestAHostThatRunsAgainIsNotBackInTheSessionBefore(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.lead()
	w.settle()
	w.see("h2", plan.LivenessSilent)
	w.settle()
	if got := w.s.Host("h2").State; got != fleet.HostSilent {
		t.Fatalf("h2 is %s", got)
	}
	for _, session := range []uint64{0, 2} { // a witness finds it; its new agent streams, State does not know yet
		w.seeIn("h2", plan.LivenessAlive, session)
		w.advance(time.Minute)
		if got := w.s.Host("h2").State; got != fleet.HostSilent {
			t.Fatalf("heard in session %d h2 is %s", session, got)
		}
	}
	w.seeIn("h2", plan.LivenessAlive, 1) // no liveness changes
	w.advance(hosts.ReturnAfter + time.Second)
	if got := w.s.Host("h2").State; got != fleet.HostReady {
		t.Errorf("h2 is %s", got)
	}
}

func TestAnAgentThatIsDownTooLongCountsAsSilentThoughNothingHappens(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 3, false)
	w.lead()
	w.settle()
	w.advance(time.Minute)
	w.proposals = nil
	for at := time.Duration(0); at < 10*time.Minute; at += 10 * time.Second {
		w.liveness["h2"] = plan.HostLiveness{Liveness: plan.LivenessRefused, For: at}
		w.step(LivenessChanged{Liveness: w.livenessOfAll()})
		// That its agent is gone is said; nothing else is done.
		if said := commands(w.proposals); strings.Trim(strings.ReplaceAll(said, "PutCondition", ""), " ") != "" {
			t.Fatalf("after %v: %s", at, said)
		}
		w.advance(10 * time.Second)
	}
	w.liveness["h2"] = plan.HostLiveness{Liveness: plan.LivenessRefused, For: 10 * time.Minute}
	w.step(LivenessChanged{Liveness: w.livenessOfAll()})
	w.advance(2 * time.Second)
	if got := w.s.Host("h2").State; got != fleet.HostSilent {
		t.Errorf("h2 is %s", got)
	}
}

func TestALeaderWhoseClockIsOffHandsOver(t *testing.T) {
	tests := map[string]struct {
		hosts     int
		off       time.Duration
		handOvers int
	}{
		"two seconds are allowed":             {hosts: 3, off: 2 * time.Second},
		"more are not":                        {hosts: 3, off: 2100 * time.Millisecond, handOvers: 1},
		"nor in the other direction":          {hosts: 3, off: -2100 * time.Millisecond, handOvers: 1},
		"two hosts do not say who of them is": {hosts: 2, off: time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.hosts)
			w.clock = tt.off
			w.lead()
			w.advance(30 * time.Second)
			if w.handOvers != tt.handOvers {
				t.Errorf("handed over %d times, want %d", w.handOvers, tt.handOvers)
			}
			w.advance(HandOverEvery)
			if want := 2 * tt.handOvers; w.handOvers != want {
				t.Errorf("handed over %d times after a minute more, want %d", w.handOvers, want)
			}
		})
	}
}

func TestAQuietFleetWritesNothing(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 6, true)
	w.lead()
	w.settle()
	w.advance(3 * time.Hour) // the token of the test expires and is pruned
	w.proposals = nil
	w.advance(24 * time.Hour)
	if len(w.proposals) > 0 {
		t.Errorf("proposed %s", commands(w.proposals))
	}
	if s := w.loop.Stats(); s.FullPasses < 24*12 {
		t.Errorf("only %d full passes in a day", s.FullPasses)
	}
}

func TestStoppedTasksArePruned(t *testing.T) {
	w := newWorld(t, 3)
	w.service("web", 6, true)
	w.lead()
	w.settle()
	w.do(fleet.ScaleService{Name: "web", Desired: 1})
	w.settle()
	if n := w.s.TaskCount(); n != 6 {
		t.Fatalf("%d tasks are kept at first", n)
	}
	w.advance(time.Hour)
	if n := w.s.TaskCount(); n != 6 {
		t.Errorf("%d tasks are kept after an hour", n)
	}
	w.advance(PruneKeep - time.Hour + PruneEvery + time.Second)
	if n := w.s.TaskCount(); n != 1 {
		t.Errorf("%d tasks are kept after %v", n, PruneKeep+PruneEvery)
	}
}

func TestAPowerReturnIsReadFromState(t *testing.T) {
	w := newWorld(t, 4)
	w.service("web", 4, false)
	w.lead()
	w.settle()
	w.step(LostLeadership{})
	w.advance(time.Hour)
	// All but h4 are back; nobody has heard h4.
	for _, id := range []fleet.HostID{"h1", "h2", "h3"} {
		w.open(id, "boot-2")
	}
	w.lead()
	w.see("h4", plan.LivenessSilent)
	w.advance(29 * time.Second)
	if got := w.s.Host("h4").State; got != fleet.HostReady {
		t.Fatalf("h4 is %s before its time to boot is over", got)
	}
	w.advance(2 * time.Second)
	if got := w.s.Host("h4").State; got != fleet.HostSilent {
		t.Errorf("h4 is %s", got)
	}
}

func commands(entries [][]fleet.Item) string {
	text := ""
	for _, items := range entries {
		for _, item := range items {
			if text != "" {
				text += " "
			}
			text += CommandName(item.Command)
		}
	}
	return text
}
