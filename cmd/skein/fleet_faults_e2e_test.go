//go:build e2e

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"skein/agent/api/types"
)

func (f *fleetUnderTest) crashesTouchNothing() {
	f.create("h1", "flood", f.register("h1", "flood", func(c map[string]any) {
		c["command"] = []string{"web", "--listen", ":8080", "--flood", "1000000"}
	}), 3)
	f.awaitHealthy("h1", "flood", 3)
	before, files := f.life("flood"), f.logFiles("flood")
	for _, crash := range []func(context.Context, string) error{f.lab.CrashAgent, f.lab.RestartAgent, f.lab.CrashRuntime} {
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

func (f *fleetUnderTest) agentDown() {
	before := f.life("web")
	f.must(f.lab.KillAgent(f.Context(), "h3"))
	// Eight times the silence after which a dead host is replaced.
	f.throughout("a host whose agent is down is not taken for dead", 5*time.Second, func() (string, bool) {
		s, err := get[types.Status](f, "h2", "/v1/status")
		return fmt.Sprintf("%+v, %v", s.Hosts, err), err == nil && s.Hosts.Silent == 0 && s.Hosts.Lost == 0
	})
	if after := f.life("web"); after != before {
		f.Errorf("tasks changed:\nbefore %s\nafter  %s", before, after)
	}
	f.must(f.lab.Start(f.Context(), "h3"))
	f.awaitReady("h3", 3, 3)
}

func (f *fleetUnderTest) leaderDies() {
	s, err := get[types.Status](f, "h1", "/v1/status")
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
		s, err := get[types.Status](f, "h3", "/v1/status")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.CutOff
	})
	running := 0
	page, err := get[types.Tasks](f, "h3", "/v1/tasks?service=web")
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
