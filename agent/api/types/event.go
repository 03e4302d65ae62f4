package types

// Events is a page of events, oldest first.
type Events struct {
	Meta
	Events []Event `json:"events"`
	Next   uint64  `json:"next" doc:"pass as after for what comes later"`
	Missed bool    `json:"missed,omitempty" doc:"events after the given number are kept no more; of a service, some of them may be"`
}

// Event is what was done and why.
type Event struct {
	Seq     uint64  `json:"seq"`
	Index   uint64  `json:"index"`
	At      Stamp   `json:"at,omitzero"`
	By      string  `json:"by"`
	Code    string  `json:"code"`
	Subject string  `json:"subject" doc:"service:web, host:h2, task:3f..."`
	Message string  `json:"message,omitempty"`
	Counts  []Count `json:"counts,omitempty"`
	Cause   string  `json:"cause,omitempty" doc:"of stops: why"`
}
