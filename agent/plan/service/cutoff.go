package service

import (
	"fmt"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// A host that hears no leader ends a task whose onDisconnect says so after a
// time D; until then the task may run, and is not replaced. The host counts from
// the last word of a leader, the fleet from when it called the host silent,
// which is later. The margin is what else the two may differ by, or the end may
// take:
//
//   - cutOffSlack: a word still under way when the link broke, or brought by a
//     voter that lost the leader with it (seconds: a beat, an election timeout);
//     a new leader whose clock is ahead (2 s, else it hands over); a signal that
//     the runtime takes its time for (10 s, then it is sent again).
//   - the grace between SIGTERM and SIGKILL, the longest of the task's containers.
//   - cutOffPace: clocks that run apart, each by 500 ppm at most, over all of D.
const (
	cutOffSlack = 30 * time.Second
	cutOffPace  = 1000 // one part of D in so many
)

// countCutOff counts the tasks that may still run on hosts nobody hears, and
// until when the first of them may.
func (n *inputs) countCutOff(s *fleet.State, service *fleet.Service, now fleet.Time) {
	if service.OnDisconnect.StopAfterMs <= 0 {
		return
	}
	for task := range s.TasksOfService(service.Name) {
		since, away := silentSince(s, task)
		if !away {
			continue
		}
		until := since.Add(endsWithin(s.TaskDef(task.TaskDef), service.OnDisconnect))
		if until <= now {
			continue
		}
		if n.cutOff == 0 || until < n.cutOffUntil {
			n.cutOffUntil = until
		}
		n.cutOff++
	}
}

// silentSince reports whether a task may run on a host that nobody hears, and
// since when nobody does. One that was asked to stop before is not waited for:
// so people can have it replaced sooner. Nor is one whose machine has restarted.
//
// A lost host fell silent Settings.LostAfterMs before it was lost, or sooner. Its
// tasks are declared stopped then, while they may run for longer; such a task
// counts until its host confirms the end.
func silentSince(s *fleet.State, task *fleet.Task) (since fleet.Time, away bool) {
	lostAfter := fleet.Time(s.Fleet().Settings.LostAfterMs)
	if task.Stopped() {
		expired := task.Unconfirmed && task.StoppingAt == task.StoppedAt
		return task.StoppedAt - lostAfter, expired
	}
	host := s.Host(task.Host)
	if host == nil || task.Desired != fleet.TaskRunning || task.Session < host.BootSession {
		return 0, false
	}
	switch host.State {
	case fleet.HostSilent:
		return host.StateSince, true
	case fleet.HostLost:
		return host.StateSince - lostAfter, true
	default:
		return 0, false
	}
}

// endsWithin is the time from the silence of a host to the end of a task there.
func endsWithin(def *fleet.TaskDef, on fleet.OnDisconnect) time.Duration {
	after := time.Duration(on.StopAfterMs) * time.Millisecond
	grace := 0
	for i := range def.Containers {
		grace = max(grace, def.Containers[i].StopTimeoutS)
	}
	return after + after/cutOffPace + time.Duration(grace)*time.Second + cutOffSlack
}

// cutOffCondition says what is waited for.
func cutOffCondition(service *fleet.Service, n inputs) fleet.PutCondition {
	after := time.Duration(service.OnDisconnect.StopAfterMs) * time.Millisecond
	return fleet.PutCondition{
		Subject: fleet.ServiceSubject(service.Name), Code: plan.CodeTasksCutOff, Until: n.cutOffUntil,
		Counts: []fleet.Count{{Name: "tasks", N: n.cutOff}},
		Message: fmt.Sprintf("tasks of %s may still run on hosts that are cut off: %d; they end by themselves "+
			"(onDisconnect: stop after %s) and are replaced from %s on",
			service.Name, n.cutOff, after, n.cutOffUntil.Std().Format(time.RFC3339)),
	}
}

// comeBack asks for a visit when the first of them has ended. A condition with
// another code may stand in place of that of cutOffCondition, so State.Due is not enough.
func (p *planner) comeBack(service *fleet.Service, n inputs) {
	if n.cutOff > 0 {
		p.out.WakeAt(n.cutOffUntil, fleet.ServiceSubject(service.Name))
	}
}
