package invariant

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// A stop that onDisconnect decides may be a little early by the simulator's
// clock, since a host counts from the last byte it heard (beats come every
// second), and its signals may come a little after the link is back.
const (
	cutEarly = 5 * time.Second
	cutLate  = time.Minute
)

// Signal is a signal that an agent sends to a container, with what the agent
// says of the task's end. Code is zero when the agent acts on the fleet's word.
type Signal struct {
	On        Machine
	Task      fleet.TaskID
	Container string
	Number    int
	Code      fleet.StopCode
	Reason    string
}

// Signalled takes in a signal and judges its cause.
func (c *Checker) Signalled(s Signal) {
	c.tick()
	r := c.remains(s.On, s.Task)
	if k := r.containers[s.Container]; k != nil {
		k.signalled = true
	}
	if r.caused {
		return
	}
	why := c.uncaused(r, &s)
	r.caused = why == ""
	c.hold(noStopWithoutCause, why == "", func() string {
		return fmt.Sprintf("%s sends signal %d to container %s of task %s (%q, %s): %s", s.On.Host, s.Number, s.Container,
			s.Task, s.Code, s.Reason, why)
	})
}

// uncaused is I10 on machines: nothing stops because something is absent. It
// says why a signal has no cause, and nothing when it has one:
//
//   - the fleet does not want the task to run here, by what is committed: asked
//     to stop, declared stopped, dropped, another host's, or its host forgotten;
//   - a container of it ended by itself (EssentialContainerExited);
//   - its start failed, before the fleet heard that it runs (TaskFailedToStart);
//   - onDisconnect, and no majority of voters was linked for that long
//     (InfrastructureHealth).
//
// A reboot is no cause: what ran before it needs no signal. Health is none: an
// unhealthy task is replaced by the planner. Source:
// cmd/skein/DESIGN.md I10, agent/converge/DESIGN.md.
func (c *Checker) uncaused(r *remains, s *Signal) string {
	t := r.task
	if t == nil || !t.toRun || t.last == fleet.TaskStopped || t.host == nil || t.host.id != s.On.Host {
		return ""
	}
	switch s.Code {
	case fleet.StopEssentialContainerExited:
		if !r.fell {
			return "none of its containers ended by itself"
		}
	case fleet.StopTaskFailedToStart:
		if t.last == fleet.TaskRunning && t.attempt == r.attempt && t.reaches() {
			return "it had started, and the fleet has heard so"
		}
	case fleet.StopInfrastructureHealth:
		return c.notCutOff(t)
	case 0:
		return "every committed entry wants it to run here"
	default:
		return "no host decides that"
	}
	return ""
}

// notCutOff says why onDisconnect is no cause. The shortest time that the
// service ever had counts: the host may not have heard of a longer one. Where a
// fault touches a host, though it is linked, nobody knows what it hears, and
// where nobody leads no session opens: such spells count as silence. Nobody talks to a
// host whose certificate was revoked, or whose agent is too old.
func (c *Checker) notCutOff(t *task) string {
	if t.service == nil || t.service.cutOff == 0 {
		return "the fleet wants it to run here, and its onDisconnect is to keep it"
	}
	if t.host.shunned {
		return "" // nobody talks to it
	}
	after := time.Duration(t.service.cutOff)*time.Millisecond - cutEarly
	unheard := c.around(t.host.id).unheard.with(c.unled)
	for _, s := range []spell{unheard, c.unled.with(unheard)} { // apart in time, either will do
		if until := min(s.until, c.now()); until-s.from >= after && c.now()-until <= cutLate {
			return ""
		}
	}
	if c.allFaulty || c.now()-c.calmFrom < after && c.calmFrom > 0 {
		return ""
	}
	return fmt.Sprintf("onDisconnect is %d ms, and it heard voters within that (it last may not have from %s to %s)",
		t.service.cutOff, unheard.from, unheard.until)
}

// signalSent says that nothing kills a container from outside but its agent.
func (c *Checker) signalSent(r *remains, k *container) {
	c.hold(noEndWithoutSignal, k.signalled, func() string {
		return fmt.Sprintf("%s: container %s of task %s ended by a signal that no agent sent", r.on.id.Host, k.name, r.id)
	})
}
