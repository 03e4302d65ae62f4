package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPutWait(t *testing.T) {
	condition := PutCondition{Subject: ServiceSubject("web"), Code: "no-host-fits", Message: "3 hosts: memory",
		Counts: []Count{{"memory", 3}}, Until: start + 5000}
	t.Run("changes only when the reason does", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		w.must(condition)
		if got := w.Condition(ServiceSubject("web"), ""); got.Since != w.at || got.ModifyIndex != w.Index() ||
			w.lastEvent().Code != "no-host-fits" {
			t.Errorf("wait %+v", got)
		}
		w.wait(10)
		w.noop(condition)
		c := condition
		c.Counts = []Count{{"memory", 4}}
		n := w.LastEvent()
		w.must(c)
		if got := w.Condition(ServiceSubject("web"), ""); got.Since != w.at-10 || w.LastEvent() != n {
			t.Errorf("another count began another wait: %+v", got)
		}
		c.Code = "crash-back-off"
		w.must(c)
		if got := w.Condition(ServiceSubject("web"), ""); got.Since != w.at || w.LastEvent() != n+1 {
			t.Errorf("wait %+v", got)
		}
		if w.NextDue(w.at) != start+5000 {
			t.Errorf("due %s", w.NextDue(w.at))
		}
		w.must(PutCondition{Subject: ServiceSubject("web")})
		w.noop(PutCondition{Subject: ServiceSubject("web")})
		if w.Condition(ServiceSubject("web"), "") != nil || w.NextDue(w.at) != 0 {
			t.Error("an empty code did not clear it")
		}
		w.checked()
	})
	t.Run("goes with its subject", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 2)
		w.create("web", 1, 2)
		for _, subject := range []string{"service:web", "task:web-1", "task:web-2"} {
			c := condition
			c.Subject = ParseSubject(subject)
			w.must(c)
		}
		w.assign(1, "web-1")
		if w.Condition(TaskSubject("web-1"), "") != nil || w.Condition(TaskSubject("web-2"), "") == nil {
			t.Error("a task with a host still waits for one")
		}
		w.must(DeleteService{Name: "web", Force: true})
		w.must(StopTasks{Tasks: []TaskID{"web-1", "web-2"}, Cause: CauseScaleIn, Reason: "x"})
		w.report(1, stopped("web-1", 0))
		for x := range w.Conditions() {
			t.Errorf("left over: %+v", x)
		}
		w.checked()
	})
	t.Run("is one of each planner", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		failing := PutCondition{Subject: ServiceSubject("web"), Code: "crash-back-off", Message: "starts fail",
			Until: start + 9000}
		w.item(Item{By: "placement", Command: condition})
		w.item(Item{By: "service", Command: failing})
		codes := func() string {
			var all []string
			for c := range w.ConditionsOf(ServiceSubject("web")) {
				all = append(all, c.By+" "+c.Code)
			}
			return strings.Join(all, ", ")
		}
		if got := codes(); got != "placement no-host-fits, service crash-back-off" {
			t.Errorf("two planners say %s", got)
		}
		if got := slices.Collect(w.Due(start, start+9000)); !slices.Equal(got, []Subject{ServiceSubject("web")}) ||
			w.NextDue(start+5000) != start+9000 {
			t.Errorf("due %v, then at %s", got, w.NextDue(start+5000))
		}
		w.checked()
		w.item(Item{By: "service", Command: PutCondition{Subject: ServiceSubject("web")}})
		w.item(Item{By: "other", Command: PutCondition{Subject: ServiceSubject("web")}})
		if got := codes(); got != "placement no-host-fits" {
			t.Errorf("after one has cleared its own: %s", got)
		}
		w.must(DeleteService{Name: "web", Force: true})
		if w.HasCondition(ServiceSubject("web")) {
			t.Errorf("after the service is gone: %s", codes())
		}
		w.checked()
	})
	t.Run("is refused about what is not there", func(t *testing.T) {
		w := fleetOf(t, 1)
		for _, subject := range []string{"service:db", "task:x", "host:h1", ""} {
			c := condition
			c.Subject = ParseSubject(subject)
			w.refused(c, ErrNotFound, subject)
		}
	})
	t.Run("is refused when too large", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.service("web", 1)
		c := condition
		c.Message = strings.Repeat("x", MaxReason+1)
		w.refused(c, ErrInvalid, "message")
		c = condition
		c.Counts = make([]Count, MaxCounts+1)
		w.refused(c, ErrInvalid, "counts")
	})
}

