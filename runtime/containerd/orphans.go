package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/v2/core/snapshots"
	"golang.org/x/sys/unix"
)

// OrphanKind is what was left.
type OrphanKind uint8

// The kinds of orphans.
const (
	OrphanContainer OrphanKind = iota + 1 // a container, with or without a process
	OrphanTask                            // a process without a container's record
	OrphanSnapshot                        // a layer without a container
	OrphanShim                            // a shim whose container the daemon does not know
)

func (k OrphanKind) String() string {
	switch k {
	case OrphanContainer:
		return "container"
	case OrphanTask:
		return "task"
	case OrphanSnapshot:
		return "snapshot"
	case OrphanShim:
		return "shim"
	default:
		return fmt.Sprintf("orphan(%d)", uint8(k))
	}
}

// Orphan is something in our namespace that nobody wants. Two are the same orphan
// when they are equal.
type Orphan struct {
	Kind OrphanKind
	ID   string // the container's id where a label tells it, else the runtime's
	PID  int    // of a shim
	// Started tells a shim from a later process with its pid: clock ticks since
	// the machine's boot.
	Started uint64
}

// Orphans lists what is in our namespace and not wanted, by container id. What to
// do about it, and how long it must have been so, is the caller's to say. A
// container whose Create is under way is never an orphan.
func (c *Client) Orphans(ctx context.Context, wanted func(id string) bool) ([]Orphan, error) {
	ctx, cancel := c.within(ctx, callTimeout)
	defer cancel()
	out, known, err := c.orphanContainers(ctx, wanted)
	if err != nil {
		return nil, c.fault(ctx, "list orphans", err)
	}
	running, err := c.daemon.TaskService().List(ctx, &tasks.ListTasksRequest{})
	if err != nil {
		return nil, c.fault(ctx, "list orphans", err)
	}
	for _, t := range running.Tasks {
		if !known[t.ID] && !c.creating.has(c.ids.of(t.ID)) {
			known[t.ID] = true
			out = append(out, Orphan{Kind: OrphanTask, ID: t.ID})
		}
	}
	err = c.daemon.SnapshotService(c.config.Snapshotter).Walk(ctx, func(_ context.Context, info snapshots.Info) error {
		if id := info.Labels[labelID]; !known[info.Name] && !c.creating.has(id) {
			out = append(out, Orphan{Kind: OrphanSnapshot, ID: id})
		}
		return nil
	}, fmt.Sprintf("labels.%q", labelID))
	if err != nil {
		return nil, c.fault(ctx, "list orphans", err)
	}
	for _, s := range findShims("/proc", c.config.Namespace, c.config.Address) {
		if !known[s.ID] && !c.creating.has(c.ids.of(s.ID)) {
			out = append(out, s)
		}
	}
	return out, nil
}

// orphanContainers also returns the runtime ids of all containers on record.
func (c *Client) orphanContainers(ctx context.Context, wanted func(id string) bool) ([]Orphan, map[string]bool, error) {
	records, err := c.daemon.ContainerService().List(ctx)
	if err != nil {
		return nil, nil, err
	}
	var out []Orphan
	known := map[string]bool{}
	for _, r := range records {
		known[r.ID] = true
		id := r.Labels[labelID]
		if id == "" {
			id = r.ID
		}
		if !wanted(id) && !c.creating.has(id) {
			out = append(out, Orphan{Kind: OrphanContainer, ID: id})
		}
	}
	return out, known, nil
}

// Reap removes an orphan, killing what runs of it.
func (c *Client) Reap(ctx context.Context, s Orphan) error {
	defer c.locks.lock(s.ID)()
	ctx, cancel := c.within(ctx, deleteTimeout)
	defer cancel()
	key := runtimeID(s.ID)
	var steps []func(context.Context, string) error
	switch s.Kind {
	case OrphanContainer:
		steps = append(steps, c.removeTask, c.killLeftovers, c.removeRecord, c.removeSnapshot)
	case OrphanTask:
		steps = append(steps, c.removeTask)
	case OrphanSnapshot:
		steps = append(steps, c.removeSnapshot)
	case OrphanShim:
		return killShim("/proc", s)
	}
	for _, step := range steps {
		if err := step(ctx, key); err != nil {
			return c.fault(ctx, "reap "+s.Kind.String()+" "+s.ID, err)
		}
	}
	return nil
}

func (c *Client) killLeftovers(ctx context.Context, key string) error {
	record, err := c.daemon.ContainerService().Get(ctx, key)
	if err != nil {
		return ignoreMissing(err)
	}
	group := record.Labels[labelCgroup]
	deadline := time.Now().Add(killWait)
	for {
		pids, err := c.cgroups.processes(group)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("process %d lives after SIGKILL", pids[0])
		}
		if err := c.cgroups.kill(group); err != nil {
			return err
		}
		time.Sleep(killPause)
	}
}

// findShims finds the shims of a namespace and daemon by their arguments.
func findShims(proc, namespace, address string) []Orphan {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var out []Orphan
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if id := shimOf(proc, pid, namespace, address); id != "" {
			if started, ok := startTime(proc, pid); ok {
				out = append(out, Orphan{Kind: OrphanShim, ID: id, PID: pid, Started: started})
			}
		}
	}
	return out
}

// maxCmdline bounds what is read of a process's arguments; a shim's are about
// 200 bytes.
const maxCmdline = 4096

// shimOf is the container a process is the shim of, empty for other processes.
func shimOf(proc string, pid int, namespace, address string) string {
	f, err := os.Open(filepath.Join(proc, strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	defer f.Close()
	buf := make([]byte, maxCmdline)
	n, _ := f.Read(buf)
	return parseShim(strings.Split(strings.TrimRight(string(buf[:n]), "\x00"), "\x00"), namespace, address)
}

func parseShim(argv []string, namespace, address string) string {
	if len(argv) == 0 || !strings.HasPrefix(filepath.Base(argv[0]), "containerd-shim") {
		return ""
	}
	flags := map[string]string{}
	for i := 1; i+1 < len(argv); i++ {
		flags[strings.TrimLeft(argv[i], "-")] = argv[i+1]
	}
	if flags["namespace"] != namespace || flags["address"] != address {
		return ""
	}
	return flags["id"]
}

// startTime is field 22 of /proc/<pid>/stat, counted after the command's closing
// bracket, since a command may contain anything.
func startTime(proc string, pid int) (uint64, bool) {
	text, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	_, after, ok := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), ") ")
	fields := strings.Fields(after)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return 0, false
	}
	n, err := strconv.ParseUint(fields[19], 10, 64)
	return n, err == nil
}

// killShim kills a shim that is still the one that was seen. Its container's
// processes are found by their cgroup, not through it.
func killShim(proc string, s Orphan) error {
	fd, err := unix.PidfdOpen(s.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reap shim %d: %w", s.PID, err)
	}
	defer unix.Close(fd)
	if started, ok := startTime(proc, s.PID); !ok || started != s.Started {
		return nil // another process has its number
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("reap shim %d: %w", s.PID, err)
	}
	return nil
}
