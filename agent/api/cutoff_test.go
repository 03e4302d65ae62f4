package api

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/raftfsm/fleet"
)

// workerOf is a worker, h4, whose reads go to a voter until cut.
func workerOf(t *testing.T) (worker, voter *testAPI, cut func()) {
	t.Helper()
	voter = newTestAPI(t, nil)
	webFleet(t, voter)
	forward := &forwardTo{handler: voter.Handler(TrustToken)}
	worker = newTestAPI(t, func(c *Config) {
		c.Forward, c.Voter, c.Host, c.Name, c.Zone = forward, nil, hostID(4), "h4", "a"
	})
	var own fleet.TaskID
	for task := range voter.voter.State().HeldBy(hostID(4)) {
		own = task.ID
	}
	worker.local.tasks = []view.LocalTask{
		{ID: own, Service: "web", Revision: "web/1", TaskDef: "web:1", Desired: fleet.TaskRunning, Last: fleet.TaskRunning,
			Health: fleet.HealthUnhealthy, Reason: "check failed",
			Containers: []fleet.ContainerState{{Name: "app", Status: fleet.TaskRunning, Health: fleet.HealthUnhealthy,
				Attempt: 1}}},
		{ID: "ffff0001", Service: "web", Revision: "web/1", TaskDef: "web:1", Desired: fleet.TaskRunning,
			Last: fleet.TaskActivating},
	}
	worker.members.members = []view.Member{{Host: hostID(4), Name: "h4", Alive: true},
		{Host: hostID(3), Name: "h3", Alive: false}, {Host: hostID(9), Name: "h9", Zone: "c", Role: "worker", Alive: true}}
	worker.members.reports = []fleet.CapacityReport{{Host: hostID(9), Capacity: fleet.Resources{CPU: 2048, Memory: 4096},
		TasksRunning: 3}}
	return worker, voter, func() {
		forward.mu.Lock()
		defer forward.mu.Unlock()
		forward.err = errors.New("no route to host")
		worker.local.alone = testNow
		worker.API.Now = func() time.Time { return testNow.Add(30 * time.Second) }
	}
}

func TestAWorkerAnswersWithAVotersWords(t *testing.T) {
	worker, voter, _ := workerOf(t)
	code, got, h := do(t, worker.Handler(TrustNone), "GET", "/v1/status", "")
	if code != 200 || at(t, got, "answeredBy", "name") != "h1" ||
		h.Get(types.HeaderIndex) != fmt.Sprint(voter.voter.State().Index()) || h.Get(types.HeaderCutOff) != "" {
		t.Errorf("status %d: %v %v", code, got, h)
	}
	want(t, 404, worker.Handler(TrustNone), "GET", "/v1/services/nope", "")
}

func TestAWorkerThatIsCutOffSaysSoAndShowsWhatIsTrue(t *testing.T) {
	worker, voter, cut := workerOf(t)
	h := worker.Handler(TrustNone)
	for _, path := range []string{"/v1/status", "/v1/hosts", "/v1/services", "/v1/tasks", "/v1/taskdefs", "/v1/voters",
		"/v1/events"} {
		want(t, 200, h, "GET", path, "")
	}
	cut()
	for _, rt := range view.Endpoints() {
		if !rt.Cached {
			continue
		}
		code, got, header := do(t, h, "GET", rt.Pattern, "")
		if code != 200 || got["cutOff"] != true || header.Get(types.HeaderCutOff) != "true" ||
			header.Get(types.HeaderStale) != "30000" || got["staleMs"] != 30000.0 ||
			got["aloneSince"] != "2026-01-02T12:00:00.000Z" ||
			header.Get(types.HeaderIndex) != fmt.Sprint(voter.voter.State().Index()) {
			t.Errorf("%s: status %d, %v, %v", rt.Pattern, code, got["cutOff"], header)
		}
	}
	status := want(t, 200, h, "GET", "/v1/status", "")
	if at(t, status, "answeredBy", "name") != "h4" || at(t, status, "leader") != nil ||
		at(t, status, "tasks", "running") != 6.0 || !strings.Contains(at(t, status, "notes", 0).(string), "hears no voter") {
		t.Errorf("status %v", status)
	}
	hosts := map[string]map[string]any{}
	for _, row := range at(t, want(t, 200, h, "GET", "/v1/hosts", ""), "hosts").([]any) {
		hosts[at(t, row, "name").(string)] = row.(map[string]any)
	}
	if len(hosts) != 7 || hosts["h9"]["state"] != "unknown" || hosts["h9"]["runningTasksCount"] != 3.0 ||
		hosts["h3"]["gossip"] != "failed" || hosts["h4"]["gossip"] != "alive" || hosts["h1"]["leader"] != false {
		t.Errorf("hosts %v", hosts)
	}
	tasks := at(t, want(t, 200, h, "GET", "/v1/tasks?host=h4", ""), "tasks").([]any)
	if len(tasks) != 2 {
		t.Fatalf("its own tasks are two: %v", tasks)
	}
	own := want(t, 200, h, "GET", "/v1/tasks/"+string(worker.local.tasks[0].ID), "")
	if at(t, own, "healthStatus") != "UNHEALTHY" || at(t, own, "source") != "host" {
		t.Errorf("its own view must win: %v", own)
	}
	if at(t, own, "containers", 0, "healthStatus") != "UNHEALTHY" {
		t.Errorf("its own view of containers must win: %v", own)
	}
	if other := at(t, want(t, 200, h, "GET", "/v1/tasks?host=h1", ""), "tasks", 0); at(t, other, "source") != "cache" {
		t.Errorf("what it remembers must say so: %v", other)
	}
	if rows := at(t, want(t, 200, h, "GET", "/v1/tasks?status=ACTIVATING", ""), "tasks").([]any); len(rows) != 1 ||
		at(t, rows[0], "taskId") != "ffff0001" {
		t.Errorf("filters must hold: %v", rows)
	}
	if got := want(t, 200, h, "GET", "/v1/services/web", ""); at(t, got, "desiredCount") != 6.0 {
		t.Errorf("service %v", got)
	}
	want(t, 200, h, "GET", "/v1/hosts/h9", "")
	if got := want(t, 503, h, "GET", "/v1/services/nope", ""); at(t, got, "error", "code") != "cut-off" {
		t.Errorf("what it does not remember: %v", got)
	}
	if got := want(t, 503, h, "GET", "/v1/settings", ""); at(t, got, "error", "code") != "cut-off" {
		t.Errorf("what nobody asked before: %v", got)
	}
	want(t, 503, h, "GET", "/v1/status?consistent", "")
}

