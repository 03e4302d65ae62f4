//go:build e2e

package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// TestE2EAStalledDisk stalls the disk of the leader: it neither leads nor passes for
// fresh, another leads, hosts get their orders from that, and on thaw it is back.
func TestE2EAStalledDisk(t *testing.T) {
	f, err := tryFleet(t, os.Getenv("SKEIN_BINARY"), lab.UpOptions{Disks: true})
	if errors.Is(err, lab.ErrNoDisk) {
		t.Skipf("this machine has no loop devices with ext4, so that no disk can be stalled: %v", err)
	}
	f.must(err)
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	f.create("h2", "web", f.register("h3", "web", nil), 3)
	f.awaitHealthy("h1", "web", 3)
	status, err := get[types.Status](f, "h1", "/v1/status")
	f.must(err)
	stalled := status.Leader.Name
	others := slices.DeleteFunc([]string{"h1", "h2", "h3"}, func(name string) bool { return name == stalled })

	began := time.Now()
	f.must(f.lab.FreezeDisk(f.Context(), stalled))
	// Nobody writes meanwhile: the leader looks at its disk by itself.
	f.eventually("another leads", func() (string, bool) {
		s, err := get[types.Status](f, others[0], "/v1/status")
		return fmt.Sprintf("%+v %v", s.Leader, err), err == nil && s.Leader != nil && s.Leader.Name != stalled
	})
	f.Logf("from the stall to another leader: %s", time.Since(began).Round(time.Millisecond))
	for i, host := range others {
		f.eventually("a write is accepted", func() (string, bool) {
			err := f.at(host).Send(f.Context(), http.MethodPost, "/v1/services/web/scale", types.ScaleBody{Desired: 4 + i}, nil)
			return fmt.Sprint(err), err == nil
		})
	}
	f.eventually("what was asked runs on the others", func() (string, bool) {
		s, err := f.service(others[1], "web")
		return fmt.Sprintf("%+v %v", s, err), err == nil && s.Desired == 5 && s.Running >= 4
	})
	f.eventually("the one that stalls does not pass for fresh", func() (string, bool) {
		header, err := f.at(stalled).Get(f.Context(), "/v1/services/web", &types.Service{})
		stale, _ := strconv.Atoi(header.Get(types.HeaderStale))
		return fmt.Sprintf("%v %v", header, err), err != nil || stale < 0 || stale > 1000
	})

	f.must(f.lab.ThawDisk(f.Context(), stalled))
	f.awaitReady(stalled, 3, 3)
	f.awaitHealthy(stalled, "web", 5)
}
