package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Limits on the life of tokens: long ones are forgotten in scripts.
const (
	defaultTokenLife = time.Hour
	maxJoinLife      = 7 * 24 * time.Hour
	maxOperatorLife  = 366 * 24 * time.Hour
)

// TokenMade answers with a token's text, once.
type TokenMade struct {
	Written
	ID       string `json:"id" doc:"public half, for deleting it"`
	Kind     string `json:"kind" enum:"join,operator"`
	Token    string `json:"token,omitempty" doc:"the secret text; shown in this answer and never again. Absent when a repeated request made it before"`
	Uses     int    `json:"uses,omitempty"`
	NotAfter Stamp  `json:"notAfter,omitzero"`
}

// TokenRow is a token without its secret.
type TokenRow struct {
	ID        string `json:"id"`
	Kind      string `json:"kind" enum:"join,operator"`
	Uses      int    `json:"uses" doc:"left, for join tokens"`
	By        string `json:"by,omitempty"`
	CreatedAt Stamp  `json:"createdAt,omitzero"`
	NotAfter  Stamp  `json:"notAfter,omitzero"`
}

// TokenList lists tokens.
type TokenList struct {
	Meta
	Tokens []TokenRow `json:"tokens"`
}

func (v *view) tokens() (any, error) {
	answer := &TokenList{Meta: v.meta, Tokens: []TokenRow{}}
	for t := range v.st.Tokens() {
		answer.Tokens = append(answer.Tokens, TokenRow{string(t.ID), t.Kind.String(), t.Uses, clean(t.By), Stamp(t.CreatedAt), Stamp(t.NotAfter)})
	}
	return answer, nil
}

func (c *call) makeToken() (*order, error) {
	o, p, err := c.bodyOf(tokenFields)
	if err != nil {
		return nil, err
	}
	need(o, "kind", "join or operator")
	kind := tokenKinds[o.Choice("kind", "join", "operator")]
	longest, uses := maxJoinLife, int(o.Int("uses", 1, 1, fleet.MaxTokenUses))
	if kind == fleet.TokenOperator {
		if longest, uses = maxOperatorLife, 0; o.Has("uses") {
			o.Refuse("uses", "is for join tokens; an operator token is good until it ends")
		}
	}
	life := time.Duration(o.Int("validSeconds", int64(defaultTokenLife/time.Second), 1, int64(longest/time.Second))) * time.Second
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	m := &minting{api: c.api, kind: kind, uses: uses, life: life}
	return &order{token: token, command: m.command, answer: m.answer}, nil
}

// minting makes one token, however often its command is asked for.
type minting struct {
	api  *API
	kind fleet.TokenKind
	uses int
	life time.Duration

	id   fleet.TokenID
	text string
	hash []byte
}

func (m *minting) command(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
	if m.api.Tokens == nil {
		return nil, nil, fmt.Errorf("make a token: %w", fleet.ErrNoFleet)
	}
	if m.id == "" {
		if st.Fleet() == nil {
			return nil, nil, fmt.Errorf("make a token: %w", fleet.ErrNoFleet)
		}
		var err error
		if m.id, m.text, m.hash, err = m.api.Tokens.Mint(m.kind, st.Fleet()); err != nil {
			return nil, nil, fmt.Errorf("make a token: %w", err)
		}
	}
	end := max(fleet.TimeOf(m.api.Now()), st.Now()).Add(m.life)
	return fleet.PutToken{ID: m.id, TokenKind: m.kind, Hash: slices.Clone(m.hash), Uses: m.uses, NotAfter: end}, nil, nil
}

func (m *minting) answer(v *view, ids []string, w Written) any {
	answer := &TokenMade{Written: w, ID: firstID(ids), Kind: m.kind.String()}
	if answer.ID == string(m.id) {
		answer.Token = m.text
	} else {
		answer.Warnings = append(answer.Warnings, Warning{"token", "an earlier request with this client token made it, and its text is shown only once: delete it and make another if that answer was lost"})
	}
	if row := v.st.Token(fleet.TokenID(answer.ID)); row != nil {
		answer.Uses, answer.NotAfter = row.Uses, Stamp(row.NotAfter)
	}
	return answer
}

func (c *call) deleteToken() (*order, error) {
	o, p, err := c.bodyOf(plainFields)
	if err != nil {
		return nil, err
	}
	token := clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	id := fleet.TokenID(c.PathValue("id"))
	return &order{
		token: token,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			if st.Token(id) == nil {
				return nil, nil, fmt.Errorf("token %q: %w", clean(string(id)), fleet.ErrNotFound)
			}
			return fleet.DeleteToken{ID: id}, nil, nil
		},
		answer: func(_ *view, _ []string, w Written) any { return &w },
	}, nil
}

// Settings are what operators may turn.
type Settings struct {
	Meta
	Settings []Setting `json:"settings"`
}

// Setting is one of them.
type Setting struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// SettingWritten answers a change of a setting.
type SettingWritten struct {
	Written
	Setting
}

func (v *view) settings() (any, error) {
	answer := &Settings{Meta: v.meta, Settings: []Setting{}}
	if f := v.st.Fleet(); f != nil {
		for _, name := range fleet.SettingNames() {
			value, _ := f.Settings.Get(name)
			answer.Settings = append(answer.Settings, Setting{name, value})
		}
	}
	return answer, nil
}

func (c *call) putSetting() (*order, error) {
	o, p, err := c.bodyOf(settingFields)
	if err != nil {
		return nil, err
	}
	name := c.PathValue("name")
	need(o, "value", "a number")
	value, token := o.Int("value", 0, 0, 1<<53), clientToken(o)
	if err := p.Err(); err != nil {
		return nil, err
	}
	if !slices.Contains(fleet.SettingNames(), name) {
		return nil, fmt.Errorf("setting %q, known are %s: %w", clean(name), strings.Join(fleet.SettingNames(), ", "), fleet.ErrNotFound)
	}
	return &order{
		token: token,
		command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.PutSetting{Name: name, Value: value}, nil, nil
		},
		answer: func(_ *view, _ []string, w Written) any { return &SettingWritten{w, Setting{name, value}} },
	}, nil
}
