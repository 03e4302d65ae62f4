package types

// Decisions is a page of decisions, oldest first.
type Decisions struct {
	Meta
	Decisions []Decision `json:"decisions"`
	Next      uint64     `json:"next" doc:"pass as after for what comes later"`
	Missed    bool       `json:"missed,omitempty" doc:"decisions after the given number are kept no more"`
}

// Decision is what was done and why.
type Decision struct {
	Seq     uint64  `json:"seq"`
	Index   uint64  `json:"index"`
	At      Stamp   `json:"at,omitzero"`
	By      string  `json:"by"`
	Code    string  `json:"code"`
	About   string  `json:"about" doc:"service:web, host:h2, task:3f..."`
	Message string  `json:"message,omitempty"`
	Counts  []Count `json:"counts,omitempty"`
}
