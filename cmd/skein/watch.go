package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"skein/agent/api/types"
	"skein/cmd/skein/client"
	"skein/raftfsm/fleet"
)

type deploymentWatchCommand struct {
	target
	Deployment string `arg:"" help:"SERVICE.N, or SERVICE for its newest."`
}

// Run shows a deployment until it ends.
func (c *deploymentWatchCommand) Run(ctx context.Context) error {
	return watchDeployment(ctx, &c.target, c.Deployment)
}

// watchEvery is how often a deployment is read while it is watched.
const watchEvery = time.Second

// watchDeployment shows a deployment until it ends: live in a terminal, else a line for
// each thing that happens. Its error says how it ended, if not well.
func watchDeployment(ctx context.Context, t *target, ref string) error {
	agent, err := t.client(ctx)
	if err != nil {
		return err
	}
	var show screen = &lines{out: os.Stdout, told: map[string]bool{}}
	if isTerminal(os.Stdout) {
		show = &live{out: os.Stdout}
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		d, err := getDeployment(ctx, agent, ref)
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted: the deployment goes on; skein deployment watch %s shows it", printable(ref))
		case err != nil && !passing(err):
			return err
		case err == nil:
			ref = d.ID // a newer one may take over: this one is watched
			show.draw(d)
			if ended, err := outcome(d); ended {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// passing reports whether an error may pass: an election, an agent that restarts.
func passing(err error) bool {
	var refused *client.Error
	return !errors.As(err, &refused) || refused.Status >= 500 || refused.Status == 429
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Exit codes of a deployment that was watched.
const (
	exitRolledBack     = 3
	exitStopped        = 4
	exitRollbackFailed = 5
)

// outcomeError is a deployment that did not end well.
type outcomeError struct {
	text string
	code int
}

func (e *outcomeError) Error() string { return e.text }

// ExitCode says how it ended.
func (e *outcomeError) ExitCode() int { return e.code }

func outcome(d *types.Deployment) (ended bool, err error) {
	status, err := fleet.ParseDeploymentStatus(d.Status)
	if err != nil {
		return true, err
	}
	text := fmt.Sprintf("%s: %s", d.ID, d.Status)
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	switch status {
	case fleet.DeploymentSuccessful:
		return true, nil
	case fleet.DeploymentRolledBack:
		return true, &outcomeError{printable(text), exitRolledBack}
	case fleet.DeploymentStopped:
		return true, &outcomeError{printable(text), exitStopped}
	case fleet.DeploymentRollbackFailed:
		return true, &outcomeError{printable(text), exitRollbackFailed}
	default:
		return false, nil
	}
}

// screen shows a deployment as it goes on.
type screen interface{ draw(d *types.Deployment) }

// live draws over what it drew before.
type live struct {
	out   io.Writer
	drawn int // lines
}

func (s *live) draw(d *types.Deployment) {
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	picture := picture(d, time.Now())
	for _, line := range picture {
		b.WriteString("\x1b[2K" + line + "\n")
	}
	b.WriteString("\x1b[J")
	s.drawn = len(picture)
	fmt.Fprint(s.out, b.String())
}

// shownHooks bounds the calls of hooks that a picture has: the newest.
const shownHooks = 6

// picture is a deployment as it stands, line by line.
func picture(d *types.Deployment, now time.Time) []string {
	all := []string{fmt.Sprintf("%s  %s  %s -> %s (%s)  %s  %s", d.ID, d.Strategy, sourceOf(d), d.Target.Revision,
		orDash(d.Target.TaskDef), d.Status, took(d.CreatedAt, d.EndedAt))}
	if d.Stage != "" {
		stage := fmt.Sprintf("  stage     %s (%s)", d.Stage, d.Phase)
		if d.Step > 0 {
			stage += fmt.Sprintf(", step %d of %d", d.Step, d.Steps)
		}
		if left := fleet.Time(d.WaitsUntil).Std().Sub(now); !d.WaitsUntil.IsZero() && left > 0 {
			stage += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
		all = append(all, stage)
	}
	if d.Strategy != "ROLLING" {
		all = append(all, fmt.Sprintf("  traffic   production %s, test %s to %s", percent(d.Target.Production),
			percent(d.Target.Test), d.Target.Revision))
	}
	all = append(all, "  tasks     "+tasksOf(&d.Target))
	if d.Source != nil {
		all = append(all, "            "+tasksOf(d.Source))
	}
	if b := d.Breaker; b != nil {
		all = append(all, "  breaker   "+breakerLine(b))
	}
	for _, h := range d.Hooks[max(0, len(d.Hooks)-shownHooks):] {
		all = append(all, "  hook      "+hookLine(&h))
	}
	for _, a := range d.Alarms {
		all = append(all, "  alarm     "+alarmLine(&a))
	}
	for _, text := range d.Warnings {
		all = append(all, "  warning   "+text)
	}
	for _, line := range []struct{ name, text string }{
		{"paused", pausedBy(d)}, {"back", backWhy(d)}, {"waits", d.Waits}, {"reason", d.Reason},
	} {
		if line.text != "" {
			all = append(all, fmt.Sprintf("  %-9s %s", line.name, line.text))
		}
	}
	for i := range all {
		all[i] = printable(all[i])
	}
	return all
}

func sourceOf(d *types.Deployment) string {
	if d.Source == nil {
		return "nothing"
	}
	return d.Source.Revision
}

func tasksOf(r *types.DeploymentRevision) string {
	return fmt.Sprintf("%s: %d running, %d healthy, %d starting", r.Revision, r.Running, r.Healthy, r.Pending)
}

func hookLine(h *types.HookRun) string {
	line := fmt.Sprintf("%s at %s: %s", h.Hook, h.Stage, h.Status)
	if h.Step > 0 {
		line = fmt.Sprintf("%s at %s, step %d: %s", h.Hook, h.Stage, h.Step, h.Status)
	}
	if h.Status == "AWAITING_ACTION" {
		line += fmt.Sprintf(" (skein deployment continue %s --hook %s)", h.ID[:max(0, strings.LastIndex(h.ID, "-"))], h.ID)
	}
	if h.Answer != "" {
		line += ": " + h.Answer
	}
	return line
}

func breakerLine(b *types.BreakerState) string {
	line := fmt.Sprintf("%d of %d failures", b.Failures, b.Threshold)
	if b.BuiltIn {
		line += " (built in)"
	}
	if b.Last != "" {
		line += ", last: " + b.Last
	}
	return line
}

func alarmLine(a *types.AlarmState) string {
	line := a.Name + ": " + a.Status
	if a.Ignored {
		line += ", not looked at"
	}
	if a.Answer != "" {
		line += ": " + a.Answer
	}
	return line
}

func pausedBy(d *types.Deployment) string {
	if d.Paused == nil {
		return ""
	}
	return "by " + firstOf(d.Paused.By, "an operator") + "; skein deployment continue " + d.ID
}

func backWhy(d *types.Deployment) string {
	if d.Rollback == nil {
		return ""
	}
	return "to " + orDash(d.Rollback.Revision) + ": " + d.Rollback.Reason
}

// took is the time between two stamps, until now where the second is missing.
func took(from, to types.Stamp) string {
	end := time.Now()
	if !to.IsZero() {
		end = fleet.Time(to).Std()
	}
	return max(0, end.Sub(fleet.Time(from).Std())).Round(time.Second).String()
}

// lines prints a line for each thing that happens, once. What one look finds is in order.
type lines struct {
	out  io.Writer
	told map[string]bool
	news []news
}

// news is a thing that happened.
type news struct {
	at   types.Stamp
	line string
}

func (s *lines) draw(d *types.Deployment) {
	s.gather(d)
	slices.SortStableFunc(s.news, func(a, b news) int { return cmp.Compare(a.at, b.at) })
	for _, n := range s.news {
		fmt.Fprintf(s.out, "%s  %s\n", clockTime(n.at), n.line)
	}
	s.news = s.news[:0]
}

// gather finds what is new: first what began, then what ended, for those of one moment.
func (s *lines) gather(d *types.Deployment) {
	s.tell(d.CreatedAt, "%s: %s from %s to %s (%s)", d.ID, d.Strategy, sourceOf(d), d.Target.Revision, d.Target.TaskDef)
	for _, stage := range d.Stages {
		name := stage.Stage
		if stage.Step > 0 {
			name += fmt.Sprintf(" step %d of %d", stage.Step, d.Steps)
		}
		s.tell(stage.BeganAt, "%s (%s)", name, stage.Phase)
		if stage.Why != "" && !stage.EndedAt.IsZero() {
			s.tell(stage.EndedAt, "%s ended: %s", name, stage.Why)
		}
	}
	if d.Strategy != "ROLLING" && d.Stage != "" {
		s.tell(d.UpdatedAt, "traffic of %s: production %s, test %s", d.Target.Revision, percent(d.Target.Production),
			percent(d.Target.Test))
	}
	for _, h := range d.Hooks {
		s.tell(firstStamp(h.EndedAt, h.BeganAt), "hook %s", hookLine(&h))
	}
	for _, a := range d.Alarms {
		s.tell(a.Since, "alarm %s", alarmLine(&a))
	}
	if d.Paused != nil {
		s.tell(d.Paused.At, "paused %s", pausedBy(d))
	}
	if d.Rollback != nil {
		s.tell(d.Rollback.StartedAt, "goes back %s", backWhy(d))
	}
	if !d.EndedAt.IsZero() {
		s.tell(d.EndedAt, "%s: %s", d.Status, orDash(d.Reason))
	}
}

func firstStamp(stamps ...types.Stamp) types.Stamp {
	for _, s := range stamps {
		if !s.IsZero() {
			return s
		}
	}
	return 0
}

func (s *lines) tell(at types.Stamp, format string, args ...any) {
	line := printable(fmt.Sprintf(format, args...))
	if s.told[line] {
		return
	}
	s.told[line] = true
	s.news = append(s.news, news{at, line})
}
