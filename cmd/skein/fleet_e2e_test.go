//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/api"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

// fleetUnderTest is a lab of three hosts with a name of its own.
type fleetUnderTest struct {
	*testing.T
	lab   *lab.Lab
	dir   string
	image string
}

// within is far above what a starved two-core machine needed for any one wait.
const within = 90 * time.Second

func newFleet(t *testing.T, o lab.UpOptions) *fleetUnderTest {
	t.Helper()
	binary := os.Getenv("SKEIN_BINARY")
	if binary == "" {
		t.Fatal("SKEIN_BINARY must name the static binary: run this by `make e2e`")
	}
	dir := filepath.Join(t.TempDir(), "lab")
	l, err := lab.New(lab.Options{Name: fmt.Sprintf("e%d", os.Getpid()%1_000_000), Dir: dir, Binary: binary, Say: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleetUnderTest{T: t, lab: l, dir: dir}
	t.Cleanup(func() {
		if t.Failed() {
			f.dump()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := l.Down(ctx); err != nil {
			t.Errorf("lab not removed: %v", err)
		}
	})
	f.must(l.Up(f.Context(), o))
	return f
}

func (f *fleetUnderTest) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// dump prints what a person would look at first.
func (f *fleetUnderTest) dump() {
	for _, host := range []string{"h1", "h2", "h3"} {
		var text strings.Builder
		_ = f.lab.Logs(context.Background(), &text, host, lab.LogOptions{Lines: 30})
		f.Logf("last lines of the agent's log on %s:\n%s", host, text.String())
	}
}

// at returns a client of one host's agent, with the operator's token.
func (f *fleetUnderTest) at(host string) *client.Client {
	f.Helper()
	socket, err := f.lab.Socket(host)
	f.must(err)
	token, err := f.lab.OperatorToken()
	f.must(err)
	return client.New(client.Endpoint{Socket: socket}, token)
}

// eventually polls look until it is content; what it saw last is in the failure.
func (f *fleetUnderTest) eventually(what string, look func() (seen string, done bool)) {
	f.Helper()
	deadline := time.Now().Add(within)
	for {
		seen, done := look()
		if done {
			return
		}
		if time.Now().After(deadline) {
			f.Fatalf("%s: not within %s; last seen: %s", what, within, seen)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func get[T any](f *fleetUnderTest, host, path string) (answer T, err error) {
	_, err = f.at(host).Get(f.Context(), path, &answer)
	return answer, err
}

func (f *fleetUnderTest) service(host, name string) (api.Service, error) {
	return get[api.Service](f, host, "/v1/services/"+name)
}

func (f *fleetUnderTest) awaitHealthy(host, name string, desired int) {
	f.Helper()
	f.eventually(name+" is healthy", func() (string, bool) {
		s, err := f.service(host, name)
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v wait %+v", s, s.Wait), s.Steady && s.Desired == desired && s.Healthy == desired
	})
}

func (f *fleetUnderTest) awaitReady(host string, hosts, voters int) {
	f.Helper()
	f.eventually(fmt.Sprintf("%d hosts ready, %d voters", hosts, voters), func() (string, bool) {
		s, err := get[api.Status](f, host, "/v1/status")
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v", s), s.Hosts.Ready == hosts && s.Voters.Voting == voters && s.Leader != nil
	})
}

// tasks are the service's tasks that are not stopped, by id.
func (f *fleetUnderTest) tasks(host, service string) []api.Task {
	f.Helper()
	page, err := get[api.Tasks](f, host, "/v1/tasks?service="+service)
	f.must(err)
	return slices.DeleteFunc(page.Tasks, func(t api.Task) bool { return t.Last == "STOPPED" })
}

// register registers a definition of the web image with changes to its one container.
func (f *fleetUnderTest) register(host, family string, change func(container map[string]any)) string {
	f.Helper()
	def := webTaskDefinition(f.image)
	def["family"] = family
	if change != nil {
		change(def["containerDefinitions"].([]any)[0].(map[string]any))
	}
	var answer made
	f.must(f.at(host).Send(f.Context(), http.MethodPost, "/v1/taskdefs", def, &answer))
	return answer.TaskDef.ID
}

func (f *fleetUnderTest) create(host, name, taskDef string, desired int) {
	f.Helper()
	f.must(f.at(host).Send(f.Context(), http.MethodPost, "/v1/services",
		map[string]any{"serviceName": name, "taskDefinition": taskDef, "desiredCount": desired}, nil))
}

func (f *fleetUnderTest) remove(host, name string) {
	f.Helper()
	f.must(f.at(host).Send(f.Context(), http.MethodDelete, "/v1/services/"+name, api.ForceBody{Force: true}, nil))
	f.eventually(name+" is gone", func() (string, bool) {
		s, err := f.service(host, name)
		return fmt.Sprintf("%+v %v", s, err), err != nil
	})
}

func (f *fleetUnderTest) hostURL(host string) string {
	f.Helper()
	view, err := f.lab.List(f.Context())
	f.must(err)
	for _, h := range view.Hosts {
		if h.Name == host {
			return h.StatusURL
		}
	}
	f.Fatalf("no host %s", host)
	return ""
}

// TestE2EFleet walks one fleet through its life, on real containers.
func TestE2EFleet(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	f.create("h2", "web", f.register("h3", "web", nil), 6)
	f.awaitHealthy("h1", "web", 6)

	for _, part := range []struct {
		name string
		run  func(*fleetUnderTest)
	}{
		{"tasks are spread over zones and answer", (*fleetUnderTest).spreadAndAnswer},
		{"every node answers and says how stale it is", (*fleetUnderTest).everyNodeAnswers},
		{"kill -9 of agent and containerd touch no container", (*fleetUnderTest).crashesTouchNothing},
		{"a rolling update never has fewer healthy tasks than desired", (*fleetUnderTest).rollingUpdate},
		{"tasks that cannot run say why", (*fleetUnderTest).reasons},
		{"an agent that is down keeps its tasks", (*fleetUnderTest).agentDown},
		{"the leader's host dies and comes back", (*fleetUnderTest).leaderDies},
		{"a host cut off keeps its tasks and says so", (*fleetUnderTest).cutOff},
		{"a fleet that lost power comes back without registry and one host", (*fleetUnderTest).blackStart},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(&fleetUnderTest{T: t, lab: f.lab, dir: f.dir, image: f.image}) }) {
			return // the next part starts from where this one ends
		}
	}
}

// TestE2EFleetOverIPv6 has every address between hosts from an IPv6 network.
func TestE2EFleetOverIPv6(t *testing.T) {
	f := newFleet(t, lab.UpOptions{IPv6: true})
	f.awaitReady("h2", 3, 3)
	url := f.hostURL("h3")
	if !strings.HasPrefix(url, "http://[") {
		t.Fatalf("status page at %s, want an IPv6 address", url)
	}
	response, err := http.Get(url + "v1/status")
	f.must(err)
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("%s answered %s", url, response.Status)
	}
	leader, err := get[api.Status](f, "h1", "/v1/status")
	f.must(err)
	f.eventually("two voters were added to the raft configuration", func() (string, bool) {
		var log strings.Builder
		f.must(f.lab.Logs(f.Context(), &log, leader.Leader.Name, lab.LogOptions{Lines: 500}))
		return log.String(), strings.Count(log.String(), `"change":"add voter"`) == 2
	})
	f.must(f.lab.Kill(f.Context(), leader.Leader.Name))
	other := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}[leader.Leader.Name]
	f.eventually("another leads", func() (string, bool) {
		s, err := get[api.Status](f, other, "/v1/status")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.Leader != nil && s.Leader.Name != leader.Leader.Name && s.Hosts.Silent == 1
	})
}

func (f *fleetUnderTest) spreadAndAnswer() {
	zones := map[string]int{}
	for _, task := range f.tasks("h2", "web") {
		zones[task.Host.Zone]++
		address := strings.TrimSuffix(strings.TrimSuffix(task.Host.Status, "/"), fmt.Sprint(":", lab.StatusPort))
		response, err := http.Get(fmt.Sprintf("%s:%d/healthz", address, task.Ports[0].HostPort))
		f.must(err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			f.Errorf("task %s answered %s", task.ID, response.Status)
		}
	}
	if zones["a"] != 2 || zones["b"] != 2 || zones["c"] != 2 {
		f.Errorf("zones %v, want two tasks in each", zones)
	}
}

func (f *fleetUnderTest) everyNodeAnswers() {
	for _, host := range []string{"h1", "h2", "h3"} {
		url := f.hostURL(host)
		for path, want := range map[string]string{"": "<html", "v1/services": `"desiredCount":6`, "metrics": "skein_", "openapi.json": `"openapi"`, "readyz": ""} {
			response, err := http.Get(url + path)
			f.must(err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			f.must(err)
			if response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				f.Errorf("%s%s: %s without %q", url, path, response.Status, want)
			}
			if strings.HasPrefix(path, "v1/") && (response.Header.Get("X-Skein-Index") == "" || response.Header.Get("X-Skein-Stale-Ms") == "") {
				f.Errorf("%s%s does not say how stale it is: %v", url, path, response.Header)
			}
		}
		response, err := http.Post(url+"v1/services/web/scale", "application/json", strings.NewReader(`{"desiredCount":0}`))
		f.must(err)
		response.Body.Close()
		if response.StatusCode < 400 {
			f.Errorf("the plain listener of %s took a write: %s", host, response.Status)
		}
	}
}

func (f *fleetUnderTest) crashesTouchNothing() {
	f.create("h1", "flood", f.register("h1", "flood", func(c map[string]any) {
		c["command"] = []string{"web", "--listen", ":8080", "--flood", "1000000"}
	}), 3)
	f.awaitHealthy("h1", "flood", 3)
	before, files := f.life("flood"), f.logFiles("flood")
	for _, crash := range []func(context.Context, string) error{f.lab.CrashAgent, f.lab.CrashRuntime} {
		for _, host := range []string{"h1", "h2", "h3"} {
			f.must(crash(f.Context(), host))
		}
		f.grow(files)
		f.awaitReady("h1", 3, 3)
		f.awaitHealthy("h2", "flood", 3)
	}
	if after := f.life("flood"); after != before {
		f.Errorf("tasks changed:\nbefore %s\nafter  %s", before, after)
	}
	f.remove("h3", "flood")
}

// life says of each task of a service when it started: what must not change.
func (f *fleetUnderTest) life(service string) string {
	f.Helper()
	var lines []string
	for _, task := range f.tasks("h1", service) {
		started, err := json.Marshal(task.StartedAt)
		f.must(err)
		lines = append(lines, fmt.Sprintf("%s %s attempt %d", task.ID, started, task.Attempt))
	}
	return strings.Join(lines, "; ")
}

// logFiles are the logs of a service's tasks.
func (f *fleetUnderTest) logFiles(service string) (files []string) {
	f.Helper()
	for _, task := range f.tasks("h1", service) {
		found, err := filepath.Glob(filepath.Join(f.dir, "*", "data", "logs", task.ID, "*.log"))
		f.must(err)
		files = append(files, found...)
	}
	if len(files) == 0 {
		f.Fatalf("no logs of %s", service)
	}
	return files
}

// grow waits until each file has changed its size: agents rotate logs by
// truncating them.
func (f *fleetUnderTest) grow(files []string) {
	f.Helper()
	sizes := func() (all []int64) {
		for _, file := range files {
			info, err := os.Stat(file)
			f.must(err)
			all = append(all, info.Size())
		}
		return all
	}
	before := sizes()
	f.eventually("the logs grow", func() (string, bool) {
		now := sizes()
		for i := range now {
			if now[i] == before[i] {
				return fmt.Sprint(before, now), false
			}
		}
		return "", true
	})
}

func (f *fleetUnderTest) rollingUpdate() {
	old := f.tasks("h1", "web")
	next := f.register("h2", "web", func(c map[string]any) {
		c["environment"] = []any{map[string]any{"name": "VERSION", "value": "2"}}
	})
	f.must(f.at("h2").Send(f.Context(), http.MethodPatch, "/v1/services/web", map[string]any{"taskDefinition": next}, nil))
	least := 6
	f.eventually("the update ends", func() (string, bool) {
		s, err := f.service("h3", "web")
		if err != nil {
			return err.Error(), false
		}
		least = min(least, s.Healthy)
		return fmt.Sprintf("%+v", s), s.Steady && s.TaskDef == next && s.Old == 0
	})
	if least < 6 {
		f.Errorf("only %d of 6 tasks were healthy at one moment", least)
	}
	// Another node answers here, which may be some milliseconds behind.
	f.eventually("the old revision's tasks are gone on every node", func() (string, bool) {
		for _, task := range f.tasks("h1", "web") {
			if slices.ContainsFunc(old, func(o api.Task) bool { return o.ID == task.ID }) {
				return fmt.Sprintf("task %s of the old revision still runs", task.ID), false
			}
		}
		return "", true
	})
}

func (f *fleetUnderTest) reasons() {
	for name, tt := range map[string]struct {
		change func(map[string]any)
		want   []string
	}{
		"missing": {func(c map[string]any) { c["image"] = f.image + "-of-nobody" }, []string{"CannotPullContainerError", "-of-nobody"}},
		"exits":   {func(c map[string]any) { c["command"] = []string{"web", "--listen", "nonsense"} }, []string{"exit", "1"}},
		"huge":    {func(c map[string]any) { c["cpu"] = 100000 }, []string{"cpu"}},
	} {
		f.create("h1", name, f.register("h1", name, tt.change), 1)
		f.eventually(name+" says why it does not run", func() (string, bool) {
			s, err := f.service("h2", name)
			if err != nil || s.Wait == nil {
				return fmt.Sprintf("%+v %v", s, err), false
			}
			for _, want := range tt.want {
				if !strings.Contains(s.Wait.Message, want) {
					return s.Wait.Message, false
				}
			}
			return s.Wait.Message, true
		})
		f.remove("h1", name)
	}
	f.stubborn()
}

// stubborn: a task that ignores SIGTERM is killed after its grace period.
func (f *fleetUnderTest) stubborn() {
	def := f.register("h1", "stubborn", func(c map[string]any) {
		c["command"], c["stopTimeout"] = []string{"web", "--listen", ":8080", "--ignore-term"}, 2
	})
	var answer made
	f.must(f.at("h2").Send(f.Context(), http.MethodPost, "/v1/tasks", map[string]any{"taskDefinition": def}, &answer))
	id := answer.Tasks[0].ID
	status := func() (api.Task, error) { return get[api.Task](f, "h3", "/v1/tasks/"+id) }
	f.eventually("the task runs", func() (string, bool) {
		task, err := status()
		return fmt.Sprintf("%+v %v", task, err), err == nil && task.Health == "HEALTHY"
	})
	f.must(f.at("h2").Send(f.Context(), http.MethodDelete, "/v1/tasks/"+id, nil, nil))
	f.eventually("the task is killed", func() (string, bool) {
		task, err := status()
		return fmt.Sprintf("%+v %v", task, err), err == nil && task.Last == "STOPPED"
	})
	task, err := status()
	f.must(err)
	if task.StopCode != "UserInitiated" || len(task.Containers) != 1 || task.Containers[0].ExitCode == nil || *task.Containers[0].ExitCode != 137 {
		f.Errorf("stopped as %+v, want UserInitiated and exit code 137", task)
	}
}

func (f *fleetUnderTest) agentDown() {
	before := f.life("web")
	f.must(f.lab.KillAgent(f.Context(), "h3"))
	time.Sleep(5 * time.Second) // eight times the silence after which a dead host is replaced
	s, err := get[api.Status](f, "h2", "/v1/status")
	f.must(err)
	if s.Hosts.Silent != 0 || s.Hosts.Lost != 0 {
		f.Errorf("a host whose agent is down is taken for dead: %+v", s.Hosts)
	}
	if after := f.life("web"); after != before {
		f.Errorf("tasks changed:\nbefore %s\nafter  %s", before, after)
	}
	f.must(f.lab.Start(f.Context(), "h3"))
	f.awaitReady("h3", 3, 3)
}

func (f *fleetUnderTest) leaderDies() {
	s, err := get[api.Status](f, "h1", "/v1/status")
	f.must(err)
	leader := s.Leader.Name
	other := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}[leader]
	began := time.Now()
	f.must(f.lab.Kill(f.Context(), leader))
	f.eventually("its tasks are back elsewhere", func() (string, bool) {
		s, err := f.service(other, "web")
		if err != nil {
			return err.Error(), false
		}
		return fmt.Sprintf("%+v", s), s.Unreachable > 0 && s.Healthy == 6
	})
	f.Logf("from power off to all healthy elsewhere: %s", time.Since(began).Round(time.Millisecond))
	f.must(f.lab.Start(f.Context(), leader))
	f.awaitReady(other, 3, 3)
	f.awaitHealthy(leader, "web", 6)
}

func (f *fleetUnderTest) cutOff() {
	for _, other := range []string{"h1", "h2"} {
		f.must(f.lab.Cut(f.Context(), "h3", other, false))
	}
	f.eventually("h3 says that it is cut off", func() (string, bool) {
		s, err := get[api.Status](f, "h3", "/v1/status")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.CutOff
	})
	running := 0
	page, err := get[api.Tasks](f, "h3", "/v1/tasks?service=web")
	f.must(err)
	for _, task := range page.Tasks {
		if task.Host != nil && task.Host.Name == "h3" && task.Last == "RUNNING" {
			running++
		}
	}
	if running == 0 {
		f.Errorf("the host that is cut off shows none of its tasks: %+v", page.Tasks)
	}
	f.must(f.lab.HealAll(f.Context()))
	f.awaitReady("h3", 3, 3)
	f.awaitHealthy("h1", "web", 6)
}

func (f *fleetUnderTest) blackStart() {
	f.must(f.lab.RegistryDown(f.Context()))
	for _, host := range []string{"h1", "h2", "h3"} {
		f.must(f.lab.Kill(f.Context(), host))
	}
	for _, host := range []string{"h3", "h1"} {
		f.must(f.lab.Start(f.Context(), host))
	}
	f.awaitReady("h1", 2, 3)
	f.eventually("all tasks run on two hosts", func() (string, bool) {
		s, err := f.service("h3", "web")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.Healthy == 6
	})
}
