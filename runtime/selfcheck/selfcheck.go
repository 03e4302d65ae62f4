// Package selfcheck is what a host must show before it takes tasks.
//
// It owns which checks there are, which are required, what a failed one says and when
// they are repeated. It does not own the container that is run as a probe, nor what the
// host does with the outcome.
package selfcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/vfs"
)

const (
	// Timeout bounds one self-check: a container takes about 100 ms, on a
	// starved host some seconds.
	Timeout = 30 * time.Second
	// diskTimeout bounds the write and sync of it: a disk that takes longer holds up
	// tasks and the log as well.
	diskTimeout = 10 * time.Second
	// again is how soon a failed self-check is repeated, and every how soon one that
	// passed.
	again = 5 * time.Second
	every = 10 * time.Minute
	// maxClockGap is how far this host's clock may be from the fleet's time; the
	// fleet's time lags when nothing happens, so only being behind counts.
	maxClockGap = 2 * time.Second
)

// SelfCheck makes the checks (cmd/skein/DESIGN.md "Host lifecycle").
// Reaching a registry is reported but not required: a cold start has none.
//
// Not safe for concurrent use.
type SelfCheck struct {
	FS         vfs.FS
	DataDir    string
	DevDir     string // where the machine's devices are: /dev
	Runtime    func(ctx context.Context) (version string, err error)
	Probe      func(ctx context.Context) (detail string, err error) // runs a container made of this binary
	FleetNow   func() fleet.Time                                    // zero when not known
	Now        func() time.Time
	Registries []string
	Reach      func(ctx context.Context, registry string) error

	written chan error // what comes of the write that is under way; nil for none
}

// Run makes every check; each failure says what to do.
func (c *SelfCheck) Run(ctx context.Context) []fleet.Check {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	version, runtimeErr := c.Runtime(ctx)
	checks := []fleet.Check{
		check("disk", c.disk(ctx), "writes and syncs in "+c.DataDir),
		check("devices", c.devices(), "null, zero, random and urandom are what they should be"),
		check("container-runtime", runtimeErr, version),
	}
	if runtimeErr == nil {
		detail, err := c.Probe(ctx)
		checks = append(checks, check("probe-container", err, detail))
	}
	clock, err := c.clock()
	checks = append(checks, check("clock", err, clock))
	for _, registry := range c.Registries {
		one := check("registry "+registry, c.Reach(ctx, registry), "answers")
		one.Required = false
		checks = append(checks, one)
	}
	return checks
}

// Pause is how long to wait before the next self-check.
func Pause(checks []fleet.Check) time.Duration {
	if Passed(checks) {
		return every
	}
	return again
}

// Passed reports whether all that is required holds.
func Passed(checks []fleet.Check) bool {
	for _, check := range checks {
		if check.Required && !check.OK {
			return false
		}
	}
	return true
}

func check(name string, err error, well string) fleet.Check {
	if err != nil {
		return fleet.Check{Name: name, Required: true, Detail: err.Error()}
	}
	return fleet.Check{Name: name, Required: true, OK: true, Detail: well}
}

// disk writes a file and syncs it. A call to a disk that stalls ends when the disk does,
// so it is not waited for longer than diskTimeout. The next check waits for the same call:
// calls do not pile up.
func (c *SelfCheck) disk(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	if c.written == nil {
		written := make(chan error, 1)
		go func() { written <- c.write() }()
		c.written = written
	}
	select {
	case err := <-c.written:
		c.written = nil
		return err
	case <-ctx.Done():
		return fmt.Errorf("the disk of %s stalls: a write has not ended in %s", c.DataDir, diskTimeout)
	}
}

func (c *SelfCheck) write() error {
	name := filepath.Join(c.DataDir, "self-check")
	text := []byte(c.Now().UTC().Format(time.RFC3339))
	if err := vfs.WriteFileAtomic(c.FS, name, text, fs.FileMode(0o600)); err != nil {
		return err
	}
	return c.FS.Remove(name)
}

// devices are the character devices that every runtime and most programs open.
// A program with the right to may put a file in their place, and what fails then
// names everything but the cause.
var devices = []struct {
	name         string
	major, minor uint32 // Linux, admin-guide/devices.txt
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"random", 1, 8}, {"urandom", 1, 9},
}

func (c *SelfCheck) devices() error {
	var wrong error
	for _, want := range devices {
		name := filepath.Join(c.DevDir, want.name)
		var stat unix.Stat_t
		if err := unix.Stat(name, &stat); err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", name, err))
			continue
		}
		major, minor := unix.Major(stat.Rdev), unix.Minor(stat.Rdev)
		if stat.Mode&unix.S_IFMT != unix.S_IFCHR || major != want.major || minor != want.minor {
			const say = "%[1]s is not the device that it should be: rm -f %[1]s && mknod -m 666 %[1]s c %[2]d %[3]d"
			wrong = errors.Join(wrong, fmt.Errorf(say, name, want.major, want.minor))
		}
	}
	return wrong
}

// clock compares this host's clock with the fleet's time, which only a host that holds
// the log knows.
func (c *SelfCheck) clock() (detail string, err error) {
	fleetNow := c.FleetNow()
	if fleetNow == 0 {
		return "not compared: this host does not hold the log", nil
	}
	if gap := fleetNow.Std().Sub(c.Now()); gap > maxClockGap {
		gap = gap.Round(time.Millisecond)
		return "", fmt.Errorf("this host's clock is %s behind the fleet's: set it (chrony, systemd-timesyncd)", gap)
	}
	return "not behind the fleet's", nil
}
