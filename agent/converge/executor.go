package converge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"sync"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/seam/failpoint"
)

const (
	// endsInFlight bounds signals, deletions and teardowns; the machine bounds
	// starts, pulls and checks itself. A hung call keeps one until its deadline.
	endsInFlight = 64
	// abandonAfter is how long past its deadline a call may take to notice; then
	// the machine is answered without it.
	abandonAfter = 5 * time.Second
	checkBody    = 4 << 10 // of a health answer that is read before it is closed
)

// The places where a crash is interesting.
var _ = failpoint.Register(
	"converge/after-journal", "converge/before-create", "converge/after-create", "converge/before-start",
	"converge/after-start", "converge/after-signal", "converge/after-delete", "converge/before-save",
)

// dialFunc connects to a task.
type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// executor carries effects out. Each runs in a goroutine of its own, so that a
// slow call keeps nobody waiting but its own task.
type executor struct {
	cfg     Config
	journal *journalFile
	wanted  *wantedFile
	ends    chan struct{}
	dial    dialFunc
	http    *http.Client
	alive   sync.WaitGroup
}

func newExecutor(cfg Config, j *journalFile, w *wantedFile) *executor {
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return &executor{
		cfg:     cfg,
		journal: j,
		wanted:  w,
		ends:    make(chan struct{}, endsInFlight),
		dial:    dial,
		http: &http.Client{
			Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (x *executor) begin(f func()) { x.alive.Go(f) }

// wait returns when everything begun has ended, or is past all its deadlines.
func (x *executor) wait() {
	done := make(chan struct{})
	go func() {
		x.alive.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(abandonAfter):
	}
}

// run carries one effect out within its deadline and returns its result. A call
// that does not notice its deadline is answered for, and its end is ignored.
func (x *executor) run(ctx context.Context, e Effect) Done {
	ctx, cancel := context.WithTimeout(ctx, e.Within)
	defer cancel()
	result := make(chan Done, 1)
	go func() {
		d := Done{ID: e.ID}
		x.perform(ctx, e, &d)
		result <- d
	}()
	select {
	case d := <-result:
		return d
	case <-ctx.Done():
	}
	select {
	case d := <-result:
		return d
	case <-time.After(abandonAfter):
		x.cfg.Log.Warn("step abandoned past its deadline", "task", e.Task, "step", fmt.Sprintf("%T", e.Do))
		return Done{ID: e.ID, Err: context.DeadlineExceeded}
	}
}

func (x *executor) perform(ctx context.Context, e Effect, d *Done) {
	switch do := e.Do.(type) {
	case Signal, Delete, TeardownNetwork, RemoveCgroup:
		select {
		case x.ends <- struct{}{}:
			defer func() { <-x.ends }()
		case <-ctx.Done():
			d.Err = ctx.Err()
			return
		}
		d.Err = x.end(ctx, e.Task, do)
	case Journal, SaveWanted, SaveRoutes:
		d.Err = x.write(do)
	case FindImage:
		d.Digest, d.Err = x.find(ctx, do)
	case Pull:
		d.Digest, d.Err = x.cfg.Containers.Pull(ctx, do.Ref)
	case PrepareCgroup:
		d.Path, d.Err = x.cfg.Cgroups.Prepare(ctx, e.Task, do.Bounds)
	case Create:
		d.PID, d.Err = x.create(ctx, do)
	case SetupNetwork:
		d.Addr, d.Err = x.cfg.Network.Setup(ctx, do.Spec)
	case Start:
		d.Err = x.start(ctx, do)
	case ExecCheck:
		d.Code, d.Err = x.cfg.Containers.Exec(ctx, do.Container, do.Argv)
	case HTTPCheck:
		d.Code, d.Err = x.get(ctx, do)
	case CheckTarget:
		d.Code, d.Err = x.checkTarget(ctx, do)
	case CountConnections:
		d.Open, d.Err = x.cfg.Network.Connections(ctx, do.PID, do.Ports)
	case List:
		d.Found, d.Err = x.list(ctx, do)
	case RemoveLogs:
		d.Err = x.removeLogs(e.Task)
	case RotateLogs:
		d.Err = rotateLogs(ctx, x.cfg.FS, do.Files)
		if d.Err != nil {
			x.cfg.Log.Warn("logs not rotated", "err", d.Err)
		}
	default:
		d.Err = fmt.Errorf("effect %T has no executor", do)
	}
}

// removeLogs removes a task's log folder, and never anything above it.
func (x *executor) removeLogs(task fleet.TaskID) error {
	if !taskIDForm.MatchString(string(task)) {
		return fmt.Errorf("remove logs of task %q: not a task id", task)
	}
	return x.cfg.FS.RemoveAll(x.cfg.Machine.LogDir + "/" + string(task))
}

// end does the steps that take something away.
func (x *executor) end(ctx context.Context, task fleet.TaskID, action Action) error {
	switch do := action.(type) {
	case Signal:
		return errors.Join(x.cfg.Containers.Signal(ctx, do.Container, do.Number, do.All),
			failpoint.Hit("converge/after-signal"))
	case Delete:
		return errors.Join(x.cfg.Containers.Delete(ctx, do.Container), failpoint.Hit("converge/after-delete"))
	case TeardownNetwork:
		return x.cfg.Network.Teardown(ctx, task)
	default:
		return x.cfg.Cgroups.Remove(ctx, task)
	}
}

func (x *executor) write(action Action) error {
	switch do := action.(type) {
	case Journal:
		return errors.Join(x.journal.Append(do.Records), failpoint.Hit("converge/after-journal"))
	case SaveWanted:
		if err := failpoint.Hit("converge/before-save"); err != nil {
			return err
		}
		return x.wanted.Save(do.Wanted)
	case SaveRoutes:
		return saveRoutes(x.cfg.FS, x.cfg.Dir, do.Routes)
	}
	return nil
}

func (x *executor) find(ctx context.Context, do FindImage) (string, error) {
	digest, here, err := x.cfg.Containers.HasImage(ctx, do.Ref)
	if err != nil || !here {
		return "", err
	}
	return digest, nil
}

func (x *executor) create(ctx context.Context, do Create) (int, error) {
	if err := failpoint.Hit("converge/before-create"); err != nil {
		return 0, err
	}
	if err := x.cfg.FS.MkdirAll(path.Dir(do.Spec.LogPath), logDirPerm); err != nil {
		return 0, fmt.Errorf("make log folder: %w", err)
	}
	pid, err := x.cfg.Containers.Create(ctx, do.Spec)
	return pid, errors.Join(err, failpoint.Hit("converge/after-create"))
}

func (x *executor) start(ctx context.Context, do Start) error {
	if err := failpoint.Hit("converge/before-start"); err != nil {
		return err
	}
	return errors.Join(x.cfg.Containers.Start(ctx, do.Container), failpoint.Hit("converge/after-start"))
}

// get makes a health request; 2xx and 3xx are healthy.
func (x *executor) get(ctx context.Context, do HTTPCheck) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+do.Addr.String()+do.Path, nil)
	if err != nil {
		return 0, fmt.Errorf("health check %s%s: %w", do.Addr, do.Path, err)
	}
	req.Header.Set("User-Agent", "skein-health")
	resp, err := x.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, checkBody) // politeness: the answer is its status
	if resp.StatusCode < 200 || resp.StatusCode > 399 {
		return resp.StatusCode, nil
	}
	return 0, nil
}

func (x *executor) list(ctx context.Context, do List) (*Found, error) {
	var f Found
	var err error
	if f.Containers, err = x.cfg.Containers.List(ctx); err != nil || !do.Full {
		return &f, err
	}
	// A part that cannot be told now is told by the next full list.
	if f.Networks, err = x.cfg.Network.Tasks(ctx); err != nil {
		x.cfg.Log.Warn("task networks not listed", "err", err)
	}
	if f.Cgroups, err = x.cfg.Cgroups.Tasks(ctx); err != nil {
		x.cfg.Log.Warn("task cgroups not listed", "err", err)
	}
	if f.Logs, err = logFolders(x.cfg.FS, x.cfg.Machine.LogDir); err != nil && !errors.Is(err, os.ErrNotExist) {
		x.cfg.Log.Warn("task logs not listed", "err", err)
	}
	return &f, nil
}
