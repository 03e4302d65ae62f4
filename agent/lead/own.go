package lead

import (
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// aboutLeader is the subject of waits about the leader itself.
var aboutLeader = plan.AboutPlanner(By)

// The codes of the wait that says why leadership is handed over, and of the
// decision that ends it.
const (
	CodeClock       = "clock-differs"
	CodeClockAgrees = "clock-agrees"
)

// clockWait says that the leader's clock is off, or clears it: the next leader
// does, which has a better one.
func clockWait(in plan.Input) plan.Plan {
	var p plan.Plan
	switch {
	case clockOff(in.Seen):
		if row := in.State.Wait(aboutLeader); row == nil || row.Code != CodeClock {
			p.Hold(in, By, fleet.PutWait{About: aboutLeader, Code: CodeClock, Message: whyClock(in.Seen)})
		}
	case in.Seen.ClockSamples >= ClockSamples:
		p.Conclude(in, By, fleet.PutWait{About: aboutLeader, Code: CodeClockAgrees, Message: "the leader's clock agrees with the hosts'"})
	}
	return p
}

func clockOff(seen plan.Seen) bool {
	return seen.ClockSamples >= ClockSamples && (seen.ClockOffset > ClockOff || seen.ClockOffset < -ClockOff)
}

func whyClock(seen plan.Seen) string {
	side := "behind"
	off := seen.ClockOffset
	if off < 0 {
		side, off = "ahead of", -off
	}
	return fmt.Sprintf("the leader's clock is %s %s the median of %d hosts: it hands leadership over", off.Round(100*time.Millisecond), side, seen.ClockSamples)
}

// checkClock hands leadership over once a pass has said why.
func (l *Loop) checkClock(now Instant) []Effect {
	if !clockOff(l.seen) || !l.term.clockSaid || !l.mayPlan() || now.Mono-l.handedOver < HandOverEvery {
		return nil
	}
	l.handedOver = now.Mono
	return []Effect{HandOver{Why: whyClock(l.seen)}}
}

// clockUnsaid reports whether State says something else about the leader's
// clock than the sights do.
func (l *Loop) clockUnsaid() bool {
	return l.seen.ClockSamples >= ClockSamples && clockOff(l.seen) != (l.term.state.Wait(aboutLeader) != nil)
}

// prune drops what nobody needs to know any more; a fleet in which nothing
// ended writes nothing.
func prune(in plan.Input) plan.Plan {
	var p plan.Plan
	if before := in.Now.Add(-PruneKeep); in.State.Prunable(before) {
		p.Add(fleet.Item{Command: fleet.Prune{Before: before}, By: By})
	}
	return p
}
