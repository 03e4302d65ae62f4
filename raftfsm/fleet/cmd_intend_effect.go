package fleet

// IntendEffect records something that is to be done outside the log. Refused when the
// subject is not there, no host can ever fill the role, the deadline is not ahead, or
// an effect of that id is there. Where there are MaxEffects, the one that ended first
// goes; refused when none has ended.
type IntendEffect struct {
	ID          EffectID `cbor:"1,keyasint"`
	EffectKind  string   `cbor:"2,keyasint"`
	Role        Role     `cbor:"3,keyasint"`
	Subject     Subject  `cbor:"4,keyasint"`
	Input       []byte   `cbor:"5,keyasint,omitempty"`
	Token       string   `cbor:"6,keyasint,omitempty"` // empty: the id
	Deadline    Time     `cbor:"7,keyasint"`
	TimeoutMs   int64    `cbor:"8,keyasint"`
	MaxAttempts int      `cbor:"9,keyasint"`
}

// Kind is the command's number in the log.
func (IntendEffect) Kind() Kind { return KindIntendEffect }

func (c IntendEffect) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(s, x.now); err != nil {
		return nil, err
	}
	if s.Effect(c.ID) != nil {
		return nil, refuse(ErrExists, "effect %s", c.ID)
	}
	if s.effects.Len() >= MaxEffects {
		ended := s.prunableEffects(x.now+1, 1)
		if len(ended) == 0 {
			return nil, refuse(ErrLimit, "effect %s: there are %d open ones", c.ID, MaxEffects)
		}
		s.removeEffect(ended[0])
	}
	token := c.Token
	if token == "" {
		token = string(c.ID)
	}
	s.putEffect(x, Effect{
		ID: c.ID, Kind: c.EffectKind, Role: c.Role, Subject: c.Subject, Input: c.Input, Token: token,
		By: clip(x.item.By, MaxID), CreatedAt: x.now, NotBefore: x.now, Deadline: c.Deadline, TimeoutMs: c.TimeoutMs,
		MaxAttempts: c.MaxAttempts, Status: EffectPending,
	})
	return []string{string(c.ID)}, nil
}

func (c IntendEffect) check(s *State, now Time) error {
	if err := first(
		checkID("id", string(c.ID)),
		checkName("effectKind", c.EffectKind, MaxID),
		s.checkRole(c.Role),
		checkRange("timeoutMs", c.TimeoutMs, 1, MaxEffectTimeout.Milliseconds()),
		checkRange("maxAttempts", c.MaxAttempts, 1, MaxEffectAttempts),
		checkRange("deadline", int64(c.Deadline), int64(now)+1, int64(now.Add(MaxEffectLife))),
		checkText("token", c.Token, MaxEffectToken),
	); err != nil {
		return err
	}
	if len(c.Input) > MaxEffectInput {
		return field("input", "is %d bytes long: at most %d are allowed", len(c.Input), MaxEffectInput)
	}
	if !s.mayHaveEffect(c.Subject) {
		return refuse(ErrNotFound, "effect of %s", quoted(c.Subject.String()))
	}
	return nil
}
