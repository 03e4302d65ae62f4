package fleet

import (
	"fmt"
	"slices"
)

// AdvanceDeployment takes a deployment to its next stage and step (see Deployment.Next),
// or raises weights in the present one, and writes the weights into the rules that it
// holds. The first one begins a deployment that is pending.
//
// Refused when it is paused or goes back; when the stage is not the next; when a hook of
// the present stage has not let it go on, a shift is not served by all hosts yet, or a
// wait is not over, or too few tasks of the target are healthy for clean-up (ErrTooEarly;
// see State.MayCleanUp). Weights never fall, change only at the two stages that
// shift, Production up to the step's share, and only as far as tasks of the target are
// healthy: their number against the service's desired count (ErrTooEarly).
type AdvanceDeployment struct {
	ID                  DeploymentID   `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64         `cbor:"2,keyasint"`
	Stage               LifecycleStage `cbor:"3,keyasint"`
	Step                int            `cbor:"4,keyasint,omitempty"`
	Production          int            `cbor:"5,keyasint,omitempty"` // basis points of the target from now on
	Test                int            `cbor:"6,keyasint,omitempty"`
	// Why is what is said of the stage that ends, where there is more to say than that it
	// was passed: "there is no test rule".
	Why string `cbor:"7,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (AdvanceDeployment) Kind() Kind { return KindAdvanceDeployment }

func (c AdvanceDeployment) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "advance")
	if err != nil {
		return nil, err
	}
	moves := c.Stage != d.Stage || c.Step != d.Step
	if err := first(c.timely(s, x.now, d, moves), c.weigh(s, d, moves)); err != nil {
		return nil, err
	}
	c.Why = tidy(c.Why, MaxReason)
	n := *d
	if n.Status == DeploymentPending {
		n.Status, n.StartedAt = DeploymentInProgress, x.now
	}
	if moves {
		if d.Stage == StageScaleUp && d.Config.Strategy.Shifts() {
			n.Breaker = BreakerState{} // all were healthy: what failed before ends no row of failures
		}
		n.enter(c.Stage, c.Step, c.Why, x.now)
	}
	s.shift(x, &n, c.Production, c.Test)
	s.putDeployment(x, n)
	if moves || c.Production != d.Production || c.Test != d.Test {
		s.recordEvent(x, c.event(d, &n))
	}
	return nil, nil
}

// timely refuses what comes too early, or is no successor.
func (c AdvanceDeployment) timely(s *State, now Time, d *Deployment, moves bool) error {
	switch {
	case d.Status == DeploymentRollingBack:
		return refuse(ErrConflict, "advance deployment %s: it goes back", d.ID)
	case d.Pause != nil:
		return refuse(ErrConflict, "advance deployment %s: %s paused it", d.ID, d.Pause.By)
	case !moves:
		return nil
	}
	stage, step, ok := d.Next()
	if !ok || c.Stage != stage || c.Step != step {
		return refuse(ErrConflict, "advance deployment %s: from %s, step %d, to %s, step %d", d.ID, d.Stage, d.Step, c.Stage,
			c.Step)
	}
	if waits := d.WaitsFor(); len(waits) > 0 {
		return refuse(ErrTooEarly, "advance deployment %s: %s waits for hooks %q", d.ID, d.Stage, waits)
	}
	if until := d.WaitsUntil(); until > now {
		return refuse(ErrTooEarly, "advance deployment %s: %s waits until %s", d.ID, d.Stage, until)
	}
	if c.Stage == StageCleanUp && !s.MayCleanUp(d, now) {
		return refuse(ErrTooEarly, "advance deployment %s: %d tasks of %s are healthy, too few to clean up", d.ID,
			s.Counts(d.Service, d.Target).Serving, d.Target)
	}
	return s.shifted(d)
}

// shifted refuses to leave a stage whose shift is not done.
func (s *State) shifted(d *Deployment) error {
	switch d.Stage {
	case StageTestTrafficShift:
		if d.Test < TotalWeight && s.hasTestRule(d) {
			return refuse(ErrTooEarly, "advance deployment %s: test traffic is %s", d.ID, share(d.Test))
		}
	case StageProductionTrafficShift:
		if d.Production < d.Config.StepTo(d.Step) {
			return refuse(ErrTooEarly, "advance deployment %s: production is %s, and %s in step %d", d.ID,
				share(d.Production), share(d.Config.StepTo(d.Step)), d.Step)
		}
	default:
		return nil
	}
	if d.ShiftedAt == 0 {
		return refuse(ErrTooEarly, "advance deployment %s: not every host is known to serve its weights", d.ID)
	}
	return nil
}

