package fleet

// WithdrawEffect ends an effect that nobody wants any more. An attempt that is under
// way goes on; what comes of it is refused. Refused when the effect has ended.
type WithdrawEffect struct {
	ID  EffectID `cbor:"1,keyasint"`
	Why string   `cbor:"2,keyasint,omitempty"`
}

// Kind is the command's number in the log.
func (WithdrawEffect) Kind() Kind { return KindWithdrawEffect }

func (c WithdrawEffect) apply(s *State, x *applyContext) ([]string, error) {
	old, err := s.openEffect(c.ID, "withdraw")
	if err != nil {
		return nil, err
	}
	if err := checkText("why", c.Why, MaxEffectWhy); err != nil {
		return nil, err
	}
	e := *old
	e.Why = c.Why
	e.end(EffectWithdrawn, x.now)
	s.putEffect(x, e)
	return nil, nil
}
