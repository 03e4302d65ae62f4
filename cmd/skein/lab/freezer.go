package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// freezer returns the file that freezes a cgroup with all below it, and what to
// write; ok is false where there is no freezer.
func freezer(all []hierarchy, name string) (file string, freeze, thaw string, ok bool) {
	for _, h := range all {
		if h.has("freezer") {
			return filepath.Join(h.mount, name, "freezer.state"), "FROZEN", "THAWED", true
		}
	}
	for _, h := range all {
		if h.v2 {
			return filepath.Join(h.mount, name, "cgroup.freeze"), "1", "0", true
		}
	}
	return "", "", "", false
}

// freezeCgroup stops every process of a cgroup at once; where there is no
// freezer, one by one.
func freezeCgroup(all []hierarchy, name string, limit time.Duration) error {
	file, freeze, _, ok := freezer(all, name)
	if !ok {
		return signalCgroup(all, name, unix.SIGSTOP)
	}
	if err := os.WriteFile(file, []byte(freeze), 0); err != nil {
		return fmt.Errorf("freeze cgroup: %w", err)
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		if isFrozen(file, freeze) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroup %s did not freeze within %s", name, limit)
		}
	}
}

func isFrozen(file, freeze string) bool {
	if filepath.Base(file) == "cgroup.freeze" {
		b, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup.events"))
		return strings.Contains(string(b), "frozen 1")
	}
	b, _ := os.ReadFile(file)
	return strings.TrimSpace(string(b)) == freeze
}

func thawCgroup(all []hierarchy, name string) error {
	file, _, thaw, ok := freezer(all, name)
	if !ok {
		return signalCgroup(all, name, unix.SIGCONT)
	}
	if err := os.WriteFile(file, []byte(thaw), 0); err != nil {
		return fmt.Errorf("thaw cgroup: %w", err)
	}
	return nil
}

func signalCgroup(all []hierarchy, name string, signal unix.Signal) error {
	for _, pid := range cgroupProcesses(all, name) {
		if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return nil
}
