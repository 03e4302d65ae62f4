package converge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/vfs"
)

// Config is what a Host is made of. Nil ports are refused.
type Config struct {
	Machine    MachineConfig
	Dir        string // of the journal and the wanted files; made when it is not there
	FS         vfs.FS
	Clock      clock.Clock
	Containers Containers
	Network    Network
	Cgroups    Cgroups
	// Send hands a report to the session that is open, or drops it: it comes again
	// until ReportAcked. It must return at once.
	Send func(fleet.Report)
	// Dial connects health checks; nil is the machine's own network.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Routes serves traffic; nil: nobody does on this host.
	Routes RoutesServer
	Log    *slog.Logger
}

const (
	eventQueue = 1024             // a burst of results of all tasks of a host; senders wait beyond
	eventBatch = 256              // events taken in one step
	closeAfter = 10 * time.Second // for starts that were begun when the agent is told to end
	dirPerm    = 0o700
	logDirPerm = 0o750
)

// Host is the host loop: a Machine, its files, and what carries its effects out.
// All methods may be called from any goroutine, before Run as well.
type Host struct {
	cfg     Config
	events  chan Event
	closed  chan struct{} // Run has returned: nobody takes events any more
	hearing atomic.Bool   // a VoterHeard is on its way

	mu sync.Mutex
	m  *Machine

	answers sync.Map // Ref -> chan error
	refs    atomic.Uint64
	journal *journalFile
	wanted  *wantedFile
	work    *executor
}

// New reads what this host left on its disk. Files that cannot be read are set
// aside, with a line in the log: the containers that run are found anyway.
func New(cfg Config) (*Host, error) {
	if cfg.FS == nil || cfg.Clock == nil || cfg.Containers == nil || cfg.Network == nil || cfg.Cgroups == nil ||
		cfg.Send == nil || cfg.Log == nil {
		return nil, errors.New("host loop: a port, Send or Log is missing")
	}
	if cfg.Machine.Host == "" || cfg.Machine.Boot == "" || cfg.Dir == "" || cfg.Machine.LogDir == "" {
		return nil, errors.New("host loop: host id, boot id, folder and log folder must be given")
	}
	h := &Host{cfg: cfg, events: make(chan Event, eventQueue), closed: make(chan struct{})}
	if err := makeFolder(cfg.FS, cfg.Dir, dirPerm); err != nil {
		return nil, fmt.Errorf("host loop: make folder: %w", err)
	}
	if err := makeFolder(cfg.FS, cfg.Machine.LogDir, logDirPerm); err != nil {
		return nil, fmt.Errorf("host loop: make log folder: %w", err)
	}
	var saved Saved
	var lost error
	h.journal, lost = openJournal(cfg.FS, cfg.Dir+"/journal")
	saved.Journal = h.journal.records
	var unread error
	h.wanted, saved.Wanted, unread = openWanted(cfg.FS, cfg.Dir)
	var unserved error
	saved.Routes, unserved = openRoutes(cfg.FS, cfg.Dir)
	if err := errors.Join(lost, unread, unserved); err != nil {
		cfg.Log.Warn("host files set aside", "err", err)
	}
	if saved.Wanted != nil && lost != nil {
		saved.Wanted.Behind = true // starts may be missing from the journal
	}
	h.m = NewMachine(cfg.Machine, saved, h.now())
	h.work = newExecutor(cfg, h.journal, h.wanted)
	return h, nil
}

