//go:build e2e

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/cmd/skein/lab"
)

// twoBuilds is a fleet whose agents are of an older and a newer build.
type twoBuilds struct {
	*fleetUnderTest
	older, newer string // programs
	// newWrite is a write that the older build does not know. It is given a task definition.
	newWrite func(b *twoBuilds, def string) error
}

// mark is a write of the format to come.
func (b *twoBuilds) mark(def string) error {
	return b.at("h3").Send(b.Context(), http.MethodPost, "/v1/taskdefs/"+def+"/mark", types.PlainBody{}, nil)
}

// makeGroup is a write of format 2.
func (b *twoBuilds) makeGroup(string) error {
	return b.at("h3").Send(b.Context(), http.MethodPost, "/v1/target-groups", types.TargetGroupBody{Name: "new"}, nil)
}

// TestE2EFleetOfTwoBuilds upgrades one agent of a fleet, takes it back, upgrades all,
// and ends the upgrade. The older build is that of SKEIN_OLD, an earlier commit's,
// where make e2e made one (E2E_OLD), and this one; the newer is the one under test,
// and the next format's, which stands for the agent to come.
func TestE2EFleetOfTwoBuilds(t *testing.T) {
	for _, pair := range []struct {
		name, older, newer string
		newWrite           func(*twoBuilds, string) error
	}{
		{"this agent and the next", "SKEIN_BINARY", "SKEIN_NEXT", (*twoBuilds).mark},
		{"an earlier agent and this", "SKEIN_OLD", "SKEIN_BINARY", (*twoBuilds).makeGroup},
	} {
		t.Run(pair.name, func(t *testing.T) {
			older, newer := os.Getenv(pair.older), os.Getenv(pair.newer)
			if older == "" || newer == "" {
				t.Skipf("%s or %s names no program: make e2e builds them", pair.older, pair.newer)
			}
			b := &twoBuilds{newFleetOf(t, older, lab.UpOptions{}), older, newer, pair.newWrite}
			b.live()
		})
	}
}

func (b *twoBuilds) live() {
	image, err := b.lab.PushWeb(b.Context())
	b.must(err)
	b.image = image
	b.awaitReady("h1", 3, 3)
	b.create("h2", "web", b.register("h3", "web", nil), 3)
	b.awaitHealthy("h1", "web", 3)
	formats := b.formats()

	b.upgrade("h1", b.newer)
	b.writesFromEverywhere()
	b.eachLeads()
	b.upgrade("h1", b.older)
	b.writesFromEverywhere()
	b.nothingWasSetAside()
	if b.Failed() {
		return
	}
	for _, host := range []string{"h1", "h2", "h3"} {
		b.upgrade(host, b.newer)
	}
	b.writesFromEverywhere()
	if slices.Equal(formats, b.formats()) {
		b.Logf("both builds read format %v: there is nothing to finalize", formats)
		return
	}
	b.finalize()
	b.olderIsRefused()
}

// upgrade has a host's agent run a program, and waits until it is part of the fleet
// as before. Its containers run on.
func (b *twoBuilds) upgrade(host, program string) {
	b.Helper()
	before := b.three()
	session := b.session(host)
	b.must(b.lab.Upgrade(b.Context(), host, program))
	b.awaitSession(host, session)
	b.awaitReady("h1", 3, 3)
	b.awaitHealthy(host, "web", 3)
	after := b.three()
	for _, was := range before {
		if !slices.ContainsFunc(after, func(is types.Task) bool { return is.ID == was.ID && is.StartedAt == was.StartedAt }) {
			b.Errorf("task %s does not run on over the upgrade of %s: %+v", was.ID, host, after)
		}
	}
}

// three waits until only the three tasks of the service are left, and returns them.
func (b *twoBuilds) three() (tasks []types.Task) {
	b.Helper()
	b.eventually("three tasks run", func() (string, bool) {
		tasks = b.tasks("h2", "web")
		return fmt.Sprintf("%+v", tasks), len(tasks) == 3 &&
			!slices.ContainsFunc(tasks, func(t types.Task) bool { return t.Last != "RUNNING" })
	})
	return tasks
}

func (b *twoBuilds) session(host string) uint64 {
	b.Helper()
	for _, by := range []string{"h1", "h2", "h3"} {
		if h, err := get[types.Host](b.fleetUnderTest, by, "/v1/hosts/"+host); by != host && err == nil {
			return h.Session
		}
	}
	b.Fatalf("no agent tells of %s", host)
	return 0
}

func (b *twoBuilds) awaitSession(host string, after uint64) {
	b.Helper()
	b.eventually(host+" has a new session", func() (string, bool) {
		n := b.session(host)
		return fmt.Sprintf("session %d, was %d", n, after), n > after
	})
}

