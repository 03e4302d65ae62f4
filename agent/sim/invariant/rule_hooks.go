package invariant

import (
	"fmt"
	"slices"

	"skein/raftfsm/fleet"
)

// hookPlace is where a hook is called, once.
type hookPlace struct {
	hook  string
	stage fleet.LifecycleStage
	step  int
	undo  bool
}

// hookCall is a call of a hook; status is its verdict, 0 while there is none.
type hookCall struct {
	place  hookPlace
	status fleet.HookStatus
	effect fleet.EffectID // the newest that carries it out
	task   fleet.TaskID
}

// hooksLet says that each hook of the stage that ends has let it.
func (c *Checker) hooksLet(d *deployment) {
	for _, name := range d.hooksAt(d.stage) {
		call := d.calls[d.called[hookPlace{name, d.stage, d.stepAt(d.stage), false}]]
		config := d.hook(name)
		let := call != nil && (call.status == fleet.HookSucceeded ||
			call.status == fleet.HookTimedOut && config != nil && config.ContinueOnTimeout)
		c.hold(hooksFirst, let, func() string {
			return fmt.Sprintf("%s leaves %s, step %d, and hook %s has not let it: %+v", d.id, d.stage, d.step, name, call)
		})
	}
}

func (d *deployment) hook(name string) *fleet.Hook {
	for i := range d.config.Hooks {
		if d.config.Hooks[i].Name == name {
			return &d.config.Hooks[i]
		}
	}
	return nil
}

func (d *deployment) hooksAt(stage fleet.LifecycleStage) (names []string) {
	for i := range d.config.Hooks {
		if slices.Contains(d.config.Hooks[i].Stages, stage) {
			names = append(names, d.config.Hooks[i].Name)
		}
	}
	if d.config.Probe != nil && stage == fleet.StagePostTestTrafficShift {
		names = append(names, fleet.ProbeHook)
	}
	return names
}

// stepAt is the step that calls of hooks at a stage have.
func (d *deployment) stepAt(stage fleet.LifecycleStage) int {
	if stage == fleet.StagePreProductionTrafficShift || stage == fleet.StageProductionTrafficShift {
		return d.step
	}
	return 0
}

// callsHook judges a call of a hook: at one stage and step a hook is called under one id, and
// not at all once it has a verdict, under any leader.
func (c *Checker) callsHook(cmd fleet.BeginHook) {
	d := c.liveDeployment(cmd.ID, "calls a hook of")
	if d == nil {
		return
	}
	place := hookPlace{cmd.Hook, cmd.Stage, d.stepAt(cmd.Stage), cmd.Undo}
	known, was := d.called[place]
	call := d.calls[cmd.Run]
	c.hold(
		hooksOnce,
		(!was || known == cmd.Run) && (call == nil || call.status == 0 && call.place == place),
		func() string {
			return fmt.Sprintf(
				"%s calls hook %s at %s as %s; it was called as %q: %+v",
				d.id,
				cmd.Hook,
				cmd.Stage,
				cmd.Run,
				known,
				call,
			)
		},
	)
	if call == nil {
		call = &hookCall{place: place}
		d.calls[cmd.Run], d.called[place] = call, cmd.Run
	}
	if cmd.Effect != nil {
		call.effect = cmd.Effect.ID
	}
	if cmd.Task != nil {
		call.task, call.effect = cmd.Task.Tasks[0], ""
	}
}

// answered says that a hook succeeds by what carries it out, not before that has ended.
func (c *Checker) answered(d *deployment, cmd fleet.FinishHook) {
	call := d.calls[cmd.Run]
	if call == nil || cmd.Status != fleet.HookSucceeded {
		return
	}
	e, t := c.model.effects[call.effect], c.model.tasks[call.task]
	over := call.task == "" && e != nil && e.ended || t != nil && t.last == fleet.TaskStopped
	c.hold(verdictsAreAnswers, over, func() string {
		return fmt.Sprintf("call %s of %s is said to have succeeded: effect %+v, task %+v", cmd.Run, d.id, e, t)
	})
}

// verdict takes in what a call came to; a second verdict is none.
func (c *Checker) verdict(d *deployment, run string, status fleet.HookStatus) {
	call := d.calls[run]
	c.hold(hooksOnce, call != nil && call.status == 0, func() string {
		return fmt.Sprintf("call %s of %s is %s, and was %+v", run, d.id, status, call)
	})
	if call != nil && status > fleet.HookAwaitingAction {
		call.status = status
	}
}
