package service_test

import (
	"testing"

	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

func TestNext(t *testing.T) {
	const (
		starting = "wait service:web not-steady: tasks of web/1 are starting or being replaced"
		rolling  = "wait service:web not-steady: tasks of web/2 are starting or being replaced"
	)
	tests := map[string]struct{ given, want string }{
		"a new service starts all its tasks at once": {
			given: "web desired=6; h1:",
			want:  "create web/1 x6; " + starting,
		},
		"a service as it should be wants nothing": {
			given: "web desired=2; h1: web/1, web/1",
			want:  "nothing",
		},
		"tasks that are starting are waited for": {
			given: "web desired=2; h1: web/1 pending, web/1 activating",
			want:  starting,
		},
		"tasks that run without checks count as healthy after 40 s": {
			given: "web desired=1; h1: web/1 running age=39s",
			want:  "nothing", // nothing to do, and nobody was told of unsteadiness
		},
		"scaling up starts what is missing": {
			given: "web desired=5; h1: web/1 x2",
			want:  "create web/1 x3; " + starting,
		},
		"tasks of a silent host are replaced at once": {
			given: "web desired=2; h1 silent: web/1; h2: web/1",
			want:  "create web/1 x1; " + starting,
		},
		"tasks of a host that rebooted are replaced at once": {
			given: "web desired=2; h1 rebooted: web/1; h2: web/1",
			want:  "create web/1 x1; " + starting,
		},
		"tasks of a host whose agent alone is down are left alone": {
			given: "web desired=2; h1 seen=refused/1m: web/1; h2: web/1",
			want:  "nothing",
		},
		"scaling in takes the zone with most, there the host with most, there the newest": {
			given: "web desired=3; h1 zone=a: web/1; h2 zone=b: web/1; h3 zone=b: web/1 x3",
			want:  "stop web-5 web-4 (scale-in): surplus: 3 tasks of web are wanted; " + starting,
		},
		"scaling in takes what does not run yet first": {
			given: "web desired=2; h1 zone=a: web/1 x2; h2 zone=b: web/1 pending; unassigned: web/1",
			want:  "stop web-4 web-3 (scale-in): surplus: 2 tasks of web are wanted; " + starting,
		},
		"scaling in takes unhealthy tasks before healthy ones": {
			given: "web desired=2 check; h1 zone=a: web/1 healthy x2; h2 zone=b: web/1 unhealthy",
			want:  "stop web-3 (task-failed): unhealthy, and replaced; " + starting,
		},
		"scaling to zero stops all": {
			given: "web desired=0; h1: web/1 x2; unassigned: web/1",
			want: "stop web-3 (scale-in): surplus: 0 tasks of web are wanted; stop web-1 web-2 (scale-in): surplus: 0 tasks " +
				"of web are wanted; " + starting,
		},
		"a host back from silence keeps its tasks, and replacements not yet healthy go": {
			given: "web desired=3; h1 zone=a: web/1; h2 zone=b: web/1; h3 zone=c: web/1, web/1 pending; unassigned: web/1",
			want:  "stop web-5 web-4 (scale-in): surplus: 3 tasks of web are wanted; " + starting,
		},
		"a host back from silence when replacements are healthy: the normal order, never below min": {
			given: "web desired=2; h1 zone=a: web/1; h2 zone=b: web/1; h3 zone=b: web/1",
			want:  "stop web-3 (scale-in): surplus: 2 tasks of web are wanted; " + starting,
		},
		"an unhealthy task gets a replacement before it stops": {
			given: "web desired=2 check; h1: web/1 healthy, web/1 unhealthy",
			want:  "create web/1 x1; " + starting,
		},
		"an unhealthy task waits for its replacement to be healthy": {
			given: "web desired=2 check; h1: web/1 healthy, web/1 unhealthy, web/1 running",
			want:  starting,
		},
		"an unhealthy task stops when its replacement is healthy": {
			given: "web desired=2 check; h1: web/1 healthy, web/1 unhealthy, web/1 healthy",
			want:  "stop web-2 (task-failed): unhealthy, and replaced; " + starting,
		},
		"unhealthy tasks in their grace period are not judged": {
			given: "web desired=1 check grace=120s; h1: web/1 unhealthy age=119s",
			want:  starting,
		},
		"unhealthy tasks are judged when their grace period is over": {
			given: "web desired=1 check grace=120s; h1: web/1 unhealthy age=120s",
			want:  "create web/1 x1; " + starting,
		},
		"replacements that turned unhealthy too: either may go, and another is tried": {
			given: "web desired=1 check; h1: web/1 unhealthy, web/1 unhealthy",
			want:  "stop web-2 (task-failed): unhealthy, and replaced; create web/1 x1; " + starting,
		},
		"without room to start first, unhealthy tasks go one at a time within the lower bound": {
			given: "web desired=4 min=50 max=100 check; h1: web/1 healthy, web/1 unhealthy x3",
			want: "stop web-4 (task-failed): unhealthy; maximumPercent 100 of 4 leaves no room to start its replacement " +
				"first; create web/1 x1; " + starting,
		},
		"without room to start first, the next unhealthy task waits for the replacement": {
			given: "web desired=4 min=50 max=100 check; h1: web/1 healthy, web/1 unhealthy x2, web/1 pending",
			want:  starting,
		},
		"rolling: all new tasks start before an old one stops": {
			given: "web desired=4 rev=2; h1: web/1 x4",
			want:  "create web/2 x4; " + rolling,
		},
		"rolling: old tasks stop one for one as new ones turn healthy": {
			given: "web desired=4; h1: web/1 x4; h2: web/2 x2, web/2 running age=5s, web/2 pending",
			want:  "stop web-4 web-3 (rollout): replaced by revision web/2; " + rolling,
		},
		"rolling: the last old tasks stop when all new ones are healthy": {
			given: "web desired=2; h1: web/1; h2: web/2 x2",
			want:  "stop web-1 (rollout): replaced by revision web/2; " + rolling,
		},
		"rolling: old tasks that do not run yet go at once": {
			given: "web desired=2 rev=2; h1: web/1, web/1 pending; unassigned: web/1",
			want:  "stop web-2 web-3 (rollout): replaced by revision web/2 before it ran; create web/2 x2; " + rolling,
		},
		"rolling: bounded by the upper bound": {
			given: "web desired=4 max=150 rev=2; h1: web/1 x4",
			want:  "create web/2 x2; " + rolling,
		},
		"rolling: room below the lower bound does not make old tasks stop while max leaves room to start": {
			given: "web desired=4 min=50 max=125 rev=2; h1: web/1 x4; h2: web/2 pending",
			want:  rolling,
		},
		"rolling without room: as many stop as the lower bound allows, and as many start": {
			given: "web desired=4 min=50 max=100 rev=2; h1: web/1 x4",
			want: "stop web-4 web-3 (rollout): makes way for revision web/2: maximumPercent 100 of 4 leaves no room to start " +
				"its replacement first; " +
				"create web/2 x2; " + rolling,
		},
		"rolling without room: the next two wait until the first two are healthy": {
			given: "web desired=4 min=50 max=100; h1: web/1 x2; h2: web/2 x2 running age=5s",
			want:  rolling,
		},
		"rolling without room: then the next two": {
			given: "web desired=4 min=50 max=100; h1: web/1 x2; h2: web/2 x2",
			want: "stop web-1 web-2 (rollout): makes way for revision web/2: maximumPercent 100 of 4 leaves no room to start " +
				"its replacement first; " +
				"create web/2 x2; " + rolling,
		},
		"rolling: bad new tasks are replaced, old ones stay": {
			given: "web desired=2 check; h1: web/1 healthy x2; h2: web/2 unhealthy x2",
			want: "stop web-4 (task-failed): unhealthy; maximumPercent 200 of 2 leaves no room to start its replacement " +
				"first; create web/2 x1; " + rolling,
		},
		"a task that is to be replaced: another starts first": {
			given: "web desired=2; h1: web/1 replace=drain; h2: web/1",
			want:  "create web/1 x1; " + starting,
		},
		"a task that is to be replaced stays until its replacement is healthy": {
			given: "web desired=2; h1: web/1 replace=drain; h2: web/1, web/1 running age=5s",
			want:  starting,
		},
		"a task that is to be replaced stops for its cause when its replacement is healthy, which is no surplus": {
			given: "web desired=2; h1: web/1 replace=drain; h2: web/1; h3: web/1",
			want:  "stop web-1 (drain): replaced by another task (drain); " + starting,
		},
		"tasks that are to be replaced for several causes stop for their own": {
			given: "web desired=2; h1: web/1 replace=rebalance, web/1 replace=drain; h2: web/1 x2",
			want: "stop web-2 (drain): replaced by another task (drain); stop web-1 (rebalance): replaced by another task " +
				"(rebalance); " + starting,
		},
		"a task that is to be replaced and does not run yet goes at once": {
			given: "web desired=1; h1: web/1 pending replace=drain",
			want:  "stop web-1 (drain): replaced by another task (drain) before it ran; create web/1 x1; " + starting,
		},
		"scaling in takes the task that is to be replaced, wherever it stands": {
			given: "web desired=2; h1 zone=a: web/1 replace=drain; h2 zone=b: web/1 x2",
			want:  "stop web-1 (drain): replaced by another task (drain); " + starting,
		},
		"a task of an earlier revision that is to be replaced stops for the roll-out": {
			given: "web desired=1; h1: web/1 replace=drain; h2: web/2",
			want:  "stop web-1 (rollout): replaced by revision web/2; " + rolling,
		},
		"without room to start first, a task that is to be replaced goes within the lower bound": {
			given: "web desired=2 min=50 max=100; h1: web/1 replace=drain; h2: web/1",
			want: "stop web-1 (drain): makes way for another task (drain): maximumPercent 100 of 2 leaves no room to start " +
				"its replacement first; " +
				"create web/1 x1; " + starting,
		},
		"tasks that are to be replaced on a silent host are just gone": {
			given: "web desired=2; h1 silent: web/1 replace=drain; h2: web/1",
			want:  "create web/1 x1; " + starting,
		},
		"100/100 is stuck and names the fields": {
			given: "web desired=4 min=100 max=100 rev=2; h1: web/1 x4",
			want: "wait service:web stuck-by-configuration: unable to start or stop tasks because of the deployment " +
				"configuration: " +
				"maximumPercent 100 allows 4 tasks of 4, minimumHealthyPercent 100 keeps 4; raise maximumPercent or lower " +
				"minimumHealthyPercent",
		},
		"100/100 whose old tasks do not run yet is not stuck": {
			given: "web desired=2 max=100 rev=2; unassigned: web/1 x2",
			want:  "stop web-1 web-2 (rollout): replaced by revision web/2 before it ran; create web/2 x2; " + rolling,
		},
		"crash back-off: nothing starts before its time, and it says why and when": {
			given: "web desired=1 failed=3; h1:",
			want: "wait service:web crash-back-off: unable to consistently start tasks (failures in a row: 3), " +
				"last: task web-fail: app exit 1; next try at 2026-01-02T15:00:04Z",
		},
		"crash back-off: a rolling update does not stop old tasks for starts that cannot be": {
			given: "web desired=2 min=0 max=100 rev=2 failed=1; h1: web/1 x2",
			want: "wait service:web crash-back-off: unable to consistently start tasks (failures in a row: 1), " +
				"last: task web-fail: app exit 1; next try at 2026-01-02T15:00:01Z",
		},
		"a deleted service stops all its tasks, unreachable ones too": {
			given: "web desired=2 deleted; h1: web/1; h2 silent: web/1",
			want:  "stop web-1 web-2 (scale-in): service web was deleted",
		},
		"stopping tasks count for nothing": {
			given: "web desired=2; h1: web/1 stopping x2, web/1 x2",
			want:  "nothing",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plantest.Text(service.Next(plantest.Parse(t, tt.given).Input())); got != tt.want {
				t.Errorf("given %s\n got: %s\nwant: %s", tt.given, got, tt.want)
			}
		})
	}
}

