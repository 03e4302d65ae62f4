package fleet

import (
	"cmp"
	"fmt"
	"slices"
)

// OrderDeployment is what people ask of a live deployment. With OrderContinue, Run names
// a call of a hook that awaits a person, whose verdict is success, or failure where
// GoBack is set: then the deployment goes back too. Without Run it ends a pause.
//
// Refused where it makes no difference: nothing is paused or awaits, the deployment goes
// back, or cleans up.
type OrderDeployment struct {
	ID     DeploymentID    `cbor:"1,keyasint"`
	Order  DeploymentOrder `cbor:"2,keyasint"`
	Run    string          `cbor:"3,keyasint,omitempty"`
	GoBack bool            `cbor:"4,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (OrderDeployment) Kind() Kind { return KindOrderDeployment }

func (c OrderDeployment) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.liveDeployment(c.ID, c.Order.String())
	if err != nil {
		return nil, err
	}
	if c.Order != OrderContinue && (c.Run != "" || c.GoBack) {
		return nil, field("run", "is of the order %s", OrderContinue)
	}
	by := cmp.Or(clip(x.item.By, MaxID), "operator")
	n := *d
	switch c.Order {
	case OrderPause:
		err = c.pause(s, x, &n, by)
	case OrderContinue:
		err = c.resume(s, x, &n, by)
	case OrderPromote:
		err = c.promote(s, x, &n, by)
	case OrderRollback:
		err = s.rollBack(x, d, "by "+by)
	case OrderStop:
		err = c.stop(s, x, &n, by)
	default:
		err = field("order", "is %s: allowed are %q", c.Order, []string(deploymentOrderNames[1:]))
	}
	return nil, err
}

// forward refuses an order that only a deployment which goes forward can obey.
func (c OrderDeployment) forward(d *Deployment) error {
	if d.Status == DeploymentRollingBack {
		return refuse(ErrConflict, "%s deployment %s: it goes back", c.Order, d.ID)
	}
	if d.Stage == StageCleanUp {
		return refuse(ErrConflict, "%s deployment %s: it is cleaning up, %s has all traffic", c.Order, d.ID, d.Target)
	}
	return nil
}

func (c OrderDeployment) pause(s *State, x *applyContext, d *Deployment, by string) error {
	if err := c.forward(d); err != nil {
		return err
	}
	if d.Pause != nil {
		return refuse(ErrConflict, "pause deployment %s: %s paused it", d.ID, d.Pause.By)
	}
	d.Pause = &Pause{By: by, At: x.now}
	s.putDeployment(x, *d)
	s.recordOrder(x, d, "paused by "+by)
	return nil
}

func (c OrderDeployment) resume(s *State, x *applyContext, d *Deployment, by string) error {
	if c.Run != "" {
		return c.answer(s, x, d, by)
	}
	if c.GoBack {
		return field("run", "is missing: the answer is to a hook")
	}
	if d.Pause == nil {
		return refuse(ErrConflict, "continue deployment %s: it is not paused", d.ID)
	}
	d.Pause, d.ResumedAt = nil, x.now
	s.putDeployment(x, *d)
	s.recordOrder(x, d, "continued by "+by)
	return nil
}

// answer is a person's verdict on a hook that awaits it.
func (c OrderDeployment) answer(s *State, x *applyContext, d *Deployment, by string) error {
	at := d.hookRun(c.Run)
	if at < 0 {
		return refuse(ErrNotFound, "deployment %s: call %s", d.ID, quoted(c.Run))
	}
	if is := d.Hooks[at].Status; is != HookAwaitingAction {
		return refuse(ErrConflict, "continue call %s: it is %s", c.Run, is)
	}
	d.Hooks = slices.Clone(d.Hooks)
	r := &d.Hooks[at]
	r.Answer = "by " + by
	if !c.GoBack {
		s.endRun(x, r, HookSucceeded)
		d.ResumedAt = x.now
		s.putDeployment(x, *d)
		s.recordEvent(x, hookEvent(d, r))
		return nil
	}
	s.endRun(x, r, HookFailed)
	return s.rollBack(x, d, fmt.Sprintf("hook %s at %s: refused by %s", r.Hook, r.Stage, by))
}

func (c OrderDeployment) promote(s *State, x *applyContext, d *Deployment, by string) error {
	if err := c.forward(d); err != nil {
		return err
	}
	if d.Promote {
		return refuse(ErrConflict, "promote deployment %s: it was promoted", d.ID)
	}
	d.Promote = true
	s.putDeployment(x, *d)
	s.recordOrder(x, d, "promoted by "+by)
	return nil
}

func (c OrderDeployment) stop(s *State, x *applyContext, d *Deployment, by string) error {
	if d.Status != DeploymentRollingBack {
		if err := c.forward(d); err != nil {
			return err
		}
	}
	s.stopDeployment(x, d, "stopped by "+by)
	s.recordEvent(x, endEvent(d))
	return nil
}

func (s *State) recordOrder(x *applyContext, d *Deployment, what string) {
	s.recordEvent(x, Event{Code: "deployment-ordered", Subject: ServiceSubject(d.Service),
		Message: fmt.Sprintf("%s: %s", d.ID, what)})
}
