package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/api/write"
	"skein/raftfsm/fleet"
)

func TestReadsShowTheFleet(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	x.members.reports = []fleet.CapacityReport{{Host: hostID(2), Used: fleet.Resources{CPU: 100, Memory: 200},
		Starved: true, Runtime: "containerd 1.6"}}
	x.members.members = []view.Member{{Host: hostID(2), Alive: true}, {Host: hostID(3)}}
	want(t, 201, root, "POST", "/v1/tasks", `{"taskDefinition": "web", "startedBy": "cron"}`)
	want(t, 200, root, "POST", "/v1/hosts/h5/cordon", `{"why": "new disk"}`)
	x.voter.must(t, fleet.SilenceHost{Host: hostID(6), Session: 1})
	x.voter.must(t, fleet.PutCondition{Subject: fleet.ServiceSubject("web"), Code: "no-host-fits", Message: "no room",
		Counts: []fleet.Count{{Name: "memory", N: 5}}})

	tests := []struct {
		get  string
		path []any
		want any
	}{
		{"/v1/status", []any{"fleet", "name"}, "test"},
		{"/v1/status", []any{"leader", "name"}, "h1"},
		{"/v1/status", []any{"answeredBy", "role"}, "voter"},
		{"/v1/status", []any{"voters", "voting"}, 3.0},
		{"/v1/status", []any{"voters", "alive"}, 2.0},
		{"/v1/status", []any{"voters", "tolerates"}, 0.0},
		{"/v1/status", []any{"hosts", "silent"}, 1.0},
		{"/v1/status", []any{"hosts", "cordoned"}, 1.0},
		{"/v1/status", []any{"tasks", "running"}, 5.0},
		{"/v1/status", []any{"tasks", "unreachable"}, 1.0},
		{"/v1/status", []any{"tasks", "standalone"}, 1.0},
		{"/v1/status", []any{"services", "steady"}, 0.0},
		{"/v1/status", []any{"cutOff"}, false},
		{"/v1/hosts/h1", []any{"leader"}, true},
		{"/v1/hosts/h1", []any{"reserved", "memory"}, 64.0},
		{"/v1/hosts/h1", []any{"runningTasksCount"}, 1.0},
		{"/v1/hosts/h2", []any{"report", "starved"}, true},
		{"/v1/hosts/h2", []any{"gossip"}, "alive"},
		{"/v1/hosts/h3", []any{"gossip"}, "failed"},
		{"/v1/hosts/h4", []any{"gossip"}, "unknown"},
		{"/v1/hosts/h4", []any{"role"}, "worker"},
		{"/v1/hosts/h5", []any{"cordon", "why"}, "new disk"},
		{"/v1/hosts/h5", []any{"placeable"}, false},
		{"/v1/hosts/" + string(hostID(6)), []any{"state"}, "silent"},
		{"/v1/services/web", []any{"desiredCount"}, 6.0},
		{"/v1/services/web", []any{"runningCount"}, 5.0},
		{"/v1/services/web", []any{"pendingCount"}, 0.0},
		{"/v1/services/web", []any{"unreachableCount"}, 1.0},
		{"/v1/services/web", []any{"conditions", 0, "counts", 0, "count"}, 5.0},
		{"/v1/services/web", []any{"containerImages", 0, "imageDigest"}, sha},
		{"/v1/services/web", []any{"deploymentConfiguration", "maximumPercent"}, 200.0},
		{"/v1/services", []any{"services", 0, "serviceName"}, "web"},
		{"/v1/tasks?host=h6", []any{"tasks", 0, "unreachable"}, true},
		{"/v1/tasks?host=h6", []any{"tasks", 0, "lastStatus"}, "RUNNING"},
		{"/v1/tasks?status=PROVISIONING", []any{"tasks", 0, "startedBy"}, "cron"},
		{"/v1/tasks?status=PROVISIONING", []any{"tasks", 0, "group"}, "family:web"},
		{"/v1/taskdefs/web", []any{"taskDefinition"}, "web:1"},
		{"/v1/taskdefs/web:1", []any{"containerDefinitions", 0, "healthCheck", "httpGet", "port"}, 8080.0},
		{"/v1/taskdefs?family=web", []any{"taskDefinitions", 0, "reservation", "cpu"}, 128.0},
		{"/v1/voters", []any{"voters", 1, "host", "name"}, "h2"},
		{"/v1/events?after=0&limit=1", []any{"events", 0, "code"}, "fleet-started"},
		{"/v1/settings", []any{"settings", 0, "value"}, 3.0},
		{"/v1/tokens", []any{"tokens", 0, "id"}, "join"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.get, tt.path), func(t *testing.T) {
			if tt.path[0] == "events" {
				if got := want(t, 200, root, "GET", tt.get, ""); at(t, got, "events", 0, "seq") != 1.0 {
					t.Errorf("the oldest decision must come first: %v", got)
				}
				return
			}
			if got := at(t, want(t, 200, root, "GET", tt.get, ""), tt.path...); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAServiceShowsTheGoalsThatStand(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	show := func() any { return at(t, want(t, 200, root, "GET", "/v1/services/web", ""), "goals") }
	want(t, 200, root, "PATCH", "/v1/services/web", `{"forceNewDeployment": true}`)
	if got := show(); got != nil {
		t.Errorf("after a change, before it is planned: %v", got)
	}
	x.voter.must(t, fleet.PutGoals{
		Service: "web", ServiceModifyIndex: x.voter.State().Service("web").ModifyIndex, Max: 9,
		Revisions: []fleet.RevisionGoal{
			{Revision: "web/1", Desired: 4, Max: 6}, {Revision: "web/2", Desired: 2, Max: 3}},
	})
	x.voter.must(t, fleet.CreateTasks{Revision: "web/2", Tasks: []fleet.TaskID{"ffffffffffffffffffffffffffffff01"}})
	got, err := json.Marshal(show())
	if err != nil {
		t.Fatal(err)
	}
	const goals = `{"maximumCount":9,"plannedBy":"test","revisions":[` +
		`{"desiredCount":4,"maximumCount":6,"pendingCount":0,"revision":"web/1","runningCount":6,"taskDefinition":"web:1"},` +
		`{"desiredCount":2,"maximumCount":3,"pendingCount":1,"revision":"web/2","runningCount":0,"taskDefinition":"web:1"}]}`
	if string(got) != goals {
		t.Errorf("got  %s\nwant %s", got, goals)
	}
}

func TestEveryReadSaysHowStaleItIs(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	x.voter.set(func(v *fakeVoter) { v.leads, v.leader, v.age = false, hostID(2), 1500*time.Millisecond })
	for _, rt := range x.routes {
		if rt.Kind != endpoint.Read || strings.Contains(rt.Pattern, "{") || rt.ofLeader {
			continue // what the leader says is not stale
		}
		_, _, h := do(t, root, "GET", rt.Pattern, "")
		if h.Get(types.HeaderIndex) != fmt.Sprint(x.voter.State().Index()) || h.Get(types.HeaderStale) != "1500" {
			t.Errorf("%s: index %q, stale %q", rt.Pattern, h.Get(types.HeaderIndex), h.Get(types.HeaderStale))
		}
	}
}

func TestReadsThatCannotBeAnswered(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	tests := []struct {
		get    string
		status int
		say    string
	}{
		{"/v1/hosts/h99", 404, `host "h99": not found`},
		{"/v1/services/nope", 404, `service "nope": not found`},
		{"/v1/taskdefs/nope:3", 404, `task definition "nope:3": not found`},
		{"/v1/tasks/ffffffff0", 404, `not found`},
		{"/v1/tasks/ab", 400, "too short"},
		{"/v1/tasks?limit=0", 400, "1 to 1000"},
		{"/v1/tasks?limit=1001", 400, "1 to 1000"},
		{"/v1/tasks?status=SLEEPING", 400, "PROVISIONING"},
		{"/v1/tasks?desiredStatus=PENDING", 400, "RUNNING and STOPPED"},
		{"/v1/tasks?host=h99", 404, "not found"},
		{"/v1/tasks?sevice=web", 400, `unknown parameter "sevice"`},
		{"/v1/tasks?service=web&service=api", 400, "given 2 times"},
		{"/v1/tasks?service=" + strings.Repeat("x", endpoint.MaxQuery), 414, "at most"},
		{"/v1/status?x=%zz", 400, "cannot be read"},
		{"/v1/events?after=minus", 400, "number of an event"},
		{"/v1/nothing", 404, "nothing is at /v1/nothing"},
		{"/v1/nothing%1b[2J", 404, "nothing is at /v1/nothing [2J"},
	}
	for _, tt := range tests {
		t.Run(tt.get[:min(len(tt.get), 40)], func(t *testing.T) {
			got := want(t, tt.status, root, "GET", tt.get, "")
			if message := at(t, got, "error", "message").(string); !strings.Contains(message, tt.say) {
				t.Errorf("says %q, want %q", message, tt.say)
			}
		})
	}
	got := want(t, 405, root, "PUT", "/v1/services", `{}`)
	if hint := at(t, got, "error", "hint"); hint != "allowed are GET, POST" {
		t.Errorf("hint %v", hint)
	}
}

func TestPagesTogetherAreTheWhole(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	var all []string
	next := ""
	for range 10 {
		got := want(t, 200, root, "GET", "/v1/tasks?limit=4&service=web&next="+next, "")
		for _, task := range got["tasks"].([]any) {
			all = append(all, at(t, task, "taskId").(string))
		}
		if next, _ = got["next"].(string); next == "" {
			break
		}
	}
	if len(all) != 6 || !slices.IsSorted(all) || len(slices.Compact(all)) != 6 {
		t.Errorf("pages gave %v", all)
	}
	names := ""
	second := endpoint.NewCursor("hosts", string(hostID(2)))
	for _, h := range at(t, want(t, 200, root, "GET", "/v1/hosts?limit=2&next="+second, ""), "hosts").([]any) {
		names += at(t, h, "name").(string)
	}
	if names != "h3h4" {
		t.Errorf("the second page of hosts is %s", names)
	}
}

func TestATaskIsFoundByTheBeginningOfItsId(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	full := at(t, want(t, 200, root, "GET", "/v1/tasks?limit=1", ""), "tasks", 0, "taskId").(string)
	if got := at(t, want(t, 200, root, "GET", "/v1/tasks/"+full[:6], ""), "taskId"); got != full {
		t.Errorf("found %v", got)
	}
	x.voter.must(t, fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"abcd1111", "abcd2222"}})
	if got := want(t, 400, root, "GET", "/v1/tasks/abcd", ""); !strings.Contains(at(t, got, "error", "message").(string),
		"more than one") {
		t.Errorf("two tasks begin so, got %v", got)
	}
}

func TestWhyATaskStoppedAndWhyOneWaits(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	code := 137
	host := x.voter.State().Host(hostID(1))
	var id fleet.TaskID
	for task := range x.voter.State().HeldBy(hostID(1)) {
		id = task.ID
	}
	x.voter.must(t, fleet.Report{Host: hostID(1), Session: host.Session.N, Seq: host.ReportSeq + 1,
		Tasks: []fleet.TaskReport{{
			Task: id, Status: fleet.TaskStopped, Health: fleet.HealthUnknown, Attempt: 1,
			StopCode: fleet.StopEssentialContainerExited,
			Reason:   "Essential container in task exited",
			Exits:    []fleet.ContainerExit{{Container: "app", Code: &code, Reason: "OutOfMemoryError: above its limit"}},
		}}})
	got := want(t, 200, root, "GET", "/v1/tasks/"+string(id), "")
	if at(t, got, "stopCode") != "EssentialContainerExited" || at(t, got, "containers", 0, "exitCode") != 137.0 ||
		!strings.HasPrefix(at(t, got, "containers", 0, "reason").(string), "OutOfMemoryError") ||
		at(t, got, "stoppedReason") == "" {
		t.Errorf("a stopped task says %v", got)
	}
	if at(t, got, "containers", 0, "lastStatus") != "STOPPED" || at(t, got, "containers", 0, "runtimeId") != string(id)+
		".app" {
		t.Errorf("its container says %v", at(t, got, "containers"))
	}
	x.voter.must(t, fleet.CreateTasks{Revision: "web/1", Tasks: []fleet.TaskID{"cccc0001"}})
	x.voter.must(t, fleet.PutCondition{Subject: fleet.ServiceSubject("web"), Code: "no-host-fits",
		Message: "no host has room"})
	if got := want(t, 200, root, "GET", "/v1/tasks/cccc0001", ""); at(t, got, "conditions", 0,
		"message") != "no host has room" {
		t.Errorf("a pending task says %v", got)
	}
}

func TestATaskShowsEachOfItsContainers(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	host := x.voter.State().Host(hostID(1))
	var id fleet.TaskID
	for task := range x.voter.State().HeldBy(hostID(1)) {
		id = task.ID
	}
	code := 3
	x.voter.must(t, fleet.Report{Host: hostID(1), Session: host.Session.N, Seq: host.ReportSeq + 1,
		Tasks: []fleet.TaskReport{{
			Task: id, Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1, Containers: []fleet.ContainerState{
				{Name: "app", Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1, StartedAt: 1_700_000_000_000},
				{Name: "side", Status: fleet.TaskStopped, ExitCode: &code, Reason: "<script>", Attempt: 2},
			},
		}}})
	got := want(t, 200, root, "GET", "/v1/tasks/"+string(id), "")
	for i, fields := range []map[string]any{
		{"name": "app", "lastStatus": "RUNNING", "healthStatus": "HEALTHY", "attempt": 1.0, "runtimeId": string(id) + ".app",
			"startedAt": "2023-11-14T22:13:20.000Z"},
		{"name": "side", "lastStatus": "STOPPED", "healthStatus": "UNKNOWN", "attempt": 2.0, "runtimeId": string(id) +
			".side", "exitCode": 3.0, "reason": "<script>"},
	} {
		for name, value := range fields {
			if shown := at(t, got, "containers", i, name); shown != value {
				t.Errorf("container %d: %s is %v, want %v", i, name, shown, value)
			}
		}
	}
}

func TestConsistentReadsAreProvenByTheLeader(t *testing.T) {
	leader := newTestAPI(t, nil)
	webFleet(t, leader)
	want(t, 200, leader.Handler(TrustNone), "GET", "/v1/status?consistent", "")

	t.Run("a follower asks the leader", func(t *testing.T) {
		forward := &forwardTo{handler: leader.Handler(TrustVoter)}
		follower := newTestAPI(t, func(c *Config) { c.Forward, c.Host, c.Name = forward, hostID(2), "h2" })
		follower.voter.set(func(v *fakeVoter) { v.leads, v.st = false, leader.voter.State() })
		got := want(t, 200, follower.Handler(TrustNone), "GET", "/v1/status?consistent=true", "")
		if at(t, got, "answeredBy", "name") != "h1" {
			t.Errorf("answered by %v", got["answeredBy"])
		}
		got = want(t, 200, follower.Handler(TrustNone), "GET", "/v1/taskdefs/web?consistent", "")
		if at(t, got, "containerDefinitions", 0, "environment", 0, "value") != "" {
			t.Error("a reader without rights was shown a secret by way of a voter")
		}
	})
	t.Run("a leader that cannot prove it answers 503", func(t *testing.T) {
		leader.voter.set(func(v *fakeVoter) { v.verify = errors.New("lease lost") })
		defer leader.voter.set(func(v *fakeVoter) { v.verify = nil })
		begin := time.Now()
		code, got, h := do(t, leader.Handler(TrustVoter), "GET", "/v1/status?consistent", "", headerWait, "300")
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("waited %v though its asker would not", took)
		}
		if code != 503 || h.Get("Retry-After") == "" || at(t, got, "error", "code") != "no-leader" {
			t.Errorf("status %d, %v", code, got)
		}
	})
}

