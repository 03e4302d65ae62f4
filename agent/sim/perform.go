package sim

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"skein/agent/converge"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/runtime/fake"
	"skein/runtime/port"
)

var errRuntimeGone = fmt.Errorf("connection refused: %w", port.ErrRuntimeDown)

// background is the context of calls that take no time: their time has passed
// before they are made.
var background = context.Background()

// perform carries one effect out in a while. Its effect and its answer are two
// moments: an agent may die, and an answer may be lost, between them.
func (a *agent) perform(e converge.Effect) {
	answered := false
	var deadline *virtual.Timer
	answer := func(d converge.Done) {
		if answered {
			return
		}
		answered = true
		deadline.Stop()
		a.step(d)
	}
	// Whatever happens, the deadline answers.
	deadline = a.life.After(e.Within, func() { answer(converge.Done{ID: e.ID, Err: context.DeadlineExceeded}) })
	takes, disk := a.takes(e.Do)
	run := a.life
	if _, journal := e.Do.(converge.Journal); journal && a.w.cfg.Mutation.is(MutationJournalLate) {
		run.After(0, func() { answer(converge.Done{ID: e.ID}) })
		takes += time.Second
	}
	act := func() {
		d := a.outcome(e)
		lost := d.Err == nil && !disk && a.w.chance.Is(a.w.cfg.Tuning.AnswerLost)
		if lost {
			a.w.sometimes("the answer of a call is lost")
			d = converge.Done{ID: e.ID, Err: errRuntimeGone}
		}
		run.After(10*time.Microsecond, func() { answer(d) })
	}
	a.after(takes, func() {
		switch {
		case disk && a.disk == diskStalled:
			a.hungWrites = append(a.hungWrites, act)
		case a.runtime == runtimeHangs && usesRuntime(e.Do):
			a.hungCalls = append(a.hungCalls, act)
		default:
			act()
		}
	})
}

// takes is how long an action takes, and whether it is a write to the disk.
func (a *agent) takes(do converge.Action) (d time.Duration, disk bool) {
	k := a.w.cfg.Tuning
	around := func(d time.Duration) time.Duration { return a.w.chance.Between(d/2, d*2) }
	switch do.(type) {
	case converge.Journal, converge.SaveWanted, converge.SaveRoutes:
		return around(k.Sync), true
	case converge.Pull:
		return around(k.Pull), false
	case converge.Create, converge.Start:
		return around(k.Start / 2), false
	case converge.Delete, converge.TeardownNetwork:
		return around(30 * time.Millisecond), false
	default:
		return around(2 * time.Millisecond), false
	}
}

func usesRuntime(do converge.Action) bool {
	switch do.(type) {
	case converge.FindImage, converge.Pull, converge.Create, converge.Start, converge.Signal, converge.Delete,
		converge.ExecCheck, converge.List:
		return true
	}
	return false
}

// outcome does what an effect says, unless a fault stands in its way.
func (a *agent) outcome(e converge.Effect) converge.Done {
	d := converge.Done{ID: e.ID}
	a.w.calls++
	_, pull := e.Do.(converge.Pull)
	if journal, ok := e.Do.(converge.Journal); ok {
		a.unwritten = append(a.unwritten, journal.Records...)
	}
	switch {
	case a.w.calls == a.w.cfg.FailCall, a.w.chance.Is(a.w.cfg.Tuning.CallFails):
		d.Err = errInjected
		a.w.note("%s: %T fails", a.name, e.Do)
		a.w.sometimes("a local call fails")
	case a.runtime != runtimeUp && usesRuntime(e.Do):
		d.Err = errRuntimeGone
	case pull && a.w.registryDown && !a.holds(e.Do.(converge.Pull).Ref):
		d.Err = port.ErrRegistry
		a.w.sometimes("a pull finds the registry down")
	default:
		a.do(e, &d)
	}
	if d.Err == nil || usesRuntime(e.Do) {
		a.changed()
	}
	return d
}

func (h *host) holds(ref port.ImageRef) bool {
	_, ok, _ := h.containers.HasImage(background, ref)
	return ok
}

