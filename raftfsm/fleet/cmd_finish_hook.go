package fleet

import (
	"fmt"
	"slices"
	"strings"
)

// FinishHook says what a call of a hook came to. IN_PROGRESS with NextCall says that it
// asked to be called again; anything else is final, and counts once. What still carries
// it out is given up.
//
// Refused when the call has a verdict, and for TIMED_OUT before its time is over
// (ErrTooEarly). A call that awaits a person is answered by OrderDeployment, or times out.
type FinishHook struct {
	ID                  DeploymentID `cbor:"1,keyasint"`
	ExpectedModifyIndex uint64       `cbor:"2,keyasint"`
	Run                 string       `cbor:"3,keyasint"`
	Status              HookStatus   `cbor:"4,keyasint"`
	NextCall            Time         `cbor:"5,keyasint,omitempty"`
	// Details are what it gave back, for its next call; nil: those of before stand.
	Details []byte `cbor:"6,keyasint,omitempty"`
	Answer  string `cbor:"7,keyasint,omitempty"` // for people
}

// Kind is the command's number in the log.
func (FinishHook) Kind() Kind { return KindFinishHook }

func (c FinishHook) apply(s *State, x *applyContext) ([]string, error) {
	d, err := s.expectedDeployment(c.ID, c.ExpectedModifyIndex, "finish a hook of")
	if err != nil {
		return nil, err
	}
	at := d.hookRun(c.Run)
	if at < 0 {
		return nil, refuse(ErrNotFound, "deployment %s: call %s", d.ID, quoted(c.Run))
	}
	if err := c.check(&d.Hooks[at], x.now); err != nil {
		return nil, err
	}
	n := *d
	n.Hooks = slices.Clone(d.Hooks)
	r := &n.Hooks[at]
	if c.Details != nil {
		r.Details = c.Details
	}
	r.Answer = tidy(c.Answer, MaxReason)
	if c.Status == HookInProgress {
		r.NextCall = c.NextCall
		s.putDeployment(x, n)
		return nil, nil
	}
	s.endRun(x, r, c.Status)
	s.putDeployment(x, n)
	s.recordEvent(x, hookEvent(&n, r))
	return nil, nil
}

func (c FinishHook) check(r *HookRun, now Time) error {
	if !r.Open() {
		return refuse(ErrConflict, "call %s of hook %s: it is %s", r.ID, r.Hook, r.Status)
	}
	if len(c.Details) > MaxHookDetails {
		return field("details", "is %d bytes long: at most %d are allowed", len(c.Details), MaxHookDetails)
	}
	switch c.Status {
	case HookInProgress:
		if r.Status == HookAwaitingAction {
			return refuse(ErrConflict, "call %s of hook %s: it waits for a person", r.ID, r.Hook)
		}
		return checkRange("nextCall", int64(c.NextCall), int64(now), int64(maxTime))
	case HookSucceeded, HookFailed:
		if r.Status == HookAwaitingAction {
			return refuse(ErrConflict, "call %s of hook %s: it waits for a person", r.ID, r.Hook)
		}
	case HookTimedOut:
		if now < r.ExpiresAt {
			return refuse(ErrTooEarly, "call %s of hook %s: it has time until %s", r.ID, r.Hook, r.ExpiresAt)
		}
	default:
		return field("status", "is %s: no verdict", c.Status)
	}
	return nil
}

func hookEvent(d *Deployment, r *HookRun) Event {
	message := fmt.Sprintf("%s: hook %s at %s: %s", d.ID, r.Hook, r.Stage, r.Status)
	if r.Answer != "" {
		message += ": " + r.Answer
	}
	code := "hook-" + strings.ReplaceAll(strings.ToLower(r.Status.String()), "_", "-")
	return Event{Code: code, Subject: ServiceSubject(d.Service), Message: message}
}

// endRun ends a call, and what still carries it out.
func (s *State) endRun(x *applyContext, r *HookRun, status HookStatus) {
	r.Status, r.EndedAt, r.NextCall = status, x.now, 0
	if old := s.Effect(r.Effect); old != nil && old.Open() {
		e := *old
		e.Why = "its deployment does not wait for it any more"
		e.end(EffectWithdrawn, x.now)
		s.putEffect(x, e)
	}
	if old := s.Task(r.Task); old != nil && old.Desired == TaskRunning {
		t := *old
		t.stopFor(CauseRollout.StopCode(), &Request{Cause: CauseRollout, By: clip(x.item.By, MaxID), At: x.now}, x.now)
		t.Reason = "its deployment does not wait for it any more"
		if t.Host == "" {
			t.Last, t.StoppedAt = TaskStopped, x.now
		}
		s.putTask(x, t)
	}
}

// endRuns ends all calls without a verdict, which nobody waits for any more.
func (s *State) endRuns(x *applyContext, d *Deployment, why string) {
	d.Hooks = slices.Clone(d.Hooks)
	for i := range d.Hooks {
		if r := &d.Hooks[i]; r.Open() {
			r.Answer = tidy("not waited for: "+why, MaxReason)
			s.endRun(x, r, HookFailed)
		}
	}
}
