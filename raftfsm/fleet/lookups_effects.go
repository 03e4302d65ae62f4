package fleet

import "iter"

// Effect returns an effect, or nil.
func (s *State) Effect(id EffectID) *Effect { return get(s.effects, id) }

// Effects yields all effects by id, ended ones included.
func (s *State) Effects() iter.Seq[*Effect] { return values(s.effects) }

// OpenEffects yields the effects that have not ended, by when something is due (see
// Effect.Due).
func (s *State) OpenEffects() iter.Seq[*Effect] {
	return func(yield func(*Effect) bool) {
		s.effectsByTime.Scan(func(e *Effect) bool { return e.Open() && yield(e) })
	}
}

// EffectsOf yields the effects of a subject by id, ended ones included.
func (s *State) EffectsOf(subject Subject) iter.Seq[*Effect] {
	return func(yield func(*Effect) bool) {
		s.effectsBySubject.Ascend(&Effect{Subject: subject}, func(e *Effect) bool {
			return e.Subject == subject && yield(e)
		})
	}
}

// endedEffects yields those that have ended, the first to end first.
func (s *State) endedEffects() iter.Seq[*Effect] {
	return func(yield func(*Effect) bool) {
		s.effectsByTime.Ascend(&Effect{Status: EffectDone}, yield)
	}
}

// openEffect is an effect that a command may change.
func (s *State) openEffect(id EffectID, verb string) (*Effect, error) {
	e := s.Effect(id)
	if e == nil {
		return nil, refuse(ErrNotFound, "%s effect %s", verb, quoted(string(id)))
	}
	if !e.Open() {
		return nil, refuse(ErrConflict, "%s effect %s: it is %s", verb, id, e.Status)
	}
	return e, nil
}
