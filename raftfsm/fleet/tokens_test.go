package fleet

import "testing"

func TestTokens(t *testing.T) {
	good := PutToken{ID: "t1", TokenKind: TokenJoin, Hash: blob(32), Uses: 2, NotAfter: start + 1000}
	bad := func(change func(*PutToken)) PutToken {
		c := good
		change(&c)
		return c
	}
	tests := map[string]struct {
		c    PutToken
		want string
	}{
		"a hash that is no sha256 is refused":        {bad(func(c *PutToken) { c.Hash = blob(31) }), "hash: "},
		"an unknown kind is refused":                 {bad(func(c *PutToken) { c.TokenKind = 9 }), "kind: "},
		"an end in the past is refused":              {bad(func(c *PutToken) { c.NotAfter = start }), "notAfter: "},
		"a join token without uses is refused":       {bad(func(c *PutToken) { c.Uses = 0 }), "uses: "},
		"an id that is not safe in paths is refused": {bad(func(c *PutToken) { c.ID = "a/b" }), "id: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { fleetOf(t, 1).refused(tt.c, ErrInvalid, tt.want) })
	}
	t.Run("a token is stored by its hash and deleted once", func(t *testing.T) {
		w := fleetOf(t, 1)
		w.item(Item{Command: good, By: "ada"})
		if tok := w.Token("t1"); tok.By != "ada" || tok.Uses != 2 || tok.CreatedAt != w.at || tok.ModifyIndex != w.Index() {
			t.Errorf("token %+v", tok)
		}
		w.refused(good, ErrExists, "t1")
		w.must(DeleteToken{ID: "t1"})
		w.noop(DeleteToken{ID: "t1"})
	})
}
