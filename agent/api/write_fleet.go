package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Limits on the life of tokens: long ones are forgotten in scripts.
const (
	defaultTokenLifetime = time.Hour
	maxJoinLifetime      = 7 * 24 * time.Hour
	maxOperatorLifetime  = 366 * 24 * time.Hour
)

func (v *view) tokens() (any, error) {
	answer := &types.TokenList{Meta: v.meta, Tokens: []types.TokenRow{}}
	for t := range v.st.Tokens() {
		answer.Tokens = append(answer.Tokens, types.TokenRow{ID: string(t.ID), Kind: t.Kind.String(), Uses: t.Uses,
			By: clean(t.By), CreatedAt: types.Stamp(t.CreatedAt), NotAfter: types.Stamp(t.NotAfter)})
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
	m := &tokenCreation{api: c.api, kind: kind, uses: uses, lifetime: life}
	return &order{token: token, command: m.command, answer: m.answer}, nil
}

// tokenCreation makes one token, however often its command is asked for.
type tokenCreation struct {
	api      *API
	kind     fleet.TokenKind
	uses     int
	lifetime time.Duration

	id   fleet.TokenID
	text string
	hash []byte
}

func (m *tokenCreation) command(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
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
	end := max(fleet.TimeOf(m.api.Now()), st.Now()).Add(m.lifetime)
	return fleet.PutToken{ID: m.id, TokenKind: m.kind, Hash: slices.Clone(m.hash), Uses: m.uses, NotAfter: end}, nil, nil
}

func (m *tokenCreation) answer(v *view, ids []string, w types.Written) any {
	answer := &types.TokenMade{Written: w, ID: firstID(ids), Kind: m.kind.String()}
	if answer.ID == string(m.id) {
		answer.Token = m.text
	} else {
		answer.Warnings = append(answer.Warnings,
			types.Warning{Field: "token",
				Message: "an earlier request with this client token made it, and its text is shown only once: delete it and make " +
					"another if that answer was lost"})
	}
	if row := v.st.Token(fleet.TokenID(answer.ID)); row != nil {
		answer.Uses, answer.NotAfter = row.Uses, types.Stamp(row.NotAfter)
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
		answer: func(_ *view, _ []string, w types.Written) any { return &w },
	}, nil
}

// finalize raises the fleet's format at once. Where some agents read more and others
// do not, State refuses and names those that do not; by force only voters count.
func (c *call) finalize() (*order, error) {
	force, token, err := c.force()
	if err != nil {
		return nil, err
	}
	return &order{
		token: token,
		command: func(_ context.Context, st *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			f, read := st.Fleet(), 0
			if f == nil {
				return nil, nil, fleet.ErrNoFleet
			}
			if read = st.ReadFormat(); force {
				read = st.VotersReadFormat()
			}
			if read <= f.Format {
				for h := range st.Hosts() {
					read = max(read, h.ReadsFormat())
				}
			}
			if read <= f.Format {
				return nil, nil, fmt.Errorf("raise format: the fleet is at %d, and no agent reads more: %w", f.Format,
					fleet.ErrConflict)
			}
			return fleet.RaiseFormat{Format: read, Force: force}, nil, nil
		},
		answer: func(v *view, _ []string, w types.Written) any {
			return &types.FleetWritten{Written: w, Fleet: v.fleetInfo()}
		},
	}, nil
}

func (v *view) settings() (any, error) {
	answer := &types.Settings{Meta: v.meta, Settings: []types.Setting{}}
	if f := v.st.Fleet(); f != nil {
		for _, name := range fleet.SettingNames() {
			value, _ := f.Settings.Get(name)
			answer.Settings = append(answer.Settings, types.Setting{Name: name, Value: value})
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
		return nil, fmt.Errorf("setting %q, known are %s: %w", clean(name), strings.Join(fleet.SettingNames(), ", "),
			fleet.ErrNotFound)
	}
	return &order{
		token: token,
		command: func(context.Context, *fleet.State) (fleet.Command, []strictjson.Warning, error) {
			return fleet.PutSetting{Name: name, Value: value}, nil, nil
		},
		answer: func(_ *view, _ []string, w types.Written) any {
			return &types.SettingWritten{Written: w, Setting: types.Setting{Name: name, Value: value}}
		},
	}, nil
}
