package service_test

import (
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

// stopAfter sets what hosts do with tasks of web once they hear no leader.
func stopAfter(w *plantest.World, d time.Duration) {
	v := w.State.Service("web")
	w.Do(fleet.PutService{Name: v.Name, ExpectedModifyIndex: v.ModifyIndex, TaskDef: w.State.LatestTaskDef(v.Name).ID,
		Desired:    v.Desired,
		MinPercent: v.MinPercent, MaxPercent: v.MaxPercent, GraceS: v.GraceS,
		OnDisconnect: fleet.OnDisconnect{StopAfterMs: d.Milliseconds()}})
	w.Plan("web")
}

// A task that ends by itself on a host that is cut off is not replaced before.
// The containers of these fleets have 30 s to stop, and 30 s are between what
// host and fleet know: a minute and a thousandth of D over D.
func TestATaskThatStopsCutOffIsReplacedWhenItHasStopped(t *testing.T) {
	const started = "create web/1 x1; wait service:web not-steady: tasks of web/1 are starting or being replaced"
	waits := func(n string, d time.Duration, until string) string {
		return "wait service:web may-run-cut-off: tasks of web may still run on hosts that are cut off: " + n +
			"; they end by themselves (onDisconnect: stop after " + d.String() + ") and are replaced from 2026-01-02T" + until +
			"Z on"
	}
	tests := map[string]struct {
		given string
		after time.Duration // onDisconnect
		then  func(w *plantest.World)
		want  string // now, 15:00:00
		until time.Duration
		later string // then, not before
	}{
		"silent: it may run": {
			given: "web desired=1; h1 silent=10s: web/1; h2:", after: time.Minute,
			want: waits("1", time.Minute, "15:01:50"), until: 110*time.Second + 60*time.Millisecond, later: started,
		},
		"assigned and not heard of: it may run too": {
			given: "web desired=1; h1 silent=10s: web/1 pending; h2:", after: time.Minute,
			want: waits("1", time.Minute, "15:01:50"), until: 110*time.Second + 60*time.Millisecond, later: started,
		},
		"silent for long enough": {
			given: "web desired=1; h1 silent=121s: web/1; h2:", after: time.Minute,
			want: started,
		},
		"keep: it is replaced at once": {
			given: "web desired=1; h1 silent=10s: web/1; h2:",
			want:  started,
		},
		"the machine restarted: its containers are gone": {
			given: "web desired=1; h1 rebooted: web/1; h2:", after: time.Minute,
			want: started,
		},
		"the machine restarted, then fell silent": {
			given: "web desired=1; h1 rebooted: web/1; h2:", after: time.Minute,
			then: func(w *plantest.World) { w.Do(fleet.SilenceHost{Host: "h1", Session: 2}) },
			want: started,
		},
		"it was asked to stop: nobody waits for it": {
			given: "web desired=1; h1 silent=10s: web/1; h2:", after: time.Minute,
			then: func(w *plantest.World) {
				w.Do(fleet.StopTasks{Tasks: []fleet.TaskID{"web-1"}, Cause: fleet.CauseOperator, Reason: "now"})
			},
			want: started,
		},
		"lost, and its tasks declared stopped: it may run for longer than that": {
			// Lost a minute ago, so silent for six at least.
			given: "web desired=1; h1 lost: web/1; h2:", after: 20 * time.Minute,
			then: func(w *plantest.World) { w.Do(fleet.ExpireTasks{Host: "h1"}) },
			want: waits("1", 20*time.Minute, "15:16:01"), until: 16*time.Minute + 1200*time.Millisecond, later: started,
		},
		"lost, before that": {
			given: "web desired=1; h1 lost: web/1; h2:", after: 20 * time.Minute,
			want: waits("1", 20*time.Minute, "15:15:01"), until: 15*time.Minute + 1200*time.Millisecond, later: started,
		},
		"lost, and the host is back and says that it stopped": {
			given: "web desired=1; h1 lost: web/1; h2:", after: 20 * time.Minute,
			then: func(w *plantest.World) {
				w.Do(fleet.ExpireTasks{Host: "h1"})
				h := w.State.Host("h1")
				w.Do(fleet.OpenSession{Host: h.ID, Boot: h.Session.Boot, Nonce: 2, Addr: h.Addr, Zone: h.Zone,
					Capacity: h.Capacity},
					fleet.Report{Host: h.ID, Session: 2, Seq: 1,
						Tasks: []fleet.TaskReport{{Task: "web-1", Status: fleet.TaskStopped, Attempt: 1}}})
			},
			want: started,
		},
		"two hosts, one after the other": {
			given: "web desired=2; h1 silent=60s: web/1; h2 silent=10s: web/1; h3:", after: time.Minute,
			want: waits("2", time.Minute, "15:01:00"), until: 60*time.Second + 60*time.Millisecond,
			later: "create web/1 x1; " + waits("1", time.Minute, "15:01:50"),
		},
		"others are started all the same": {
			given: "web desired=3; h1 silent=10s: web/1; h2: web/1", after: time.Minute,
			want: "create web/1 x1; " + waits("1", time.Minute, "15:01:50"), until: 110*time.Second + 60*time.Millisecond,
			later: "create web/1 x1; wait service:web not-steady: tasks of web/1 are starting or being replaced",
		},
		"rolling: the new one waits for the old one": {
			given: "web desired=1 rev=2 min=0 max=100; h1 silent=10s: web/1; h2:", after: time.Minute,
			want: waits("1", time.Minute, "15:01:50"), until: 110*time.Second + 60*time.Millisecond,
			later: "create web/2 x1; wait service:web not-steady: tasks of web/2 are starting or being replaced",
		},
		"rolling: the rest rolls on within the bounds": {
			given: "web desired=3 rev=2 min=50 max=100; h1 silent=10s: web/1; h2: web/1 x2", after: time.Minute,
			want: "create web/2 x1; " + waits("1", time.Minute, "15:01:50"),
		},
		"rolling without room: nothing stops where nothing can start": {
			given: "web desired=2 rev=2 min=0 max=100; h1 silent=10s: web/1 x2; h2: web/1", after: time.Minute,
			want: waits("2", time.Minute, "15:01:50"),
		},
		"enough run elsewhere: nothing to wait for": {
			given: "web desired=1; h1 silent=10s: web/1; h2: web/1", after: time.Minute,
			want: "nothing",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, tt.given)
			if tt.after > 0 {
				stopAfter(w, tt.after)
			}
			if tt.then != nil {
				tt.then(w)
			}
			p := service.Next(w.Input())
			if got := plantest.Text(p); got != tt.want {
				t.Fatalf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
			if tt.until == 0 {
				return
			}
			w.Apply(p.Items...)
			if len(p.Wakes) != 1 || p.Wakes[0].At != w.Now.Add(tt.until) {
				t.Errorf("asks to be woken %+v, want at %s", p.Wakes, w.Now.Add(tt.until))
			}
			if row := w.State.Condition(fleet.ServiceSubject("web"), service.By); row == nil ||
				row.Until != w.Now.Add(tt.until) {
				t.Errorf("the wait is %+v", row)
			}
			w.Wait(tt.until - time.Millisecond)
			if got := plantest.Text(service.Next(w.Input())); got != "nothing" && !strings.HasPrefix(got, "wait") {
				t.Errorf("a moment before: %s", got)
			}
			w.Wait(time.Millisecond)
			in := w.Input()
			in.Scope = plan.Scope{ChangeSet: fleet.ChangeSetOf(fleet.ServiceSubject("web"))}
			if got := plantest.Text(service.Next(in)); got != tt.later {
				t.Errorf("later\n got: %s\nwant: %s", got, tt.later)
			}
		})
	}
}
