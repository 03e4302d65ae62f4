package fleet

import (
	"fmt"
)

// PutToken stores a token by the hash of its secret.
type PutToken struct {
	ID        TokenID   `cbor:"1,keyasint"`
	TokenKind TokenKind `cbor:"2,keyasint"`
	Hash      []byte    `cbor:"3,keyasint"`
	Uses      int       `cbor:"4,keyasint,omitempty"`
	NotAfter  Time      `cbor:"5,keyasint"`
}

// Kind is the command's number in the log.
func (PutToken) Kind() Kind { return KindPutToken }

func (c PutToken) apply(s *State, x *applyContext) ([]string, error) {
	if err := c.check(x.now); err != nil {
		return nil, err
	}
	if s.Token(c.ID) != nil {
		return nil, refuse(ErrExists, "put token %s", c.ID)
	}
	if s.tokens.Len() >= MaxTokens {
		return nil, refuse(ErrLimit, "put token: there are %d tokens; delete some", MaxTokens)
	}
	s.putToken(x, Token{
		ID: c.ID, Kind: c.TokenKind, Hash: c.Hash, Uses: c.Uses, NotAfter: c.NotAfter,
		CreatedAt: x.now, By: clip(x.item.By, MaxID),
	})
	s.recordEvent(x, Event{Code: "token-made", Subject: Subject{SubjectToken, string(c.ID)},
		Message: fmt.Sprintf("made %s token %s, valid until %s", c.TokenKind, c.ID, c.NotAfter)})
	return []string{string(c.ID)}, nil
}

func (c PutToken) check(now Time) error {
	if err := first(checkID("id", string(c.ID)), checkHash("hash", c.Hash)); err != nil {
		return err
	}
	if c.TokenKind != TokenJoin && c.TokenKind != TokenOperator {
		return field("kind", "is %s: allowed are %q", c.TokenKind, []string(tokenKindNames[1:]))
	}
	if c.NotAfter <= now || c.NotAfter > maxTime {
		return field("notAfter", "is %s: it must be after now (%s)", c.NotAfter, now)
	}
	if c.TokenKind == TokenJoin {
		return checkRange("uses", c.Uses, 1, MaxTokenUses)
	}
	return nil
}
