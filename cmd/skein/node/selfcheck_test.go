package node

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func wellCheck(t *testing.T) *selfCheck {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &selfCheck{
		dataDir: t.TempDir(), devDir: "/dev",
		runtime: func(context.Context) (string, error) { return "containerd 2", nil },
		probe:   func(context.Context) (string, error) { return "", nil },
		now:     func() time.Time { return noon }, fleetNow: func() fleet.Time { return fleet.TimeOf(noon) },
		registries: []string{"r:5000"}, reach: func(context.Context, string) error { return nil },
	}
}

func TestSelfCheck(t *testing.T) {
	tests := map[string]struct {
		change func(*selfCheck)
		ready  bool
		says   string // in the check that failed
	}{
		"a host on which all is well may take tasks":    {func(*selfCheck) {}, true, ""},
		"a registry that is down is told, not required": {func(c *selfCheck) { c.reach = func(context.Context, string) error { return errors.New("refused") } }, true, "refused"},
		"a disk that cannot be written is not ready":    {func(c *selfCheck) { c.dataDir = filepath.Join(c.dataDir, "gone") }, false, "gone"},
		"a file where /dev/null should be is not ready": {func(c *selfCheck) {
			c.devDir = c.dataDir
			for _, device := range devices {
				if device.name != "null" {
					_ = os.Symlink("/dev/"+device.name, filepath.Join(c.devDir, device.name))
				}
			}
			_ = os.WriteFile(filepath.Join(c.devDir, "null"), nil, 0o666)
		}, false, "c 1 3"},
		"another device where /dev/null should be is not ready": {func(c *selfCheck) {
			c.devDir = c.dataDir
			for _, device := range devices {
				_ = os.Symlink("/dev/zero", filepath.Join(c.devDir, device.name))
			}
		}, false, "c 1 3"},
		"a device that is not there is not ready": {func(c *selfCheck) { c.devDir = c.dataDir }, false, "no such file"},
		"a runtime that does not answer is not ready": {func(c *selfCheck) {
			c.runtime = func(context.Context) (string, error) { return "", errors.New("no socket") }
		}, false, "no socket"},
		"a probe container that fails is not ready": {func(c *selfCheck) {
			c.probe = func(context.Context) (string, error) { return "", errors.New("exit 1") }
		}, false, "exit 1"},
		"a clock behind the fleet's is not ready": {func(c *selfCheck) {
			late := c.fleetNow().Add(3 * time.Second)
			c.fleetNow = func() fleet.Time { return late }
		}, false, "3s behind"},
		"a fleet whose time is not known is no reason": {func(c *selfCheck) { c.fleetNow = func() fleet.Time { return 0 } }, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := wellCheck(t)
			tt.change(c)
			checks := c.run(t.Context())
			if passed(checks) != tt.ready {
				t.Errorf("ready = %t, want %t: %+v", passed(checks), tt.ready, checks)
			}
			said := ""
			for _, check := range checks {
				if !check.OK {
					said += check.Detail
				}
			}
			if tt.says == "" && said != "" || !strings.Contains(said, tt.says) {
				t.Errorf("failed checks say %q, want %q", said, tt.says)
			}
		})
	}
}

func TestImageTagsAreLegalWhateverTheVersion(t *testing.T) {
	for version, want := range map[string]string{"1.2.3": "v1.2.3", "a+b c": "va_b_c", strings.Repeat("x", 200): "v" + strings.Repeat("x", 127)} {
		if got := imageTag(version); got != want {
			t.Errorf("%q gives %q, want %q", version, got, want)
		}
	}
}

func TestOnlyASocketMakesRoomForTheSocket(t *testing.T) {
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "file"), filepath.Join(dir, "socket")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false) // as one whose agent was killed
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, dir} {
		if err := removeSocket(name); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if kept, err := os.ReadFile(file); string(kept) != "precious" {
		t.Errorf("the file holds %q, %v", kept, err)
	}
	for range 2 {
		if err := removeSocket(socket); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(socket); !os.IsNotExist(err) {
		t.Errorf("the dead socket is still there: %v", err)
	}
}