func TestPrune(t *testing.T) {
	hour := time.Hour.Milliseconds()
	t.Run("is refused for the last hour", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.refused(Prune{Before: w.at - Time(hour) + 1}, ErrTooEarly, "prune")
	})
	t.Run("removes what is over and older, and nothing else", func(t *testing.T) {
		w := fleetOf(t, 3)
		ids := w.runs("web", 3)
		w.must(StopTasks{Tasks: ids[:1], Cause: CauseScaleIn, Reason: "x"})
		w.report(1, stopped("web-1", 0))
		w.must(ForgetHost{Host: hostID(3), Force: true})
		w.must(PutToken{ID: "spent", TokenKind: TokenJoin, Hash: blob(32), Uses: 1, NotAfter: w.at + Time(10*hour)})
		w.must(AdmitHost{Token: "spent", SecretHash: blob(32), Host: admission(4)})
		w.service("gone", 0)
		w.must(DeleteService{Name: "gone"})
		w.wait(hour + 1)
		w.must(StopTasks{Tasks: ids[1:2], Cause: CauseScaleIn, Reason: "x"})
		w.report(2, stopped("web-2", 0))
		before := w.at - Time(hour)
		if !w.Prunable(before) {
			t.Error("nothing to prune")
		}
		w.must(Prune{Before: before})
		if w.Task("web-1") != nil || w.Task("web-3") != nil || w.Task("web-2") == nil {
			t.Error("tasks: the old ones go, the new one stays")
		}
		if w.Host(hostID(3)) != nil || w.Token("spent") != nil || get(w.former, "gone") != nil || w.Token("tok") == nil {
			t.Error("forgotten host, spent token and removed name go, the live token stays")
		}
		if w.Prunable(before) {
			t.Error("there is more")
		}
		w.noop(Prune{Before: before})
		w.checked()
	})
	t.Run("keeps unconfirmed tasks and receipts of the last 24 hours", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.runs("web", 2)
		w.item(Item{Command: CordonHost{Host: hostID(1)}, Receipt: &Receipt{"t", blob(32)}})
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.wait(300_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.must(ExpireTasks{Host: hostID(2)})
		w.wait(23 * hour)
		w.must(Prune{Before: w.at - Time(hour)})
		if w.Task("web-2") == nil || w.Receipt("t") == nil {
			t.Error("one of them is gone")
		}
		w.wait(hour)
		w.must(Prune{Before: w.at - Time(hour)})
		if w.receipts.Len() != 0 {
			t.Error("an expired receipt stays")
		}
		w.checked()
	})
	t.Run("takes one bite at a time", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.must(RegisterTaskDef{Family: "job", Def: webDef()})
		for i := 0; i < maxPruned+10; i += MaxRunTasks {
			var ids []TaskID
			for j := range MaxRunTasks {
				ids = append(ids, TaskID(fmt.Sprintf("t-%d", i+j)))
			}
			w.Apply(w.Index()+1, Entry{At: w.at, Items: []Item{
				{Command: RunTasks{TaskDef: "job:1", Tasks: ids}},
				{Command: StopTasks{Tasks: ids, Cause: CauseOperator, Reason: "x"}},
			}})
		}
		w.wait(2 * hour)
		had := w.TaskCount()
		w.must(Prune{Before: w.at - Time(hour)})
		if had != maxPruned+10 || w.TaskCount() != 10 || !w.Prunable(w.at-Time(hour)) {
			t.Errorf("%d of %d left", w.TaskCount(), had)
		}
	})
}

func TestTasksArePaged(t *testing.T) {
	w := fleetOf(t, 1)
	w.service("web", 5)
	w.create("web", 1, 5)
	w.assign(1, "web-2", "web-4")
	w.must(StopTasks{Tasks: []TaskID{"web-1", "web-3"}, Cause: CauseOperator, Reason: "x"})
	w.report(1, stopped("web-2", 0))
	ids := func(seq func(func(*Task) bool)) string {
		var all []string
		seq(func(t *Task) bool { all = append(all, string(t.ID)[4:]); return true })
		return strings.Join(all, " ")
	}
	for what, pair := range map[string][2]string{
		"all":              {ids(w.Tasks()), "1 2 3 4 5"},
		"after":            {ids(w.TasksAfter("web-3")), "4 5"},
		"after a gap":      {ids(w.TasksAfter("web-30")), "4 5"},
		"of the service":   {ids(w.TasksOfService("web")), "1 2 3 4 5"},
		"live ones":        {ids(w.LiveTasksOfService("web")), "4 5"},
		"of the host":      {ids(w.TasksOfHost(hostID(1))), "2 4"},
		"held by the host": {ids(w.HeldBy(hostID(1))), "4"},
		"unassigned":       {ids(w.Unassigned()), "5"},
		"of nobody":        {ids(w.TasksOfService("we")), ""},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %q, want %q", what, pair[0], pair[1])
		}
	}
	for task := range w.TasksOfService("web") {
		if task.ID != "web-1" {
			t.Errorf("a loop that ends early went on to %s", task.ID)
		}
		break
	}
	if got := slices.Collect(w.ServicesOnHost(hostID(1))); !slices.Equal(got, []string{"web"}) {
		t.Errorf("services %v", got)
	}
	if got := slices.Collect(w.LiveRevisions("web")); !slices.Equal(got, []RevisionID{"web/1"}) {
		t.Errorf("revisions %v", got)
	}
}
