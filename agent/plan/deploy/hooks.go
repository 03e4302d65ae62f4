package deploy

import (
	"fmt"
	"slices"
	"time"

	"skein/agent/deployment"
	"skein/raftfsm/fleet"
)

const (
	// askAgain is how long after a call without an answer the next one begins.
	askAgain     = 30 * time.Second
	callAttempts = 5 // of one call that is not taken
	tailTimeout  = 10 * time.Second
)

// position is where hooks are called: a stage, or a point, and the step there. Undo is for
// traffic that goes back.
type position struct {
	stage fleet.LifecycleStage
	step  int
	undo  bool
}

// callHooks begins the hooks of positions, all side by side, and reports whether each has
// come to an end. Whether one of them failed was looked at before.
func (n *inputs) callHooks(out *decision, at ...position) (done bool) {
	done = true
	for _, p := range at {
		for _, name := range n.deployment.Config.HooksAt(p.stage) {
			run := n.deployment.RunOf(name, p.stage, p.step, p.undo)
			if run == nil {
				n.begin(out, name, p)
				return false
			}
			if run.Open() {
				done, out.waits = false, n.waitsForHook(run)
			}
		}
	}
	return done
}

// calledWithin is how long a call usually takes to be handed to a voter: a wait for that is
// said after it.
const calledWithin = 5 * time.Second

func (n *inputs) waitsForHook(run *fleet.HookRun) *wait {
	d := n.deployment
	if run.Status == fleet.HookAwaitingAction {
		return waits(codePerson, "%s: %s at %s waits for a person until %s: skein deployment continue %s --hook %s", d.ID,
			run.Hook, run.Stage, run.ExpiresAt, d.ID, run.ID)
	}
	text := fmt.Sprintf("%s: %s at %s has no verdict yet", d.ID, run.Hook, run.Stage)
	if slices.ContainsFunc(n.hooks, func(h hook) bool { return h.run == run && h.uncalled() }) {
		w := waits(codeHook, "%s: %s at %s is to be called: no voter has taken that up yet", d.ID, run.Hook, run.Stage)
		w.after = run.BeganAt.Add(calledWithin)
		return w
	}
	if run.Answer != "" {
		text += ", last: " + run.Answer
	}
	return waits(codeHook, "%s", text)
}

// begin is the first call of a hook at a position. A hook that cannot be called fails the
// deployment.
func (n *inputs) begin(out *decision, name string, at position) {
	d := n.deployment
	run := fleet.HookRun{ID: d.NextRun(), Hook: name, Stage: at.stage, Step: at.step, Undo: at.undo}
	if err := n.call(out, hook{run: &run, config: d.Config.Hook(name)}); err != nil {
		rollBack(n, out, fmt.Sprintf("hook %s cannot be called at %s: %v", name, at.stage, err))
	}
}

// again calls a hook once more that has no verdict yet.
func (n *inputs) again(out *decision, h hook) {
	if err := n.call(out, h); err != nil {
		n.finish(out, h, fleet.HookFailed, err.Error())
	}
}

func (n *inputs) call(out *decision, h hook) error {
	d, r := n.deployment, h.run
	c := fleet.BeginHook{
		ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: r.ID, Hook: r.Hook, Stage: r.Stage, Undo: r.Undo,
	}
	switch {
	case h.config != nil && h.config.Pause:
	case h.config != nil && h.config.Task != nil:
		task, err := n.callTask(h)
		if err != nil {
			return err
		}
		c.Task = task
	default:
		effect, err := n.callEffect(h)
		if err != nil {
			return err
		}
		if len(effect.Input) > fleet.MaxEffectInput {
			return fmt.Errorf("what it is asked has %d bytes, at most %d are carried", len(effect.Input), fleet.MaxEffectInput)
		}
		c.Effect = effect
	}
	out.command = c
	return nil
}

// callTask is a task that is told what a webhook is asked.
func (n *inputs) callTask(h hook) (*fleet.RunTasks, error) {
	details, err := n.details(h)
	if err != nil {
		return nil, err
	}
	payload := deployment.NewPayload(n.deployment, h.run, details)
	overrides, err := payload.Overrides()
	if err != nil {
		return nil, err
	}
	return &fleet.RunTasks{TaskDef: h.config.Task.TaskDef, Tasks: []fleet.TaskID{n.newID()},
		StartedBy: startedBy(n.deployment), Overrides: overrides}, nil
}

