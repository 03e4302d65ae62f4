package fleet

// DeleteToken revokes a token. Unknown ids are a no-op.
type DeleteToken struct {
	ID TokenID `cbor:"1,keyasint"`
}

// Kind is the command's number in the log.
func (DeleteToken) Kind() Kind { return KindDeleteToken }

func (c DeleteToken) apply(s *State, x *applyContext) ([]string, error) {
	if s.Token(c.ID) == nil {
		return nil, nil
	}
	s.tokens.Delete(c.ID)
	s.recordEvent(x, Event{Code: "token-deleted", Subject: Subject{SubjectToken, string(c.ID)}, Message: "deleted token " +
		string(c.ID)})
	return nil, nil
}
