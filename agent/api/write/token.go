package write

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"skein/agent/api/types"
	"skein/agent/api/view"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Tokens makes and reads the text of tokens; their secrets are never stored.
type Tokens interface {
	// Mint makes a new token: its public id, the text to hand out, and the hash
	// that State keeps.
	Mint(kind fleet.TokenKind, f *fleet.Fleet) (id fleet.TokenID, text string, hash []byte, err error)
	// Read takes a text apart: whose it says it is, and the hash of its secret.
	Read(text string) (id fleet.TokenID, hash []byte, err error)
}

// Limits on the life of tokens: long ones are forgotten in scripts.
const (
	defaultTokenLifetime = time.Hour
	maxJoinLifetime      = 7 * 24 * time.Hour
	maxOperatorLifetime  = 366 * 24 * time.Hour
)

var tokenFields = own("token", "kind", "uses", "validSeconds", "clientToken")

// tokenKinds are the kinds by their text.
var tokenKinds = map[string]fleet.TokenKind{"join": fleet.TokenJoin, "operator": fleet.TokenOperator}

func tokenEndpoints() []Endpoint {
	return []Endpoint{
		creation("/v1/tokens", "Make a token; its text is in this answer only", types.TokenBody{}, types.TokenMade{},
			(*Call).makeToken),
		change(http.MethodDelete, "/v1/tokens/{id}", "Revoke a token", types.PlainBody{}, types.Written{},
			(*Call).deleteToken),
	}
}

func (c *Call) makeToken() (*Order, error) {
	o, p, err := c.bodyOf(tokenFields)
	if err != nil {
		return nil, err
	}
	need(o, "kind", "join or operator")
	kind := tokenKinds[o.Choice("kind", "join", "operator")]
	longest, uses := maxJoinLifetime, int(o.Int("uses", 1, 1, fleet.MaxTokenUses))
	if kind == fleet.TokenOperator {
		if longest, uses = maxOperatorLifetime, 0; o.Has("uses") {
			o.Refuse("uses", "is for join tokens; an operator token is good until it ends")
		}
	}
	life := time.Duration(o.Int("validSeconds", int64(defaultTokenLifetime/time.Second), 1,
		int64(longest/time.Second))) * time.Second
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	m := &tokenCreation{tools: c.Tools, kind: kind, uses: uses, lifetime: life}
	return &Order{Token: token, Command: m.command, Answer: m.answer}, nil
}

// tokenCreation makes one token, however often its command is asked for.
type tokenCreation struct {
	tools    Tools
	kind     fleet.TokenKind
	uses     int
	lifetime time.Duration

	id   fleet.TokenID
	text string
	hash []byte
}

func (m *tokenCreation) command(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
	if m.tools.Tokens == nil {
		return nil, nil, fmt.Errorf("make a Token: %w", fleet.ErrNoFleet)
	}
	if m.id == "" {
		if st.Fleet() == nil {
			return nil, nil, fmt.Errorf("make a Token: %w", fleet.ErrNoFleet)
		}
		var err error
		if m.id, m.text, m.hash, err = m.tools.Tokens.Mint(m.kind, st.Fleet()); err != nil {
			return nil, nil, fmt.Errorf("make a Token: %w", err)
		}
	}
	end := max(m.tools.Now(), st.Now()).Add(m.lifetime)
	return fleet.PutToken{ID: m.id, TokenKind: m.kind, Hash: slices.Clone(m.hash), Uses: m.uses, NotAfter: end}, nil, nil
}

func (m *tokenCreation) answer(v *view.View, ids []string, w types.Written) any {
	answer := &types.TokenMade{Written: w, ID: firstID(ids), Kind: m.kind.String()}
	if answer.ID == string(m.id) {
		answer.Token = m.text
	} else {
		answer.Warnings = append(answer.Warnings,
			types.Warning{Field: "token",
				Message: "an earlier request with this client token made it, and its text is shown only once: delete it and make " +
					"another if that answer was lost"})
	}
	if row := v.State.Token(fleet.TokenID(answer.ID)); row != nil {
		answer.Uses, answer.NotAfter = row.Uses, types.Stamp(row.NotAfter)
	}
	return answer
}

func (c *Call) deleteToken() (*Order, error) {
	token, err := c.plain()
	if err != nil {
		return nil, err
	}
	id := fleet.TokenID(c.PathValue("id"))
	return &Order{
		Token: token,
		Command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			if st.Token(id) == nil {
				return nil, nil, fmt.Errorf("token %q: %w", types.Clean(string(id)), fleet.ErrNotFound)
			}
			return fleet.DeleteToken{ID: id}, nil, nil
		},
		Answer: func(_ *view.View, _ []string, w types.Written) any { return &w },
	}, nil
}