// callEffect is a call of a webhook, or a probe.
func (n *inputs) callEffect(h hook) (*fleet.IntendEffect, error) {
	if h.config == nil {
		input, err := n.probe()
		return n.effect(h, deployment.KindProbe, input, fleet.MaxEffectTimeout), err
	}
	details, err := n.details(h)
	if err != nil {
		return nil, err
	}
	input, err := deployment.WebhookInput(n.deployment, h.run, *h.config.Webhook, details)
	return n.effect(h, deployment.KindWebhook, input, deployment.CallFor), err
}

func (n *inputs) effect(h hook, kind string, input []byte, timeout time.Duration) *fleet.IntendEffect {
	token := h.run.ID
	return &fleet.IntendEffect{
		ID: fleet.EffectID(n.newID()), EffectKind: kind, Role: fleet.VoterRole(),
		Subject: fleet.ServiceSubject(n.service.Name), Input: input, Token: token[max(0, len(token)-fleet.MaxEffectToken):],
		// It ends with the hook's time, which begins only once it is handed to somebody.
		Deadline: n.now.Add(fleet.MaxEffectLife), TimeoutMs: timeout.Milliseconds(), MaxAttempts: callAttempts,
	}
}

// details are what a hook is given: those of its definition, and over them what it gave
// back in this deployment.
func (n *inputs) details(h hook) ([]byte, error) {
	details := h.config.Details
	for i := range n.deployment.Hooks {
		r := &n.deployment.Hooks[i]
		if r.Hook != h.run.Hook {
			continue
		}
		merged, err := deployment.MergeDetails(details, r.Details)
		if err != nil {
			return nil, fmt.Errorf("details that it gave back: %w", err)
		}
		details = merged
	}
	return details, nil
}

// hearHooks takes in what has become of the calls under way.
func hearHooks(n *inputs, out *decision) {
	for _, h := range n.hooks {
		if n.hear(out, h); out.command != nil {
			return
		}
	}
}

func (n *inputs) hear(out *decision, h hook) {
	r := h.run
	switch {
	case n.timedOut(out, h):
		n.finish(out, h, fleet.HookTimedOut, lateAnswer(r))
	case r.Status == fleet.HookAwaitingAction || r.NextCall > n.now:
	case r.NextCall != 0:
		n.again(out, h)
	case h.config != nil && h.config.Task != nil:
		n.hearTask(out, h)
	case h.effect == nil:
		n.again(out, h) // nobody knows what came of it
	case h.effect.Open():
	case h.effect.Status == fleet.EffectDone:
		n.hearVerdict(out, h)
	default:
		n.askLater(out, h, askAgain, h.effect.Why)
	}
}

// leaderHears is how long a new leader hears answers that came while there was none, before it
// says that there is no answer.
const leaderHears = 10 * time.Second

// timedOut reports whether the time of a hook is over without a verdict. One that nobody was
// asked for has all its time yet, and an answer that is there counts though it was late.
func (n *inputs) timedOut(out *decision, h hook) bool {
	switch {
	case n.now < h.run.ExpiresAt, h.uncalled():
		return false
	case h.answered():
		return h.run.NextCall != 0 // it says that it has no verdict
	case n.leaderAge < leaderHears:
		out.wakes = append(out.wakes, n.now.Add(leaderHears-n.leaderAge))
		return false
	}
	return true
}

// uncalled reports whether the call of a hook was handed to nobody yet.
func (h hook) uncalled() bool {
	return h.run.Calls == 1 && h.run.Task == "" && h.effect != nil && h.effect.Attempt == 0
}

// answered reports whether what came of the call under way is known.
func (h hook) answered() bool {
	if h.run.Task != "" {
		return h.code != nil
	}
	return h.effect != nil && h.effect.Status == fleet.EffectDone
}

func lateAnswer(r *fleet.HookRun) string {
	late := fmt.Sprintf("no verdict by %s", r.ExpiresAt)
	if r.Answer != "" {
		late += ", last: " + r.Answer
	}
	return late
}

