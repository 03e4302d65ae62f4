package deploy

import (
	"fmt"
	"time"

	"skein/raftfsm/fleet"
)

// decision is what is done about a deployment in one pass. Of commands that name the row's
// ModifyIndex there is at most one, since it moves the row: what else is to be done follows
// in the next pass, which that command causes.
type decision struct {
	command fleet.Command
	stalls  bool         // it ends with the target as what the service is of: no task of it starts any more
	waits   *wait        // what for; nil: for nothing, or nothing to say
	wakes   []fleet.Time // that State.Due does not know of
}

// wait says why a deployment does not go on.
type wait struct {
	code, message string
	counts        bool       // the message has numbers that move
	after         fleet.Time // it is not said before: most such waits are over sooner
}

func waits(code, format string, args ...any) *wait {
	return &wait{code: code, message: fmt.Sprintf(format, args...)}
}

// decide looks at what has come in, at whether the deployment has failed, and at last at
// whether its stage is over; the first that has a command is the decision.
func decide(n *inputs) decision {
	var d decision
	for _, look := range [...]func(*inputs, *decision){start, hearHooks, hearAlarms, fail, noteShift, goOn} {
		if look(n, &d); d.command != nil {
			break
		}
	}
	return d
}

// start takes up a deployment that nobody has.
func start(n *inputs, out *decision) {
	if n.deployment.Status == fleet.DeploymentPending && n.deployment.Pause == nil {
		n.advance(out, "")
	}
}

// noteShift notes that every host serves the weights: waits count from then.
func noteShift(n *inputs, out *decision) {
	d := n.deployment
	if d.ShiftedAt != 0 || d.WeightsIndex != 0 && !n.served {
		return
	}
	if d.WeightsIndex != 0 || d.Status == fleet.DeploymentInProgress && shifting(d.Stage) {
		out.command = fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Shifted: true,
			WeightsIndex: d.WeightsIndex}
	}
}

func shifting(stage fleet.LifecycleStage) bool {
	return stage == fleet.StageTestTrafficShift || stage == fleet.StageProductionTrafficShift
}

// goOn ends the stage if all is done that belongs to it, or says what it waits for.
func goOn(n *inputs, out *decision) {
	d := n.deployment
	if d.Status == fleet.DeploymentRollingBack {
		goBack(n, out)
		return
	}
	if d.Pause != nil {
		at := "before it began"
		if d.Stage != 0 {
			at = "in " + d.Stage.String()
		}
		out.waits = waits(codePerson, "%s is paused by %s %s: skein deployment continue %s", d.ID, by(d.Pause.By), at, d.ID)
		return
	}
	s := stages[d.Stage]
	if s.begin != nil {
		if out.waits = s.begin(n); out.waits != nil {
			return
		}
	}
	if !n.callHooks(out, position{d.Stage, d.HookStep(d.Stage), false}) {
		return
	}
	why := ""
	if len(d.Config.HooksAt(d.Stage)) == 0 {
		why = "nothing to do"
	}
	if s.end != nil {
		if why, out.waits = s.end(n); out.waits != nil {
			return
		}
	}
	if d.Stage == fleet.StageCleanUp {
		out.command = fleet.FinishDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex,
			Status: fleet.DeploymentSuccessful, Reason: why + unjudged(d)}
		return
	}
	n.advance(out, why)
}

// advance leads the deployment into the next stage or step, where its tasks can bear the
// weights that it has there.
func (n *inputs) advance(out *decision, why string) {
	d := *n.deployment
	stage, step, ok := d.Next()
	if !ok {
		return
	}
	command := fleet.AdvanceDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Stage: stage, Step: step,
		Production: d.Production, Test: d.Test, Why: why}
	d.Step = step
	if stage == fleet.StageTestTrafficShift {
		command.Test = fleet.TotalWeight
	}
	if stage == fleet.StageProductionTrafficShift {
		command.Production = d.Goal()
	}
	if out.waits = n.bears(command.Production, command.Test); out.waits != nil {
		return
	}
	out.command = command
}

// bears says what is missing before the target may have shares of traffic: all of its
// tasks before the first, and then as many healthy ones as its share asks for. What it has
// it keeps.
func (n *inputs) bears(production, test int) *wait {
	d := n.deployment
	if production <= d.Production && test <= d.Test {
		return nil
	}
	need := n.service.Desired
	if d.Production > 0 {
		need = (n.service.Desired*production + fleet.TotalWeight - 1) / fleet.TotalWeight
	}
	if n.target.Serving >= need {
		return nil
	}
	return n.waitsForTasks(n.target, need, ", all before it has traffic")
}

func (n *inputs) waitsForTasks(r revision, need int, what string) *wait {
	w := waits(codeTasks, "%s: %d of %d tasks of %s are healthy%s", n.deployment.ID, r.Serving, need, r.id, what)
	w.counts = true
	return w
}

func by(who string) string {
	if who == "" {
		return "an operator"
	}
	return who
}

func seconds(s int) time.Duration { return time.Duration(s) * time.Second }