func TestHealthAndReadiness(t *testing.T) {
	x := newTestAPI(t, nil)
	h := x.Handler(TrustNone)
	want(t, 200, h, "GET", "/healthz", "")
	want(t, 503, h, "GET", "/readyz", "") // no fleet yet
	fleetOf(t, x.voter, 1)
	want(t, 200, h, "GET", "/readyz", "")
	x.local.err = errors.New("containerd does not answer")
	want(t, 503, h, "GET", "/readyz", "")
	x.local.err = nil
	x.voter.set(func(v *fakeVoter) { v.leads, v.leader, v.age = false, "", time.Minute })
	want(t, 503, h, "GET", "/readyz", "")
	worker := newTestAPI(t, func(c *Config) { c.Voter = nil })
	want(t, 200, worker.Handler(TrustNone), "GET", "/readyz", "")
	worker.local.alone = testNow.Add(-time.Minute)
	want(t, 503, worker.Handler(TrustNone), "GET", "/readyz", "")
}

func TestMetricsOfTheFleetAreOnVotersOnly(t *testing.T) {
	scrape := func(x *testAPI) string {
		w := newRecorder()
		r, _ := http.NewRequest("GET", "http://127.0.0.1/metrics", nil)
		x.Handler(TrustNone).ServeHTTP(w, r)
		return w.Body.String()
	}
	x := newTestAPI(t, nil)
	webFleet(t, x)
	got := scrape(x)
	for _, line := range []string{
		`skein_hosts{state="ready"} 6`, `skein_voters{phase="voting"} 3`, `skein_leader 1`,
		`skein_service_tasks{is="running",service="web"} 6`,
		`skein_tasks{is="desired"} 6`, `skein_http_requests_total{route="POST /v1/services",status="201"} 1`,
		"skein_state_index ", "go_goroutines ",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no line %s", line)
		}
	}
	worker := newTestAPI(t, func(c *Config) { c.Voter = nil })
	worker.local.tasks = []view.LocalTask{{ID: "aaaa", Last: fleet.TaskRunning}}
	got = scrape(worker)
	if strings.Contains(got, "skein_hosts") || !strings.Contains(got, `skein_host_tasks{status="RUNNING"} 1`) {
		t.Error("a worker speaks for the fleet, or not for itself")
	}
}

