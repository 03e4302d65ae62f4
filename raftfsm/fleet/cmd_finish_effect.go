package fleet

import "fmt"

// FinishEffect says what is known of an attempt. Refused when the effect has ended or
// another attempt is the newest, so that an outcome counts once.
//
// After VerdictRetry, VerdictNotBegun and VerdictUnknown another attempt follows after
// a back-off, or the effect has failed when there were MaxAttempts tries. An attempt
// is unknown only once its time and EffectGrace are over, or its runner's session is
// another (ErrTooEarly): two attempts never run side by side by intent. VerdictExpired
// is refused before the deadline, and while an attempt may be under way.
type FinishEffect struct {
	ID      EffectID      `cbor:"1,keyasint"`
	Attempt int           `cbor:"2,keyasint"`
	Verdict EffectVerdict `cbor:"3,keyasint"`
	Outcome []byte        `cbor:"4,keyasint,omitempty"`
	Why     string        `cbor:"5,keyasint,omitempty"` // it went wrong, for people
}

// Kind is the command's number in the log.
func (FinishEffect) Kind() Kind { return KindFinishEffect }

func (c FinishEffect) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.openEffect(c.ID, "finish")
	if err != nil {
		return nil, err
	}
	if c.Attempt != old.Attempt {
		return nil, refuse(ErrMoved, "finish effect %s: attempt %d, the newest is %d", c.ID, c.Attempt, old.Attempt)
	}
	if err := first(c.check(), c.timely(s, x.now, old)); err != nil {
		return nil, err
	}
	e := *old
	if len(c.Outcome) > 0 {
		e.Outcome = c.Outcome
	}
	e.Why = c.Why
	if c.Verdict == VerdictNotBegun {
		e.NotBegun++
	}
	switch {
	case c.Verdict == VerdictDone:
		e.end(EffectDone, x.now)
	case c.Verdict == VerdictExpired:
		e.end(EffectExpired, x.now)
	case c.Verdict == VerdictFailed || e.Tries() >= e.MaxAttempts:
		e.end(EffectFailed, x.now)
	default:
		e.Status, e.NotBefore = EffectPending, x.now.Add(backoff(e.Attempt))
	}
	s.putEffect(x, e)
	if e.Status == EffectFailed || e.Status == EffectExpired {
		s.recordEvent(x, Event{
			By: e.By, Code: "effect-" + e.Status.String(), Subject: s.named(e.Subject),
			Message: fmt.Sprintf("%s %s %s after %s: %s", e.Kind, e.ID, e.Status, plural(e.Attempt, "attempt"), e.Why),
		})
	}
	return nil, nil
}

func (c FinishEffect) check() error {
	if len(c.Outcome) > MaxEffectOutcome {
		return field("outcome", "is %d bytes long: at most %d are allowed", len(c.Outcome), MaxEffectOutcome)
	}
	return first(
		checkRange("verdict", int(c.Verdict), int(VerdictDone), int(VerdictExpired)),
		checkText("why", c.Why, MaxEffectWhy),
	)
}

// timely refuses a verdict that cannot be known yet.
func (c FinishEffect) timely(s *State, now Time, e *Effect) error {
	switch {
	case c.Verdict == VerdictExpired && now < e.Deadline:
		return refuse(ErrTooEarly, "finish effect %s: its deadline is %s", c.ID, e.Deadline)
	case c.Verdict == VerdictExpired && e.Status == EffectPending:
		return nil
	case e.Status != EffectHanded:
		return refuse(ErrConflict, "finish effect %s: it is %s", c.ID, e.Status)
	case (c.Verdict == VerdictUnknown || c.Verdict == VerdictExpired) && now < e.Due() && s.RunnerInSession(e):
		return refuse(ErrTooEarly, "finish effect %s: attempt %d may be under way until %s", c.ID, e.Attempt, e.Due())
	}
	return nil
}

// RunnerInSession reports whether the runner is still in the session in which it was handed
// the newest attempt.
func (s *State) RunnerInSession(e *Effect) bool {
	h := s.Host(e.Runner)
	return h != nil && h.Session.N == e.Session && h.State != HostForgotten
}

func (e *Effect) end(status EffectStatus, now Time) {
	e.Status, e.EndedAt, e.Input = status, now, nil
}
