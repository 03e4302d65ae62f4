package lead

import (
	"slices"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

func TestWakesComeOncePerSubjectAtTheEarliestTime(t *testing.T) {
	w := newWakes()
	at := func(d time.Duration, subject fleet.Subject) { w.add(plan.Wake{At: start.Add(d), Subject: subject}) }
	at(3*time.Second, fleet.ServiceSubject("a"))
	at(time.Second, fleet.ServiceSubject("a"))
	at(2*time.Second, fleet.ServiceSubject("a"))
	at(2*time.Second, fleet.HostSubject("b"))
	if got := w.next(); got != start.Add(time.Second) {
		t.Errorf("next is %s", got)
	}
	if got := w.due(start.Add(2 * time.Second)); !slices.Equal(got,
		[]fleet.Subject{fleet.ServiceSubject("a"), fleet.HostSubject("b")}) {
		t.Errorf("due are %v", got)
	}
	if got := w.due(start.Add(time.Hour)); len(got) > 0 {
		t.Errorf("due again are %v", got)
	}
	at(time.Second, fleet.ServiceSubject("a"))
	if got := w.due(start.Add(time.Hour)); !slices.Equal(got, []fleet.Subject{fleet.ServiceSubject("a")}) {
		t.Errorf("asked again, due are %v", got)
	}
}