func (n *inputs) hearVerdict(out *decision, h hook) {
	v := deployment.ReadVerdict(h.effect.Outcome)
	if h.config == nil {
		v = deployment.ReadProbed(h.effect.Outcome)
	}
	if v.Status == fleet.HookInProgress {
		n.askLater(out, h, seconds(v.CallBackS), v.Answer)
	} else {
		n.finish(out, h, v.Status, v.Answer)
	}
	n.keep(out, h, v.Details)
}

// keep has what a hook gave back be kept for its next call.
func (n *inputs) keep(out *decision, h hook, details []byte) {
	if len(details) == 0 {
		return
	}
	merged, err := deployment.MergeDetails(h.run.Details, details)
	if err != nil {
		n.finish(out, h, fleet.HookFailed, err.Error())
		return
	}
	c := out.command.(fleet.FinishHook)
	c.Details = merged
	out.command = c
}

// askLater has a hook be called again after a while.
func (n *inputs) askLater(out *decision, h hook, after time.Duration, answer string) {
	n.finish(out, h, fleet.HookInProgress, answer)
	c := out.command.(fleet.FinishHook)
	c.NextCall = n.now.Add(after)
	out.command = c
}

// finish writes what has become of a call.
func (n *inputs) finish(out *decision, h hook, status fleet.HookStatus, answer string) {
	d := n.deployment
	out.command = fleet.FinishHook{
		ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: h.run.ID, Status: status, Answer: answer,
	}
}

// hearTask takes in how the task of a hook ended. Its last lines are asked for first; where
// they do not come, the exit code alone is the answer.
func (n *inputs) hearTask(out *decision, h hook) {
	t := h.task
	switch {
	case t != nil && !t.Stopped():
		return
	case t == nil || wasStopped(t) || h.code == nil && lostItsHost(t):
		n.again(out, h) // it said nothing, or nobody knows what: another one says
		return
	case h.code == nil:
		n.finish(out, h, fleet.HookFailed, fmt.Sprintf("task %s: %s", t.ID, t.Reason))
		return
	case h.run.Effect == "":
		n.askTail(out, h)
		return
	case h.effect != nil && h.effect.Open():
		return
	}
	tail, details := "", []byte(nil)
	if h.effect != nil && h.effect.Status == fleet.EffectDone {
		tail, details = deployment.ReadTail(h.effect.Outcome), deployment.TailDetails(h.effect.Outcome)
	}
	status := fleet.HookSucceeded
	if *h.code != 0 {
		status = fleet.HookFailed
	}
	n.finish(out, h, status, deployment.TaskAnswer(*h.code, tail))
	n.keep(out, h, details)
}

// wasStopped reports whether a task was told to stop by something else than people: its
// host was to be emptied, or went away. The exit code is then the answer to a signal.
func wasStopped(t *fleet.Task) bool {
	switch t.StopCode {
	case fleet.StopServiceSchedulerInitiated, fleet.StopSpotInterruption, fleet.StopTerminationNotice,
		fleet.StopInfrastructureHealth:
		return true
	case fleet.StopTaskFailedToStart, fleet.StopEssentialContainerExited, fleet.StopUserInitiated:
	}
	return false
}

// lostItsHost reports whether a task ended without any word on how.
func lostItsHost(t *fleet.Task) bool {
	return t.Unconfirmed || t.StopCode == fleet.StopInfrastructureHealth
}

// askTail asks the task's host for its last lines.
func (n *inputs) askTail(out *decision, h hook) {
	input, err := deployment.LogTailInput(deployment.LogTail{Task: h.task.ID})
	if err != nil {
		n.finish(out, h, fleet.HookFailed, err.Error())
		return
	}
	effect := n.effect(h, deployment.KindLogTail, input, tailTimeout)
	effect.Role, effect.MaxAttempts = fleet.HostRole(h.task.Host), 1
	effect.Deadline = min(effect.Deadline, n.now.Add(2*tailTimeout))
	d, r := n.deployment, h.run
	out.command = fleet.BeginHook{
		ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: r.ID, Hook: r.Hook, Stage: r.Stage, Undo: r.Undo, Effect: effect,
	}
}

// exitCode is the exit code of a task's first essential container; nil where nobody knows.
func exitCode(t *fleet.Task, def *fleet.TaskDef) *int {
	for _, c := range def.Containers {
		if c.NotEssential {
			continue
		}
		for _, exit := range t.Exits {
			if exit.Container == c.Name {
				return exit.Code
			}
		}
		return nil
	}
	return nil
}
