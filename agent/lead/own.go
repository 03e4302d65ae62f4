package lead

import (
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// leaderSubject is the subject of conditions about the leader itself.
var leaderSubject = fleet.PlannerSubject(By)

// clockCondition returns the command which says that the leader's clock is off, or the
// one which clears that; the next leader, whose clock is better, clears it.
func clockCondition(in plan.Input) plan.Plan {
	var p plan.Plan
	switch {
	case clockOff(in.Liveness):
		if row := in.State.Condition(leaderSubject, By); row == nil || row.Code != plan.CodeClock {
			p.SetCondition(in, By, fleet.PutCondition{Subject: leaderSubject, Code: plan.CodeClock,
				Message: whyClock(in.Liveness)})
		}
	case in.Liveness.ClockSamples >= ClockSamples:
		p.EndCondition(in, By, fleet.PutCondition{Subject: leaderSubject, Code: plan.CodeClockAgrees,
			Message: "the leader's clock agrees with the hosts'"})
	}
	return p
}

func clockOff(liveness plan.FleetLiveness) bool {
	return liveness.ClockSamples >= ClockSamples && (liveness.ClockOffset > ClockOff || liveness.ClockOffset < -ClockOff)
}

func whyClock(liveness plan.FleetLiveness) string {
	side := "behind"
	off := liveness.ClockOffset
	if off < 0 {
		side, off = "ahead of", -off
	}
	return fmt.Sprintf("the leader's clock is %s %s the median of %d hosts: it hands leadership over",
		off.Round(100*time.Millisecond), side, liveness.ClockSamples)
}

// checkClock hands leadership over once a pass has said why.
func (l *Loop) checkClock(now Instant) []Effect {
	if !clockOff(l.liveness) || !l.term.clockReported || !l.mayPlan() || now.Mono-l.handedOver < HandOverEvery {
		return nil
	}
	l.handedOver = now.Mono
	return []Effect{HandOver{Why: whyClock(l.liveness)}}
}

// clockConditionStale reports whether State says something else about the leader's
// clock than liveness does.
func (l *Loop) clockConditionStale() bool {
	return l.liveness.ClockSamples >= ClockSamples &&
		clockOff(l.liveness) != (l.term.state.Condition(leaderSubject, By) != nil)
}

// prune removes rows that nobody needs any more. It proposes nothing when there are
// none.
func prune(in plan.Input) plan.Plan {
	var p plan.Plan
	if before := in.Now.Add(-PruneKeep); in.State.Prunable(before) {
		p.Add(fleet.Item{Command: fleet.Prune{Before: before}, By: By})
	}
	return p
}