func (a *agent) do(e converge.Effect, d *converge.Done) {
	switch do := e.Do.(type) {
	case converge.Journal:
		d.Err = a.writeJournal()
	case converge.SaveWanted:
		d.Err = a.writeWanted(do.Wanted)
	case converge.SaveRoutes:
		d.Err = a.writeRoutes(do.Routes)
	case converge.FindImage:
		d.Digest, _, d.Err = a.containers.HasImage(background, do.Ref)
	case converge.Pull:
		d.Digest, d.Err = a.pull(do.Ref)
	case converge.PrepareCgroup:
		d.Path, d.Err = a.cgroups.Prepare(background, e.Task, do.Bounds)
	case converge.Create:
		if d.PID, d.Err = a.containers.Create(background, do.Spec); d.Err == nil {
			a.w.watch.created(a.host, do.Spec)
			if a.w.cfg.Mutation.is(MutationStartTwice) {
				a.after(5*time.Second, func() { a.runAgain(do.Spec) })
			}
		}
	case converge.SetupNetwork:
		d.Addr, d.Err = a.network.Setup(background, do.Spec)
	case converge.Start:
		d.Err = a.startContainer(do.Container)
	case converge.Signal:
		a.w.watch.signalled(a, do)
		d.Err = a.containers.Signal(background, do.Container, do.Number, do.All)
	case converge.Delete:
		d.Err = a.containers.Delete(background, do.Container)
	case converge.TeardownNetwork:
		d.Err = a.network.Teardown(background, e.Task)
	case converge.RemoveCgroup:
		d.Err = a.cgroups.Remove(background, e.Task)
	case converge.ExecCheck:
		d.Code, d.Err = a.check(e.Task, do.Container)
	case converge.HTTPCheck:
		d.Code, d.Err = a.check(e.Task, do.Container)
	case converge.CheckTarget:
		d.Code = a.targetAnswers(e.Task)
	case converge.CountConnections:
		d.Open, d.Err = a.network.Connections(background, do.PID, do.Ports)
	case converge.List:
		d.Found, d.Err = a.list(do)
	}
}

// writeJournal makes records durable, with those that could not be written before,
// whole or not at all.
func (a *agent) writeJournal() error {
	if a.disk == diskFull {
		return errDiskFull
	}
	for _, r := range a.unwritten {
		switch r.Kind {
		case converge.RecordStart:
			a.w.watch.journaled(a.host, r)
		case converge.RecordForget:
			delete(a.faulty, r.Task)
		case converge.RecordStop:
		}
	}
	a.host.journal = append(a.host.journal, a.unwritten...)
	a.unwritten = nil
	if len(a.host.journal) > 256 {
		a.host.journal = converge.Compact(a.host.journal)
	}
	return nil
}

func (h *host) writeWanted(s converge.SavedWanted) error {
	if h.disk == diskFull {
		return errDiskFull
	}
	h.wanted, h.wantedBefore, h.behind = &s, h.wanted, false
	return nil
}

// releaseWrites lets the writes of a stalled disk go on.
func (h *host) releaseWrites() {
	hung := h.hungWrites
	h.hungWrites = nil
	for _, write := range hung {
		write()
	}
}

func (a *agent) pull(ref port.ImageRef) (string, error) {
	image, ok := a.w.images[ref.Image]
	if !ok {
		return "", fmt.Errorf("pull %s: %w", ref.Image, port.ErrImageNotFound)
	}
	a.containers.Put(ref.Image, image)
	return a.containers.Pull(background, ref)
}

func (h *host) startContainer(id string) error {
	was, _ := h.containers.Get(id)
	err := h.containers.Start(background, id)
	if err == nil && was.State == port.ContainerCreated {
		h.w.watch.started(h, was)
		if outcome, ok := h.w.lifetimes[was.Task]; ok {
			h.after(outcome.Lasts, func() { h.exit(id, outcome.Exit.Code()) })
		}
	}
	return err
}

// check is what a health check finds.
func (a *agent) check(task fleet.TaskID, container string) (code int, err error) {
	switch s, ok := a.containers.Get(container); {
	case !ok || s.State != port.ContainerRunning:
		return 0, fmt.Errorf("check %s: %w", container, port.ErrNotFound)
	case a.faulty[task], a.w.brokenRevision(task):
		return 1, nil
	default:
		return 0, nil
	}
}

// targetAnswers is the status by which a task answers the check of a target group.
func (a *agent) targetAnswers(task fleet.TaskID) int {
	if a.faulty[task] || a.w.brokenRevision(task) {
		return http.StatusInternalServerError
	}
	return http.StatusOK
}

func (a *agent) list(do converge.List) (*converge.Found, error) {
	f := &converge.Found{}
	var err error
	if f.Containers, err = a.containers.List(background); err != nil || !do.Full {
		return f, err
	}
	f.Networks, _ = a.network.Tasks(background) // twins do not fail here
	f.Cgroups, _ = a.cgroups.Tasks(background)
	return f, nil
}

// program runs what the words of a command say: "stay", "exit 3", "for 90s",
// "deaf" (it ignores SIGTERM).
func program(argv []string) (fake.Run, bool) {
	switch words := append(slices.Clone(argv), "", ""); words[0] {
	case "exit":
		var code int
		_, err := fmt.Sscan(words[1], &code)
		return fake.Run{After: 50 * time.Millisecond, ExitCode: code}, err == nil
	case "for":
		d, err := time.ParseDuration(words[1])
		return fake.Run{After: d, OnTerm: 143}, err == nil
	case "deaf":
		return fake.Run{After: fake.Forever, IgnoresTerm: true}, true
	default:
		return fake.Run{After: fake.Forever, OnTerm: 143}, !strings.HasPrefix(words[0], "missing")
	}
}

func (a *agent) writeRoutes(r converge.SavedRoutes) error {
	if a.disk == diskFull {
		return errDiskFull
	}
	a.routes = &r
	return nil
}
