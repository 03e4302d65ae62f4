package service_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

func TestFailedStartsAreNoReasonAnyMoreOnceALaterStartLasts(t *testing.T) {
	w := plantest.Parse(t, "web desired=2 failed=2; h1:")
	w.Apply(service.Next(w.Input()).Items...)
	w.Wait(fleet.BackoffCap)
	w.Apply(service.Next(w.Input()).Items...)
	host := slices.Collect(w.State.Hosts())[0].ID
	w.Do(fleet.AssignTasks{Host: host, Tasks: []fleet.TaskID{"new-01"}})
	w.Report(host, fleet.TaskReport{Task: "new-01", Status: fleet.TaskRunning, Attempt: 1})
	why := func() string {
		row := w.State.Condition(fleet.ServiceSubject("web"), service.By)
		if row == nil {
			return "nothing"
		}
		return row.Code
	}
	p := service.Next(w.Input())
	w.Apply(p.Items...)
	lasts := plan.Wake{At: w.Now.Add(fleet.LastingRun), Subject: fleet.ServiceSubject("web")}
	if got := why(); got != plan.CodeBackOff || !slices.Contains(p.Wakes, lasts) {
		t.Fatalf("while nothing lasts the reason is %s, and it asks for %+v; want %s and %+v", got, p.Wakes,
			plan.CodeBackOff, lasts)
	}
	w.Wait(fleet.LastingRun - time.Millisecond)
	if got := plantest.Text(service.Next(w.Input())); strings.Contains(got, plan.CodeStarting) {
		t.Errorf("a moment before: %s", got)
	}
	w.Wait(time.Millisecond)
	in := w.Input()
	in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(lasts.Subject)}
	w.Apply(service.Next(in).Items...)
	if got := why(); got != plan.CodeStarting {
		t.Errorf("once it lasts the reason is %s, want %s", got, plan.CodeStarting)
	}
}

// During a deployment blue often cannot start, which is why there is a new version.
func TestARevisionThatCannotStartKeepsNoOtherFromStarting(t *testing.T) {
	w := plantest.Parse(t, "web desired=2 rev=2; h1 reads=2: web/1 pending x2; h2 reads=2:; leader format=2")
	w.Apply(fleet.Item{By: "deploy", Command: fleet.PutGoals{
		Service: "web", ServiceModifyIndex: w.State.Service("web").ModifyIndex, Max: 4, Revisions: []fleet.RevisionGoal{
			{Revision: "web/1", Desired: 2, Max: 2}, {Revision: "web/2", Desired: 2, Max: 2}},
	}})
	host := slices.Collect(w.State.Hosts())[0].ID
	for _, task := range slices.Collect(w.State.LiveTasksOfService("web")) {
		w.Report(host, fleet.TaskReport{Task: task.ID, Status: fleet.TaskStopped, Attempt: 1,
			StopCode: fleet.StopTaskFailedToStart, Reason: "no such image"})
	}
	p := service.Next(w.Input())
	const waits = "; wait service:web crash-back-off: unable to consistently start tasks of web/1 " +
		"(failures in a row: 1), last: "
	if got := plantest.Text(p); !strings.HasPrefix(got, "create web/2 x2"+waits) {
		t.Fatalf("got %s", got)
	}
	w.Apply(p.Items...)
	over := plan.Wake{At: w.State.Revision("web/1").Starts.NotBefore, Subject: fleet.ServiceSubject("web")}
	if !slices.Contains(p.Wakes, over) {
		t.Errorf("it asks for %+v and not for %+v", p.Wakes, over)
	}
	w.Wait(over.At.Sub(w.Now))
	if got := plantest.Text(service.Next(w.Input())); !strings.HasPrefix(got, "create web/1 x2") {
		t.Errorf("once the time is over: %s", got)
	}
}
