package types

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

// Settings are what operators may change.
type Settings struct {
	Meta
	Settings []Setting `json:"settings"`
}

// Setting is one of them.
type Setting struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}
