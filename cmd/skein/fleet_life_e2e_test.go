//go:build e2e

package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

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
		for path, want := range map[string]string{"": "<html", "v1/services": `"desiredCount":6`, "metrics": "skein_",
			"openapi.json": `"openapi"`, "readyz": ""} {
			response, err := http.Get(url + path)
			f.must(err)
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			f.must(err)
			if response.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
				f.Errorf("%s%s: %s without %q", url, path, response.Status, want)
			}
			if strings.HasPrefix(path, "v1/") &&
				(response.Header.Get("X-Skein-Index") == "" || response.Header.Get("X-Skein-Stale-Ms") == "") {
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
			if slices.ContainsFunc(old, func(o types.Task) bool { return o.ID == task.ID }) {
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
		"missing": {func(c map[string]any) { c["image"] = f.image + "-of-nobody" },
			[]string{"CannotPullContainerError", "-of-nobody"}},
		"exits": {func(c map[string]any) { c["command"] = []string{"web", "--listen", "nonsense"} }, []string{"exit", "1"}},
		"huge":  {func(c map[string]any) { c["cpu"] = 100000 }, []string{"cpu"}},
	} {
		f.create("h1", name, f.register("h1", name, tt.change), 1)
		f.eventually(name+" says why it does not run", func() (string, bool) {
			s, err := f.service("h2", name)
			if err != nil || len(s.Conditions) == 0 {
				return fmt.Sprintf("%+v %v", s, err), false
			}
			for _, want := range tt.want {
				if !strings.Contains(waits(s.Conditions), want) {
					return waits(s.Conditions), false
				}
			}
			return waits(s.Conditions), true
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
	status := func() (types.Task, error) { return get[types.Task](f, "h3", "/v1/tasks/"+id) }
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
	if task.StopCode != "UserInitiated" || len(task.Containers) != 1 || task.Containers[0].ExitCode == nil ||
		*task.Containers[0].ExitCode != 137 {
		f.Errorf("stopped as %+v, want UserInitiated and exit code 137", task)
	}
}
