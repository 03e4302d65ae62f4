package view

import (
	"skein/agent/api/endpoint"
	"skein/agent/api/types"
)

func tokenEndpoints() []Endpoint {
	tokens := endpoint.Get("/v1/tokens", "Tokens, without their secrets", types.TokenList{})
	tokens.Private = true
	return []Endpoint{{Spec: tokens, Read: (*View).tokens}}
}

func (v *View) tokens() (any, error) {
	answer := &types.TokenList{Meta: v.Meta, Tokens: []types.TokenRow{}}
	for t := range v.State.Tokens() {
		answer.Tokens = append(answer.Tokens, types.TokenRow{ID: string(t.ID), Kind: t.Kind.String(), Uses: t.Uses,
			By: types.Clean(t.By), CreatedAt: types.Stamp(t.CreatedAt), NotAfter: types.Stamp(t.NotAfter)})
	}
	return answer, nil
}
