package containerd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

func TestAFailedCreateIsTakenBackFromItsEndAndEachFailureOfThatIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the caller has given up
	var undone []string
	step := func(name string, err error) undoing {
		return func(ctx context.Context, key string) error {
			if ctx.Err() != nil {
				t.Errorf("%s is undone for a caller who has given up: %v", name, ctx.Err())
			}
			undone = append(undone, name+" of "+key)
			return err
		}
	}
	stuck, busy := errors.New("stuck"), errors.New("busy")
	err := (&Client{}).undo(ctx, "t.main", []undoing{step("snapshot", stuck), step("record", nil), step("task", busy)})
	if got := fmt.Sprint(undone); got != "[task of t.main record of t.main snapshot of t.main]" {
		t.Errorf("undone: %s", got)
	}
	if !errors.Is(err, stuck) || !errors.Is(err, busy) {
		t.Errorf("got %v", err)
	}
	if err := (&Client{}).undo(ctx, "t.main", []undoing{step("snapshot", nil)}); err != nil {
		t.Errorf("got %v", err)
	}
}

// Until a Create has ended, a container without a process is not one that has ended.
func TestACreateIsKnownToBeUnderWayUntilItEnds(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "deaf.sock")
	deaf, err := net.Listen("unix", socket) // it accepts and never says a word
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close()
	c, err := Open(Config{Address: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ref := port.ImageRef{Image: "web", Digest: "sha256:" + strings.Repeat("ab", 32)}
		_, err := c.Create(ctx, port.ContainerSpec{ID: "t.main", Image: ref})
		ended <- err
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !c.creating.has("t.main") {
		select {
		case err := <-ended:
			t.Fatalf("it was never under way: %v", err)
		case <-tick.C:
		}
	}
	if c.creating.has("t.other") {
		t.Error("another container counts as being made")
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it was made of nothing")
	}
	if c.creating.has("t.main") {
		t.Error("it is under way for ever")
	}
}

func TestADefinitionThatCannotBeHadIsRefusedBeforeAnythingIsMade(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*port.ContainerSpec, *ocispec.ImageConfig)
		want   string
	}{
		"nothing to run": {func(_ *port.ContainerSpec, image *ocispec.ImageConfig) { image.Cmd = nil }, "nothing to run"},
		"a relative folder": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.Def.WorkingDirectory = "x" },
			"workingDirectory"},
		"a limit that does not exist": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) {
			s.Def.Ulimits = []fleet.Ulimit{{Name: "luck", Soft: 1, Hard: 1}}
		}, "luck"},
		"no control group": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.CgroupPath = "" },
			"cgroup path"},
		"a relative control group": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.CgroupPath = "x/y" },
			"cgroup path"},
		"a control group that climbs": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.CgroupPath = "/x/../y" },
			"cgroup path"},
		"an init program that is not here": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.Def.InitProcess = true },
			"initProcessEnabled"},
		"privileges that are not allowed": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) { s.Def.Privileged = true },
			"allow_privileged"},
		"a capability that does not exist": {func(s *port.ContainerSpec, _ *ocispec.ImageConfig) {
			s.Def.Capabilities = &fleet.Capabilities{Add: []string{"FLY"}}
		}, "FLY"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := port.ContainerSpec{CgroupPath: "/skein/work/t/main", Def: fleet.Container{Name: "main"}}
			image := ocispec.ImageConfig{Cmd: []string{"/cmd"}}
			tt.change(&spec, &image)
			_, err := (&Client{}).ociSpec(t.Context(), spec, imageFacts{config: image}, &containers.Container{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