// formats are those that the agents read, each once.
func (b *twoBuilds) formats() (list []int) {
	b.Helper()
	status, err := get[types.Status](b.fleetUnderTest, "h1", "/v1/status")
	b.must(err)
	for _, a := range status.Agents {
		list = append(list, a.Format)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// writesFromEverywhere has each agent bring a write to the leader, whoever that is,
// and hosts of both builds obey and report.
func (b *twoBuilds) writesFromEverywhere() {
	b.Helper()
	for i, host := range []string{"h1", "h2", "h3"} {
		desired := 4 + i%2
		b.must(b.at(host).Send(b.Context(), http.MethodPost, "/v1/services/web/scale", types.ScaleBody{Desired: desired},
			nil))
		b.awaitHealthy(host, "web", desired)
	}
	b.must(b.at("h1").Send(b.Context(), http.MethodPost, "/v1/services/web/scale", types.ScaleBody{Desired: 3}, nil))
	b.awaitHealthy("h2", "web", 3)
}

// eachLeads has agents of both builds open sessions and write through leaders of both:
// each leader's agent ends once, and starts again.
func (b *twoBuilds) eachLeads() {
	b.Helper()
	led := map[bool]bool{} // by whether the leader is of the newer build
	for range 8 {
		status, err := get[types.Status](b.fleetUnderTest, "h2", "/v1/status")
		if err != nil || status.Leader == nil {
			continue
		}
		leader := status.Leader.Name
		if newer := leader == "h1"; !led[newer] {
			led[newer] = true
			for _, host := range []string{"h1", "h2", "h3"} {
				if host != leader {
					session := b.session(host)
					b.must(b.lab.CrashAgent(b.Context(), host))
					b.awaitSession(host, session)
				}
			}
			b.awaitReady(leader, 3, 3)
			b.writesFromEverywhere()
		}
		if len(led) == 2 {
			return
		}
		crash := []string{"h1"}
		if !led[true] {
			crash = []string{"h2", "h3"} // the one that is left stands first
		}
		sessions := map[string]uint64{}
		for _, host := range crash {
			sessions[host] = b.session(host)
		}
		for _, host := range crash {
			b.must(b.lab.CrashAgent(b.Context(), host))
		}
		for host, session := range sessions {
			b.awaitSession(host, session)
		}
		b.awaitReady("h3", 3, 3)
	}
	b.Errorf("after 8 changes of leader these led (newer: so): %v", led)
}

// nothingWasSetAside: an agent that went back has read what the newer one wrote.
func (b *twoBuilds) nothingWasSetAside() {
	b.Helper()
	for _, host := range []string{"h1", "h2", "h3"} {
		var log strings.Builder
		b.must(b.lab.Logs(b.Context(), &log, host, lab.LogOptions{Lines: 5000}))
		for line := range strings.Lines(log.String()) {
			for _, bad := range []string{"set aside", "damaged", "malformed", "unreadable", "unknown field"} {
				if strings.Contains(line, bad) {
					b.Errorf("%s says: %s", host, line)
				}
			}
		}
	}
}

// finalize raises the format: a write that needs it is refused before, and obeyed
// after.
func (b *twoBuilds) finalize() {
	b.Helper()
	def := b.register("h2", "later", nil)
	var refused *client.Error
	if err := b.newWrite(b, def); !errors.As(err, &refused) || refused.Code != "format-ahead" {
		b.Fatalf("a write of the next format before the fleet is there: %v", err)
	}
	b.must(b.at("h1").Send(b.Context(), http.MethodPost, "/v1/fleet/finalize", types.ForceBody{}, nil))
	b.must(b.newWrite(b, def))
	b.create("h1", "later", def, 2)
	b.awaitHealthy("h3", "later", 2)
	b.awaitHealthy("h3", "web", 3)
}

// olderIsRefused: after that an older agent is told why it gets no session, its
// containers run on, and upgraded it is back.
func (b *twoBuilds) olderIsRefused() {
	b.Helper()
	before := b.session("h2")
	b.must(b.lab.Upgrade(b.Context(), "h2", b.older))
	b.eventually("the older agent says that it is too old", func() (string, bool) {
		var log strings.Builder
		b.must(b.lab.Logs(b.Context(), &log, "h2", lab.LogOptions{Lines: 200}))
		return log.String(), strings.Contains(log.String(), "the fleet is at") &&
			strings.Contains(log.String(), "reads format") ||
			strings.Contains(log.String(), "this build reads")
	})
	b.eventually("the others tell of the older agent, and not of the one before it", func() (string, bool) {
		h, err := get[types.Host](b.fleetUnderTest, "h1", "/v1/hosts/h2")
		return fmt.Sprintf("%s %+v %v", h.Version, h.TooOld, err), err == nil && h.TooOld != nil
	})
	if now := b.session("h2"); now != before {
		b.Errorf("the older agent has session %d, was %d", now, before)
	}
	b.must(b.lab.Upgrade(b.Context(), "h2", b.newer))
	b.awaitSession("h2", before)
	b.awaitReady("h1", 3, 3)
	b.awaitHealthy("h2", "web", 3)
	b.awaitHealthy("h2", "later", 2)
}