func TestAWorkerThatNeverHeardAVoterStillSpeaksForItself(t *testing.T) {
	worker, _, cut := workerOf(t)
	cut()
	h := worker.Handler(TrustNone)
	status := want(t, 200, h, "GET", "/v1/status", "")
	if status["cutOff"] != true || status["staleMs"] != -1.0 || at(t, status, "tasks", "running") != 1.0 ||
		at(t, status, "hosts", "total") != 3.0 {
		t.Errorf("status %v", status)
	}
	if tasks := at(t, want(t, 200, h, "GET", "/v1/tasks", ""), "tasks").([]any); len(tasks) != 2 ||
		at(t, tasks[0], "host", "name") != "h4" {
		t.Errorf("tasks %v", tasks)
	}
	if services := at(t, want(t, 200, h, "GET", "/v1/services", ""), "services").([]any); len(services) != 0 {
		t.Errorf("services %v", services)
	}
}

func TestAVoterThatHearsNoLeaderIsCutOff(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	var own fleet.TaskID
	for task := range x.voter.State().HeldBy(hostID(1)) {
		own = task.ID
	}
	x.local.tasks = []view.LocalTask{{ID: own, Service: "web", TaskDef: "web:1", Desired: fleet.TaskRunning,
		Last: fleet.TaskRunning, Health: fleet.HealthUnhealthy}}
	x.voter.set(func(v *fakeVoter) { v.leads, v.leader, v.age = false, "", 4*time.Second })
	if got := want(t, 200, root, "GET", "/v1/status", ""); got["cutOff"] != false || at(t, got, "leader") != nil ||
		!strings.Contains(at(t, got, "notes", 0).(string), "no leader at the moment") {
		t.Errorf("an election is no cut: %v", got)
	}
	x.voter.set(func(v *fakeVoter) { v.age = 6 * time.Second })
	code, got, h := do(t, root, "GET", "/v1/status", "")
	if code != 200 || got["cutOff"] != true || h.Get(types.HeaderCutOff) != "true" || h.Get(types.HeaderStale) != "6000" ||
		got["aloneSince"] != "2026-01-02T11:59:54.000Z" {
		t.Errorf("%v %v", got, h)
	}
	if task := want(t, 200, root, "GET", "/v1/tasks/"+string(own), ""); at(t, task, "healthStatus") != "UNHEALTHY" ||
		at(t, task, "source") != "host" {
		t.Errorf("its own task: %v", task)
	}
}

func TestAPeerThatTookAWorkerForAVoterIsSentElsewhere(t *testing.T) {
	worker, voter, _ := workerOf(t)
	token := want(t, 201, voter.Handler(TrustRoot), "POST", "/v1/tokens", `{"kind": "operator"}`)["token"].(string)
	for hops, status := range map[string]int{"0": 200, "1": 503, "2": 503} {
		for _, call := range [][3]string{{"GET", "/v1/status", ""}, {"POST", "/v1/services/web/scale", `{"desiredCount": 3}`}} {
			got := want(t, status, worker.Handler(TrustToken), call[0], call[1], call[2], headerHops, hops,
				"Authorization", "Bearer "+token)
			if status != 200 && at(t, got, "error", "code") != "not-a-voter" {
				t.Errorf("%s after %s hops: %v", call[0], hops, got)
			}
		}
	}
}

func TestAnAnswerForSomebodyWithRightsIsNotKept(t *testing.T) {
	worker, voter, cut := workerOf(t)
	h := worker.Handler(TrustNone)
	token := want(t, 201, voter.Handler(TrustRoot), "POST", "/v1/tokens", `{"kind": "operator"}`)["token"].(string)
	want(t, 200, h, "GET", "/v1/services", "", "Authorization", "Bearer "+token)
	cut()
	if got := want(t, 200, h, "GET", "/v1/services", ""); len(got["services"].([]any)) != 0 {
		t.Errorf("kept for all: %v", got)
	}
}
