package selfcheck

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

func wellCheck(t *testing.T) *SelfCheck {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &SelfCheck{
		FS: vfs.OS, DataDir: t.TempDir(), DevDir: "/dev",
		Runtime: func(context.Context) (string, error) { return "containerd 2", nil },
		Probe:   func(context.Context) (string, error) { return "", nil },
		Now:     func() time.Time { return noon }, FleetNow: func() fleet.Time { return fleet.TimeOf(noon) },
		Registries: []string{"r:5000"}, Reach: func(context.Context, string) error { return nil },
	}
}

func TestAHostTakesTasksWhenAllThatIsRequiredHolds(t *testing.T) {
	tests := map[string]struct {
		change func(*SelfCheck)
		ready  bool
		says   string // in the check that failed
	}{
		"a host on which all is well may take tasks": {func(*SelfCheck) {}, true, ""},
		"a registry that is down is told, not required": {func(c *SelfCheck) {
			c.Reach = func(context.Context, string) error { return errors.New("refused") }
		}, true, "refused"},
		"a disk that cannot be written is not ready": {func(c *SelfCheck) {
			c.DataDir = filepath.Join(c.DataDir, "gone")
		}, false, "gone"},
		"a file where /dev/null should be is not ready": {func(c *SelfCheck) {
			c.DevDir = c.DataDir
			for _, device := range devices {
				if device.name != "null" {
					_ = os.Symlink("/dev/"+device.name, filepath.Join(c.DevDir, device.name))
				}
			}
			_ = os.WriteFile(filepath.Join(c.DevDir, "null"), nil, 0o666)
		}, false, "c 1 3"},
		"another device where /dev/null should be is not ready": {func(c *SelfCheck) {
			c.DevDir = c.DataDir
			for _, device := range devices {
				_ = os.Symlink("/dev/zero", filepath.Join(c.DevDir, device.name))
			}
		}, false, "c 1 3"},
		"a device that is not there is not ready": {func(c *SelfCheck) { c.DevDir = c.DataDir }, false, "no such file"},
		"a runtime that does not answer is not ready": {func(c *SelfCheck) {
			c.Runtime = func(context.Context) (string, error) { return "", errors.New("no socket") }
		}, false, "no socket"},
		"a probe container that fails is not ready": {func(c *SelfCheck) {
			c.Probe = func(context.Context) (string, error) { return "", errors.New("exit 1") }
		}, false, "exit 1"},
		"a clock behind the fleet's is not ready": {func(c *SelfCheck) {
			late := c.FleetNow().Add(3 * time.Second)
			c.FleetNow = func() fleet.Time { return late }
		}, false, "3s behind"},
		"a fleet whose time is not known is no reason": {func(c *SelfCheck) {
			c.FleetNow = func() fleet.Time { return 0 }
		}, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := wellCheck(t)
			tt.change(c)
			checks := c.Run(t.Context())
			if Passed(checks) != tt.ready {
				t.Errorf("ready = %t, want %t: %+v", Passed(checks), tt.ready, checks)
			}
			if pause := Pause(checks); (pause == every) != tt.ready || (pause == again) == tt.ready {
				t.Errorf("made again after %s", pause)
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

// stalledDisk opens no file until it is told to.
type stalledDisk struct {
	vfs.FS
	goOn  chan struct{}
	opens atomic.Int32
}

func (d *stalledDisk) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	d.opens.Add(1)
	<-d.goOn
	return d.FS.OpenFile(name, flag, perm)
}

func TestADiskThatStallsIsSaidInTimeAndHasOneWriteUnderWay(t *testing.T) {
	c := wellCheck(t)
	synctest.Test(t, func(t *testing.T) {
		disk := &stalledDisk{FS: vfs.OS, goOn: make(chan struct{})}
		c.FS = disk
		for range 3 {
			began := time.Now()
			checks := c.Run(t.Context())
			if took := time.Since(began); took != diskTimeout {
				t.Errorf("a check took %v, want %v", took, diskTimeout)
			}
			for _, one := range checks {
				if stalls := strings.Contains(one.Detail, "stalls"); one.OK != (one.Name != "disk") || one.OK == stalls {
					t.Errorf("%+v", one)
				}
			}
		}
		if opens := disk.opens.Load(); opens != 1 {
			t.Errorf("%d writes are under way", opens)
		}
		close(disk.goOn)
		for range 2 { // what was under way, then one more
			if checks := c.Run(t.Context()); !Passed(checks) {
				t.Errorf("the disk is well again: %+v", checks)
			}
		}
	})
}
