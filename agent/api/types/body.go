package types

// ScaleBody asks for another number of tasks.
type ScaleBody struct {
	Desired     int    `json:"desiredCount"`
	ClientToken string `json:"clientToken,omitempty"`
}

// CordonBody says why a host takes no new tasks.
type CordonBody struct {
	Why         string `json:"why,omitempty"`
	ClientToken string `json:"clientToken,omitempty"`
}

// PlainBody has nothing to say but who repeats it.
type PlainBody struct {
	ClientToken string `json:"clientToken,omitempty"`
}

// ForceBody asks for what is refused unless by force.
type ForceBody struct {
	Force       bool   `json:"force,omitempty" doc:"even though it is in use, or hosts are behind"`
	ClientToken string `json:"clientToken,omitempty"`
}

// TokenBody asks for a token.
type TokenBody struct {
	Kind         string `json:"kind" enum:"join,operator"`
	Uses         int    `json:"uses,omitempty" doc:"hosts it admits; 1 unless given; join only"`
	ValidSeconds int    `json:"validSeconds,omitempty" doc:"an hour unless given"`
	ClientToken  string `json:"clientToken,omitempty"`
}

// SettingBody is a setting's new value.
type SettingBody struct {
	Value       int64  `json:"value"`
	ClientToken string `json:"clientToken,omitempty"`
}