func TestAnEmptyStateIsNoReasonToFail(t *testing.T) {
	x := newTestAPI(t, nil)
	root := x.Handler(TrustRoot)
	for _, rt := range x.routes {
		if rt.Kind == endpoint.Read && !strings.Contains(rt.Pattern, "{") {
			want(t, 200, root, "GET", rt.Pattern, "")
		}
	}
	for _, rt := range write.Endpoints() {
		code, got, _ := do(t, root, rt.Method, strings.NewReplacer("{name}", "voters", "{id}", "h5").Replace(rt.Pattern),
			`{}`)
		if code < 400 || code == 500 {
			t.Errorf("%s %s: status %d, %v", rt.Method, rt.Pattern, code, got)
		}
	}
	if got := want(t, 503, root, "POST", "/v1/taskdefs", webDef); at(t, got, "error", "code") != "no-fleet" {
		t.Errorf("without a fleet: %v", got)
	}
}

func TestSumsOfALargeFleetAreNotMadeForEveryReader(t *testing.T) {
	now := testNow
	x := newTestAPI(t, func(c *Config) {
		c.Now = func() time.Time { now = now.Add(10 * time.Millisecond); return now } // every look at the clock takes 10 ms
	})
	root := webFleet(t, x)
	x.API.totals = view.NewTotals(x.API.Now)
	want(t, 200, root, "GET", "/v1/status", "")
	x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 9})
	if got := want(t, 200, root, "GET", "/v1/status", ""); at(t, got, "tasks", "desired") != 6.0 {
		t.Errorf("made anew at once: %v", got["tasks"])
	}
	now = now.Add(time.Second)
	if got := want(t, 200, root, "GET", "/v1/status", ""); at(t, got, "tasks", "desired") != 9.0 {
		t.Errorf("never made anew: %v", got["tasks"])
	}
}

