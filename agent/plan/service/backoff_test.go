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
