package cgroup

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// The scores that make the kernel's out-of-memory killer look at tasks first.
const (
	AgentOOMScore   = -900
	RuntimeOOMScore = -500
)

// Enter makes a child of the parent, weighs it and moves a process with all its
// threads into it; pid 0 is the caller. What the process starts from then on is
// born there, so whoever starts containerd moves it right after.
func Enter(config Config, child Child, pid int) error {
	t, err := detect(config)
	if err != nil {
		return err
	}
	group := path.Join(t.parent, string(child))
	if err := t.make(group); err != nil {
		return err
	}
	if pid == 0 {
		pid = os.Getpid()
	}
	for _, mount := range t.layout.homes(t.mounts) {
		name := filepath.Join(t.dir(mount, group), "cgroup.procs")
		if err := writeControl(name, strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("move process %d to %s: %w", pid, name, err)
		}
	}
	// On v2 the parent can give its children controllers only once it is empty.
	if err := t.ensure(group); err != nil {
		return err
	}
	return t.apply(group, t.layout.weight(child))
}

// EnterAgent moves this process into <parent>/agent.
func EnterAgent(config Config) error { return Enter(config, Agent, 0) }

// SetOOMScore sets a process's out-of-memory score and reads it back. To lower it
// takes CAP_SYS_RESOURCE.
func SetOOMScore(pid, score int) error {
	name := fmt.Sprintf("/proc/%d/oom_score_adj", pid)
	if err := writeControl(name, strconv.Itoa(score)); err != nil {
		return fmt.Errorf("set %s to %d: %w", name, score, err)
	}
	got, err := readControl(name)
	if err != nil {
		return err
	}
	if got != strconv.Itoa(score) {
		return fmt.Errorf("%s reads %s after %d was written", name, got, score)
	}
	return nil
}

// Protection is how far agent and runtime are safe from what tasks do.
type Protection struct {
	// Full: both are weighed and scored. Partly: the agent is weighed at least.
	Full, Partly bool
	Why          string // empty when Full
}

// String is "yes", "partly: why" or "no: why", as hosts report it.
func (p Protection) String() string {
	switch {
	case p.Full:
		return "yes"
	case p.Partly:
		return "partly: " + p.Why
	default:
		return "no: " + p.Why
	}
}

// Protect sets what it can of the protection of this process and of the
// container runtime (its pid, 0 for unknown) and says what is in force now,
// read back from the kernel. A runtime that lives in a group of its own, such
// as a systemd unit, is left there and reported.
func (t *Tree) Protect(runtimePID int) Protection {
	var missing []string
	weighed, why := t.protect(Agent, os.Getpid(), AgentOOMScore)
	if why != "" {
		missing = append(missing, "agent: "+why)
	}
	switch {
	case runtimePID <= 0:
		missing = append(missing, "container runtime: its process is not known")
	default:
		if _, why := t.protect(Runtime, runtimePID, RuntimeOOMScore); why != "" {
			missing = append(missing, "container runtime: "+why)
		}
	}
	return Protection{Full: len(missing) == 0, Partly: weighed && len(missing) > 0, Why: strings.Join(missing, "; ")}
}

// protect weighs a process's group, then scores the process. missing is empty
// when both are in force.
func (t *Tree) protect(child Child, pid, score int) (weighed bool, missing string) {
	want := path.Join(t.parent, string(child))
	got, err := t.groupOf(pid)
	if err != nil {
		return false, err.Error()
	}
	if got != want && !strings.HasPrefix(got, want+"/") {
		return false, fmt.Sprintf("process %d is in cgroup %s, not in %s", pid, got, want)
	}
	if err := t.apply(want, t.layout.weight(child)); err != nil {
		return false, err.Error()
	}
	if err := t.apply(path.Join(t.parent, string(Work)), t.layout.weight(Work)); err != nil {
		return false, err.Error()
	}
	if err := t.shield(); err != nil {
		return true, err.Error()
	}
	if err := SetOOMScore(pid, score); err != nil {
		return true, err.Error()
	}
	return true, ""
}

// shield gives the parent what its children's memory.min add up to: a child's
// guarantee is worth no more than its ancestors'.
func (t *Tree) shield() error {
	if t.layout.version() != 2 {
		return nil
	}
	total := memoryMin(Agent) + memoryMin(Runtime)
	return t.apply(t.parent, []setting{{"", "memory.min", strconv.FormatInt(total, 10)}})
}

// groupOf is the group that decides a process's cpu time.
func (t *Tree) groupOf(pid int) (string, error) {
	text, err := readControl(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", fmt.Errorf("read cgroup of process %d: %w", pid, err)
	}
	return parseGroup(text, t.layout.version())
}

// parseGroup finds the cpu controller's line (v1) or the unified one (v2) in
// /proc/<pid>/cgroup. Lines are "hierarchy:controllers:path".
func parseGroup(text string, version int) (string, error) {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		if version == 2 && parts[0] == "0" {
			return parts[2], nil
		}
		for _, controller := range strings.Split(parts[1], ",") {
			if version == 1 && controller == "cpu" {
				return parts[2], nil
			}
		}
	}
	return "", fmt.Errorf("no cpu line in %q", text)
}
