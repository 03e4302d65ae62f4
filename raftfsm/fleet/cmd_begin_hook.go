package fleet

import (
	"fmt"
	"slices"
)

// BeginHook calls a hook of a deployment: it notes the call, and intends the effect or
// runs the task that carries it out, or does none of it. Run is Deployment.NextRun for a
// first call, or the id of a call without a verdict that is to be called again. Of a
// pause there is neither effect nor task.
//
// Refused when the hook is not called at that stage, or was called there already; when
// the deployment is elsewhere; and, called again, before NextCall (ErrTooEarly) or while
// what carries it out has not ended.
type BeginHook struct {
	ID                  DeploymentID   `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64         `cbor:"2,keyasint"`
	Run                 string         `cbor:"3,keyasint"`
	Hook                string         `cbor:"4,keyasint"`
	Stage               LifecycleStage `cbor:"5,keyasint"` // the deployment's, or a point
	// Undo calls a hook of a stage that shifts once more, since traffic went back.
	Undo   bool          `cbor:"6,keyasint,omitempty"`
	Effect *IntendEffect `cbor:"7,keyasint,omitempty"`
	Task   *RunTasks     `cbor:"8,keyasint,omitempty"` // one task
}

// Kind is the command's number in the log.
func (BeginHook) Kind() Kind { return KindBeginHook }

func (c BeginHook) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "call a hook of")
	if err != nil {
		return nil, err
	}
	if err := first(c.placed(d), c.carried(d)); err != nil {
		return nil, err
	}
	n := *d
	n.Hooks = slices.Clone(d.Hooks)
	at := n.hookRun(c.Run)
	if at < 0 {
		if err := c.fresh(d); err != nil {
			return nil, err
		}
		n.Hooks = append(n.Hooks, c.run(d, x.now))
		at = len(n.Hooks) - 1
	} else if err := c.again(s, &n.Hooks[at], x.now); err != nil {
		return nil, err
	}
	run := &n.Hooks[at]
	if err := c.carryOut(s, x, run); err != nil {
		return nil, err
	}
	s.putDeployment(x, n)
	if run.Calls <= 1 {
		s.recordEvent(x, Event{Code: "hook-began", Subject: ServiceSubject(n.Service),
			Message: fmt.Sprintf("%s: hook %s at %s: %s (%s)", n.ID, run.Hook, run.Stage, run.Status, run.ID)})
	}
	return []string{c.Run}, nil
}

// placed refuses a hook that is not called there.
func (c BeginHook) placed(d *Deployment) error {
	if !slices.Contains(d.Config.HooksAt(c.Stage), c.Hook) {
		return refuse(ErrNotFound, "deployment %s: hook %s at %s", d.ID, quoted(c.Hook), c.Stage)
	}
	back := d.Status == DeploymentRollingBack
	switch {
	case c.Undo:
		if !back || c.Stage != StageTestTrafficShift && c.Stage != StageProductionTrafficShift {
			return refuse(ErrConflict, "deployment %s: it is %s, no shift is undone at %s", d.ID, d.Status, c.Stage)
		}
	case c.Stage == PointRollbackStarted || c.Stage == PointRollbackEnded:
		if !back {
			return refuse(ErrConflict, "deployment %s: it is %s, and does not go back", d.ID, d.Status)
		}
	case back || d.Status != DeploymentInProgress || c.Stage != d.Stage:
		return refuse(ErrConflict, "deployment %s: it is %s at %s, not at %s", d.ID, d.Status, d.Stage, c.Stage)
	}
	return nil
}

// carried refuses what does not carry out the hook.
func (c BeginHook) carried(d *Deployment) error {
	hook := d.Config.Hook(c.Hook) // nil for the probe
	known := d.HookRun(c.Run)
	switch {
	case c.Effect != nil && c.Task != nil:
		return field("task", "is given beside an effect: one of them carries the hook out")
	case hook != nil && hook.Pause:
		if c.Effect != nil || c.Task != nil {
			return field("effect", "is given: a pause waits for a person")
		}
	case hook != nil && hook.Task != nil:
		if c.Task == nil && (c.Effect == nil || known == nil) {
			return field("task", "is missing: hook %s is a task", hook.Name)
		}
		if c.Task != nil && (len(c.Task.Tasks) != 1 || c.Task.TaskDef != hook.Task.TaskDef) {
			return field("task", "is not one task of %s", hook.Task.TaskDef)
		}
	case c.Effect == nil:
		return field("effect", "is missing: it carries the hook out")
	}
	return nil
}

// fresh refuses a first call that was made already, or is not of the next id.
func (c BeginHook) fresh(d *Deployment) error {
	if r := d.RunOf(c.Hook, c.Stage, d.HookStep(c.Stage), c.Undo); r != nil {
		return refuse(ErrExists, "deployment %s: hook %s was called at %s: %s", d.ID, c.Hook, c.Stage, r.ID)
	}
	if c.Run != d.NextRun() {
		return field("run", "is %s: the next is %s", quoted(c.Run), d.NextRun())
	}
	if len(d.Hooks) >= 2*MaxHookRuns {
		return refuse(ErrLimit, "deployment %s: %d calls of hooks", d.ID, len(d.Hooks))
	}
	return nil
}

func (c BeginHook) run(d *Deployment, now Time) HookRun {
	r := HookRun{ID: c.Run, Hook: c.Hook, Stage: c.Stage, Step: d.HookStep(c.Stage), Undo: c.Undo, Status: HookInProgress,
		BeganAt: now, ExpiresAt: now.Add(d.Config.hookTime(c.Hook))}
	hook := d.Config.Hook(c.Hook)
	if hook == nil {
		return r
	}
	if hook.Pause {
		r.Status = HookAwaitingAction
	}
	r.Details = d.detailsOf(c.Hook)
	return r
}

// detailsOf are what a hook gave back last in this deployment.
func (d *Deployment) detailsOf(hook string) []byte {
	for i := len(d.Hooks) - 1; i >= 0; i-- {
		if d.Hooks[i].Hook == hook && d.Hooks[i].Details != nil {
			return d.Hooks[i].Details
		}
	}
	return nil
}

// again refuses to call once more what has a verdict, or is under way.
func (c BeginHook) again(s *State, r *HookRun, now Time) error {
	if r.Hook != c.Hook || r.Stage != c.Stage || r.Undo != c.Undo {
		return field("run", "%s is of hook %s at %s", quoted(c.Run), r.Hook, r.Stage)
	}
	if !r.Open() || r.Status == HookAwaitingAction {
		return refuse(ErrConflict, "call %s of hook %s: it is %s", r.ID, r.Hook, r.Status)
	}
	if now < r.NextCall {
		return refuse(ErrTooEarly, "call %s of hook %s: it asked for %s", r.ID, r.Hook, r.NextCall)
	}
	if e := s.Effect(r.Effect); e != nil && e.Open() {
		return refuse(ErrConflict, "call %s of hook %s: effect %s is %s", r.ID, r.Hook, e.ID, e.Status)
	}
	if t := s.Task(r.Task); t != nil && !t.Stopped() {
		return refuse(ErrConflict, "call %s of hook %s: task %s is %s", r.ID, r.Hook, t.ID, t.Last)
	}
	return nil
}

// carryOut intends the effect, or runs the task. An effect of a call that has a task
// asks about that task, and is no call.
func (c BeginHook) carryOut(s *State, x *applyContext, r *HookRun) error {
	quiet := &applyContext{index: x.index, now: x.now, item: &Item{By: x.item.By}, out: x.out}
	switch {
	case c.Task != nil:
		if err := c.Task.run(s, quiet); err != nil {
			return err
		}
		r.Task = c.Task.Tasks[0]
		r.Calls++
	case c.Effect != nil:
		if _, err := c.Effect.apply(s, quiet); err != nil {
			return err
		}
		r.Effect = c.Effect.ID
		if r.Task == "" {
			r.Calls++
		}
	}
	r.NextCall = 0
	return nil
}
