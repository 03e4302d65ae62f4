//go:build nextformat

package fleet

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

// A fleet whose voters read the next format, and one worker that does not: what needs
// more than it reads is not given to it.
func TestNextFormatTasksGoWhereTheAgentReadsIt(t *testing.T) {
	w := fleetOf(t, 2)
	w.must(reading(1, 2, FormatVersion))
	w.service("web", 3)
	ids := w.create("web", 1, 3)
	mark := MarkTaskDef{ID: "web:1", Next: "x"}
	w.refused(mark, ErrFormatAhead, fmt.Sprintf("mark-taskdef needs format %d, the fleet is at 1", FormatVersion))
	w.refused(RaiseFormat{Format: FormatVersion}, ErrConflict, "h2 (reads 1)")
	w.must(RaiseFormat{Format: FormatVersion, Force: true})
	w.assign(2, ids[0]) // it needs nothing new yet
	if got := w.NeedsFormat(w.task(ids[1])); got != 1 {
		t.Errorf("the tasks need format %d", got)
	}
	w.must(mark)
	if got := w.NeedsFormat(w.task(ids[1])); got != FormatVersion {
		t.Errorf("the marked tasks need format %d", got)
	}
	w.refused(AssignTasks{Host: hostID(2), Tasks: ids[1:2]}, ErrAgentTooOld,
		fmt.Sprintf("need format %d, the agent of h2", FormatVersion))
	w.assign(1, ids[1])
	w.checked()
}

// Older voters take the subject for one that is not there, and would refuse what the
// others apply.
func TestNextFormatSubjectsWaitForTheFleet(t *testing.T) {
	w := fleetOf(t, 1)
	subject := Subject{SubjectNext, "x"}
	c := PutCondition{Subject: subject, Code: "next", Message: "x"}
	w.refused(c, ErrFormatAhead, fmt.Sprintf("put-condition needs format %d, the fleet is at 1", FormatVersion))
	if _, err := (Gate{}).Fit([]Item{{Command: c}}, 1); !errors.Is(err, ErrFormatAhead) {
		t.Errorf("it may be proposed: %v", err)
	}
	w.must(reading(1, 2, FormatVersion))
	w.must(RaiseFormat{Format: FormatVersion})
	w.refused(c, ErrNotFound, "condition of") // by the rules of the command: there is no such noun
	if _, err := (Gate{}).Fit([]Item{{Command: c}}, FormatVersion); err != nil {
		t.Errorf("it may not be proposed: %v", err)
	}
	if got := ParseSubject("next:x"); got != subject {
		t.Errorf("this build reads %+v", got)
	}
}

func TestNextFormatSessionsAreTrimmedUntilTheFleetIsThere(t *testing.T) {
	c := session(1, 2)
	c.NextFields = Next()
	for format, want := range map[int]NextFields{codeFormat: {}, FormatVersion: Next()} {
		items, err := Gate{}.Fit([]Item{{Command: c}}, format)
		if err != nil || items[0].Command.(OpenSession).NextFields != want {
			t.Errorf("at format %d: %+v, %v", format, items, err)
		}
	}
	if got := AsRead(c, codeFormat); got.Next != "" || !reflect.DeepEqual(got, session(1, 2)) {
		t.Errorf("an older agent reads %+v", got)
	}
}