func TestSteady(t *testing.T) {
	tests := map[string]struct {
		given string
		want  bool
	}{
		"as many healthy tasks as are desired": {"web desired=2 check; h1: web/1 healthy x2", true},
		"with another that is stopping":        {"web desired=2; h1: web/1 x2, web/1 stopping", true},
		"none are desired":                     {"web desired=0; h1:", true},
		"stuck at 100/100 with tasks that are not healthy": {"web desired=2 min=100 max=100 check; h1: web/1 unhealthy x2",
			false},
		"stuck at 100/100 with tasks of an earlier version": {"web desired=2 min=100 max=100 rev=2; h1: web/1 x2", false},
		"one is pending":      {"web desired=2; h1: web/1 x2, web/1 pending", false},
		"one is out of reach": {"web desired=2; h1: web/1; h2 silent: web/1", false},
		"deleted":             {"web desired=2 deleted; h1: web/1 x2", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := plantest.Parse(t, tt.given)
			v := w.State.Service("web")
			if got := service.Steady(w.State, v); got != tt.want {
				t.Errorf("given %s: steady is %v", tt.given, got)
			}
			w.Apply(service.Next(w.Input()).Items...)
			if v := w.State.Service("web"); v != nil && service.Steady(w.State, v) &&
				w.State.HasCondition(fleet.ServiceSubject("web")) {
				t.Errorf("given %s: steady, and something is waited for", tt.given)
			}
		})
	}
}
