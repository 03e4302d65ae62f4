//go:build e2e

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

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
		{"a worker carries every command", (*fleetUnderTest).workerCarriesCommands},
		{"kill -9 and restart of agent and containerd touch no container", (*fleetUnderTest).crashesTouchNothing},
		{"a rolling update never has fewer healthy tasks than desired", (*fleetUnderTest).rollingUpdate},
		{"tasks that cannot run say why", (*fleetUnderTest).reasons},
		{"an agent that is down keeps its tasks", (*fleetUnderTest).agentDown},
		{"the leader's host dies and comes back", (*fleetUnderTest).leaderDies},
		{"no key is in a file that is not its own", (*fleetUnderTest).noSecretsOnDisk},
		{"a host cut off keeps its tasks and says so", (*fleetUnderTest).cutOff},
		{"a fleet that lost power comes back without registry and one host", (*fleetUnderTest).blackStart},
	} {
		if !t.Run(part.name,
			func(t *testing.T) { part.run(&fleetUnderTest{TB: t, lab: f.lab, dir: f.dir, image: f.image}) }) {
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
	leader, err := get[types.Status](f, "h1", "/v1/status")
	f.must(err)
	f.eventually("two voters were added to the raft configuration", func() (string, bool) {
		var log strings.Builder
		f.must(f.lab.Logs(f.Context(), &log, leader.Leader.Name, lab.LogOptions{Lines: 500}))
		return log.String(), strings.Count(log.String(), `"change":"add voter"`) == 2
	})
	f.must(f.lab.Kill(f.Context(), leader.Leader.Name))
	other := map[string]string{"h1": "h2", "h2": "h3", "h3": "h1"}[leader.Leader.Name]
	f.eventually("another leads", func() (string, bool) {
		s, err := get[types.Status](f, other, "/v1/status")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.Leader != nil && s.Leader.Name != leader.Leader.Name &&
			s.Hosts.Silent == 1
	})
}