// hasTestRule reports whether there is test traffic to shift.
func (s *State) hasTestRule(d *Deployment) bool {
	return slices.ContainsFunc(s.pairs(s.Service(d.Service), d), func(p pair) bool { return p.lb.TestRule != "" })
}

// weigh refuses weights that the stage does not have, or that too few tasks could bear.
func (c AdvanceDeployment) weigh(s *State, d *Deployment, moves bool) error {
	n := Deployment{Config: d.Config, Step: c.Step, Promote: d.Promote}
	most := d.Production
	if c.Stage == StageProductionTrafficShift {
		most = max(most, n.Goal())
	}
	mostTest := d.Test
	if c.Stage == StageTestTrafficShift {
		mostTest = TotalWeight
	}
	if err := first(
		checkRange("production", c.Production, d.Production, most),
		checkRange("test", c.Test, d.Test, mostTest),
	); err != nil {
		return err
	}
	if !moves && c.Production == d.Production && c.Test == d.Test {
		return nil
	}
	if c.Production > d.Production {
		return s.bears(d, c.Production)
	}
	if c.Test > d.Test {
		return s.bears(d, c.Test)
	}
	return nil
}

// bears refuses a share of traffic that is more than the healthy tasks of the target are
// of those that the service wants. Before the first production traffic all of them are needed.
func (s *State) bears(d *Deployment, points int) error {
	need := s.Service(d.Service).Desired
	if d.Production > 0 {
		need = (need*points + TotalWeight - 1) / TotalWeight
	}
	if healthy := s.Counts(d.Service, d.Target).Serving; healthy < need {
		return refuse(ErrTooEarly, "advance deployment %s: %s of traffic needs %d healthy tasks of %s, and %d are", d.ID,
			share(points), need, d.Target, healthy)
	}
	return nil
}

func (c AdvanceDeployment) event(d, n *Deployment) Event {
	e := Event{Code: "deployment-advanced", Subject: ServiceSubject(n.Service),
		Message: fmt.Sprintf("%s: %s", n.ID, n.Stage)}
	switch {
	case n.Production != d.Production:
		e.Message = fmt.Sprintf("%s: production %s to %s%s", n.ID, share(n.Production), n.Target, n.ofSteps())
	case n.Test != d.Test:
		e.Message = fmt.Sprintf("%s: test traffic %s to %s", n.ID, share(n.Test), n.Target)
	case n.Stage == StagePreProductionTrafficShift:
		e.Message += n.ofSteps()
	}
	if c.Why != "" {
		e.Message = fmt.Sprintf("%s (%s: %s)", e.Message, d.Stage, c.Why)
	}
	return e
}

// ofSteps is " (step 1 of 2)" where there are several.
func (d *Deployment) ofSteps() string {
	if d.Config.Steps() < 2 {
		return ""
	}
	return fmt.Sprintf(" (step %d of %d)", d.Step, max(d.Step, d.Config.Steps()))
}

// enter closes the record of the present stage and opens the next.
func (d *Deployment) enter(stage LifecycleStage, step int, why string, now Time) {
	d.leave(why, now)
	d.Stage, d.Step, d.StageSince = stage, step, now
	d.Stages = append(d.Stages, StageRecord{Stage: stage, Step: d.HookStep(stage), BeganAt: now})
}

// leave closes the record of the present stage.
func (d *Deployment) leave(why string, now Time) {
	d.Stages = append([]StageRecord(nil), d.Stages...)
	if last := len(d.Stages) - 1; last >= 0 && d.Stages[last].EndedAt == 0 {
		d.Stages[last].EndedAt, d.Stages[last].Why = now, clip(why, MaxReason)
	}
}

// expectedDeployment is a live deployment that a command may change, where it has not
// moved.
func (s *State) expectedDeployment(id DeploymentID, expected uint64, verb string) (*Deployment, error) {
	d, err := s.liveDeployment(id, verb)
	if err != nil {
		return nil, err
	}
	if d.ModifyIndex != expected {
		return nil, refuse(ErrMoved, "%s deployment %s: it is at %d, not %d", verb, id, d.ModifyIndex, expected)
	}
	return d, nil
}

// liveDeployment is a deployment that has not ended.
func (s *State) liveDeployment(id DeploymentID, verb string) (*Deployment, error) {
	d := s.Deployment(id)
	if d == nil {
		return nil, refuse(ErrNotFound, "%s deployment %s", verb, quoted(string(id)))
	}
	if !d.Live() {
		return nil, refuse(ErrConflict, "%s deployment %s: it is %s", verb, id, d.Status)
	}
	return d, nil
}
