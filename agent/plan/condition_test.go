package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

func TestConditionsOfAreMostTellingFirst(t *testing.T) {
	w := plantest.Parse(t, "h1:")
	for i, code := range []string{plan.CodeStarting, "of-a-newer-agent", plan.CodeBackOff, plan.CodeNoHost,
		plan.CodeRefused} {
		w.Apply(fleet.Item{By: fmt.Sprint("planner", i),
			Command: fleet.PutCondition{Subject: fleet.FleetSubject(), Code: code}})
	}
	var got []string
	for _, c := range plan.ConditionsOf(w.State, fleet.FleetSubject()) {
		got = append(got, c.Code)
	}
	if want := []string{plan.CodeRefused, plan.CodeNoHost, plan.CodeBackOff, "of-a-newer-agent",
		plan.CodeStarting}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