func TestEventsOfOneService(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	x.voter.must(t, fleet.PutCondition{Subject: fleet.ServiceSubject("web"), Code: "no-host-fits", Message: "first"})
	for range fleet.MaxEvents/2 + 10 {
		x.voter.must(t, fleet.CordonHost{Host: hostID(5)})
		x.voter.must(t, fleet.UncordonHost{Host: hostID(5)})
	}
	x.voter.must(t, fleet.PutCondition{Subject: fleet.ServiceSubject("web"), Code: "crash-back-off", Message: "second"})
	messages := func(query string) (all []any, answer any) {
		answer = want(t, 200, root, "GET", "/v1/events?service=web"+query, "")
		for _, e := range at(t, answer, "events").([]any) {
			all = append(all, at(t, e, "message"))
		}
		return all, answer
	}
	all, answer := messages("")
	n := len(all)
	if n < 2 || all[n-2] != "first" || all[n-1] != "second" {
		t.Errorf("in a busy fleet: %v", all)
	}
	first := at(t, answer, "events", n-2, "seq").(float64)
	if after, _ := messages(fmt.Sprintf("&after=%.0f", first)); len(after) != 1 || after[0] != "second" {
		t.Errorf("after the first: %v", after)
	}
	if newest, _ := messages("&limit=1"); len(newest) != 1 || newest[0] != "second" {
		t.Errorf("the newest one: %v", newest)
	}
	if none := want(t, 200, root, "GET", "/v1/events?service=nobody", ""); len(at(t, none, "events").([]any)) != 0 {
		t.Errorf("of no service: %v", none)
	}
}
