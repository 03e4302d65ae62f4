//go:build e2e

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// restartUnderLoad restarts each agent as systemctl does.
func (f *fleetUnderTest) restartUnderLoad() {
	l := f.startLoad(8088)
	for _, host := range []string{"h1", "h2", "h3"} {
		f.must(f.lab.RestartAgent(f.Context(), host))
		f.awaitReady("h1", 3, 3)
		f.Logf("%s restarted: slowest request so far %s", host, l.slowest())
	}
	l.stop(f)
}

// upgradeUnderLoad has one agent be another build, and then this one again.
func (f *fleetUnderTest) upgradeUnderLoad() {
	l := f.startLoad(8088)
	for _, program := range []string{f.otherBuild(), os.Getenv("SKEIN_BINARY")} {
		started := f.agentPID("h2")
		f.must(f.lab.Upgrade(f.Context(), "h2", program))
		f.eventually("the other build runs", func() (string, bool) {
			pid := f.agentPID("h2")
			return fmt.Sprint(pid), pid != 0 && pid != started
		})
		f.awaitReady("h1", 3, 3)
		f.awaitHealthy("h1", "shop", 3)
		f.Logf("h2 runs %s: slowest request so far %s", filepath.Base(program), l.slowest())
	}
	l.stop(f)
}

// otherBuild is the agent to come, or this one as another file.
func (f *fleetUnderTest) otherBuild() string {
	f.Helper()
	if next := os.Getenv("SKEIN_NEXT"); next != "" {
		return next
	}
	from, err := os.Open(os.Getenv("SKEIN_BINARY"))
	f.must(err)
	defer from.Close()
	path := filepath.Join(f.TempDir(), "other")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
	f.must(err)
	_, err = io.Copy(to, from)
	f.must(err)
	_, err = to.WriteString("\n")
	f.must(err)
	f.must(to.Close())
	return path
}

func (f *fleetUnderTest) agentPID(host string) int {
	f.Helper()
	view, err := f.lab.List(f.Context())
	f.must(err)
	for _, h := range view.Hosts {
		if h.Name == host {
			return h.AgentPID
		}
	}
	return 0
}

// killUnderLoad kills an agent, which systemd starts again after a second: only what was in
// flight on its host may be lost, at most a request of each of the load's two clients there.
// Who connects meanwhile waits.
func (f *fleetUnderTest) killUnderLoad() {
	const kills = 3
	l := f.startLoad(8088)
	for range kills {
		started := f.agentPID("h2")
		f.must(f.lab.CrashAgent(f.Context(), "h2"))
		f.eventually("the agent runs again", func() (string, bool) {
			pid := f.agentPID("h2")
			return fmt.Sprint(pid), pid != 0 && pid != started
		})
		f.awaitReady("h1", 3, 3)
		f.eventually("its host serves", func() (string, bool) {
			_, err := askURL(newClient(), f.ingressURL("h2", 8088))
			return fmt.Sprint(err), err == nil
		})
	}
	sent, failed := l.end()
	f.Logf("%d kills: %d requests, %d lost, slowest %s: %q", kills, sent, len(failed), l.slowest(), failed)
	for _, why := range failed {
		if !strings.Contains(why, f.ingressURL("h2", 8088)) || strings.Contains(why, "refused") {
			f.Errorf("lost, and not in flight on the host whose agent was killed: %s", why)
		}
	}
	if len(failed) > 2*kills {
		f.Errorf("%d requests were lost by %d kills", len(failed), kills)
	}
}

// heldAgentRefuses: an agent that is to stay down leaves no socket open for which nobody
// would ever answer.
func (f *fleetUnderTest) heldAgentRefuses() {
	f.must(f.lab.KillAgent(f.Context(), "h3"))
	f.eventually("clients are refused", func() (string, bool) {
		_, err := askURL(newClient(), f.ingressURL("h3", 8088))
		return fmt.Sprint(err), err != nil && strings.Contains(err.Error(), "refused")
	})
	f.must(f.lab.Start(f.Context(), "h3"))
	f.awaitReady("h1", 3, 3)
	f.eventually("its host serves", func() (string, bool) {
		_, err := askURL(newClient(), f.ingressURL("h3", 8088))
		return fmt.Sprint(err), err == nil
	})
}
