package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"skein/raftfsm/fleet"
	"skein/runtime/vfs"
)

const (
	// checkTimeout bounds one self-check: a container takes about 100 ms, on a
	// starved host some seconds.
	checkTimeout = 30 * time.Second
	// checkAgain is how soon a failed self-check is repeated, and checkEvery how
	// soon one that passed.
	checkAgain = 5 * time.Second
	checkEvery = 10 * time.Minute
	// maxClockGap is how far this host's clock may be from the fleet's time; the
	// fleet's time lags when nothing happens, so only being behind counts.
	maxClockGap = 2 * time.Second
)

// selfCheck is what a host must show before it takes tasks (cmd/skein/DESIGN.md "Host lifecycle").
// Reaching a registry is reported but not required: a black start has none.
type selfCheck struct {
	dataDir    string
	devDir     string // where the machine's devices are: /dev
	runtime    func(ctx context.Context) (version string, err error)
	probe      func(ctx context.Context) (detail string, err error) // runs a container made of this binary
	fleetNow   func() fleet.Time                                    // zero when not known
	now        func() time.Time
	registries []string
	reach      func(ctx context.Context, registry string) error
}

// run makes every check; each failure says what to do.
func (c *selfCheck) run(ctx context.Context) []fleet.Check {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	version, runtimeErr := c.runtime(ctx)
	checks := []fleet.Check{
		check("disk", c.disk(), "writes and syncs in "+c.dataDir),
		check("devices", c.devices(), "null, zero, random and urandom are what they should be"),
		check("container-runtime", runtimeErr, version),
	}
	if runtimeErr == nil {
		detail, err := c.probe(ctx)
		checks = append(checks, check("probe-container", err, detail))
	}
	checks = append(checks, check("clock", c.clock(), "near the fleet's"))
	for _, registry := range c.registries {
		one := check("registry "+registry, c.reach(ctx, registry), "answers")
		one.Required = false
		checks = append(checks, one)
	}
	return checks
}

// passed reports whether all that is required holds.
func passed(checks []fleet.Check) bool {
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

func (c *selfCheck) disk() error {
	name := filepath.Join(c.dataDir, "self-check")
	if err := vfs.WriteFileAtomic(vfs.OS, name, []byte(c.now().UTC().Format(time.RFC3339)), fs.FileMode(0o600)); err != nil {
		return err
	}
	return os.Remove(name)
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

func (c *selfCheck) devices() error {
	var wrong error
	for _, want := range devices {
		name := filepath.Join(c.devDir, want.name)
		var stat unix.Stat_t
		if err := unix.Stat(name, &stat); err != nil {
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFCHR || unix.Major(stat.Rdev) != want.major || unix.Minor(stat.Rdev) != want.minor {
			wrong = errors.Join(wrong, fmt.Errorf("%[1]s is not the device that it should be: rm -f %[1]s && mknod -m 666 %[1]s c %[2]d %[3]d",
				name, want.major, want.minor))
		}
	}
	return wrong
}

func (c *selfCheck) clock() error {
	fleetNow := c.fleetNow()
	if gap := fleetNow.Std().Sub(c.now()); fleetNow != 0 && gap > maxClockGap {
		return fmt.Errorf("this host's clock is %s behind the fleet's: set it (chrony, systemd-timesyncd)", gap.Round(time.Millisecond))
	}
	return nil
}