// makeFolder makes a folder so that it is there after a power loss too: what is
// durable in a folder that is not, is not.
func makeFolder(fsys vfs.FS, name string, perm fs.FileMode) error {
	if _, err := fsys.Stat(name); err == nil {
		return nil
	}
	parent := path.Dir(name)
	if parent != name {
		if err := makeFolder(fsys, parent, perm); err != nil {
			return err
		}
	}
	if err := fsys.MkdirAll(name, perm); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

func (h *Host) now() Now {
	return Now{Wall: fleet.TimeOf(h.cfg.Clock.Now()), Mono: h.cfg.Clock.Mono()}
}

// Run drives the loop until ctx ends; then it finishes the starts it has begun,
// bounded in time, and returns nil. Containers run on.
func (h *Host) Run(ctx context.Context) error {
	doing, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer h.journal.Close()
	defer h.work.wait()
	defer close(h.closed) // frees those that wait to tell something
	defer stop()
	h.work.begin(func() { h.watch(doing) })

	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := ctx.Done()
	var limit <-chan time.Time
	for {
		var batch []Event
		select {
		case e := <-h.events:
			batch = h.more(e)
		case <-timer.C:
			batch = []Event{Tick{}}
		case <-ending:
			ending, limit = nil, time.After(closeAfter)
			batch = []Event{Closing{}}
		case <-limit:
			return nil
		}
		effects, starting := h.step(batch)
		for _, e := range effects {
			h.carry(doing, e, timer)
		}
		if ending == nil && starting == 0 {
			return nil
		}
	}
}

// more takes what else waits, up to a batch.
func (h *Host) more(first Event) []Event {
	batch := []Event{first}
	for len(batch) < eventBatch {
		select {
		case e := <-h.events:
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

func (h *Host) step(batch []Event) (effects []Effect, starting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range batch {
		if _, ok := e.(VoterHeard); ok {
			h.hearing.Store(false)
		}
	}
	return h.m.Step(h.now(), batch), h.m.Starting()
}

// carry does what needs no waiting and hands the rest to the executor.
func (h *Host) carry(ctx context.Context, e Effect, timer *time.Timer) {
	switch do := e.Do.(type) {
	case ArmTimer:
		timer.Reset(max(0, do.At-h.cfg.Clock.Mono()))
	case Note:
		h.log(e.Task, do)
	case Answer:
		if reply, ok := h.answers.LoadAndDelete(do.Ref); ok {
			reply.(chan error) <- do.Err
		}
	case SendReports:
		h.cfg.Send(do.Report)
	case ServeRoutes:
		if h.cfg.Routes != nil {
			h.cfg.Routes.ServeRoutes(do.Epoch, do.Index, do.Routes)
		}
	default:
		h.work.begin(func() { h.post(h.work.run(ctx, e)) })
	}
}

func (h *Host) log(task fleet.TaskID, n Note) {
	level := slog.LevelInfo
	switch {
	case n.Code == NoteMassStop:
		level = slog.LevelError
	case n.Code.Warn():
		level = slog.LevelWarn
	}
	attrs := []any{}
	if task != "" {
		attrs = append(attrs, "task", task)
	}
	if n.Reason != "" {
		attrs = append(attrs, "reason", n.Reason)
	}
	h.cfg.Log.Log(context.Background(), level, string(n.Code), attrs...)
}

// post gives the loop an event, unless Run has returned.
func (h *Host) post(e Event) {
	select {
	case h.events <- e:
	case <-h.closed:
	}
}

// Deliver gives a frame of a voter's stream and returns what became of it: nil
// when it was accepted, else a refusal (ErrOlder, ErrSession, ErrOtherFleet,
// ErrNeedSnapshot, ErrMassStop, ErrBadFrame), after which the stream must begin
// again with a snapshot, or with another voter. Frames of one stream are
// delivered one after another.
func (h *Host) Deliver(ctx context.Context, f Frame) error {
	reply := make(chan error, 1)
	f.Ref = h.refs.Add(1)
	h.answers.Store(f.Ref, reply)
	defer h.answers.Delete(f.Ref)
	select {
	case h.events <- f:
	case <-ctx.Done():
		return ctx.Err()
	case <-h.closed:
		return context.Canceled
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-h.closed:
		return context.Canceled
	}
}

// SessionOpened says that the fleet committed session n of this agent.
func (h *Host) SessionOpened(n uint64) { h.post(SessionOpened{Session: n}) }

// VoterHeard says that a byte came from a voter that heard its leader so long
// ago (negative: it knows of none); it never blocks.
func (h *Host) VoterHeard(leaderAge time.Duration) {
	if h.hearing.Swap(true) {
		return
	}
	select {
	case h.events <- VoterHeard{LeaderAge: leaderAge}:
	default:
		h.hearing.Store(false)
	}
}

// Cloned says that a voter opened no session since another machine with this host's
// identity is alive.
func (h *Host) Cloned() { h.post(Cloned{}) }

// VoterLost says that no stream to a voter is up.
func (h *Host) VoterLost() { h.post(VoterLost{}) }

// ReportAcked says that a report was committed.
func (h *Host) ReportAcked(session, seq uint64) { h.post(ReportAcked{Session: session, Seq: seq}) }

// ReportRefused says that a report can never be committed (fleet.ErrInvalid,
// fleet.ErrLimit). For fleet.ErrOldSession open a new session instead.
func (h *Host) ReportRefused(session, seq uint64, err error) {
	h.post(ReportRefused{Session: session, Seq: seq, Err: err})
}

// HostChecked sets what reports say of the host itself; nil leaves a part as it is.
func (h *Host) HostChecked(checks []fleet.Check, capacity *fleet.Resources) {
	h.post(HostChecked{Checks: checks, Capacity: capacity})
}

// Status is the host as its loop sees it now.
func (h *Host) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.m.Status()
}

// Reserved is what the tasks on this host hold.
func (h *Host) Reserved() fleet.Resources {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.m.Reserved()
}

// LogPath is the file that a task's container writes to; the one before it ends
// in ".1". The names are those of Status: they are checked, not trusted.
func (h *Host) LogPath(task fleet.TaskID, container string) (string, error) {
	if !taskIDForm.MatchString(string(task)) || !nameForm.MatchString(container) {
		return "", fmt.Errorf("log of task %q container %q: %w", task, container, fs.ErrInvalid)
	}
	return logPath(h.cfg.Machine.LogDir, task, container), nil
}
