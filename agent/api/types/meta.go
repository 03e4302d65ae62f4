package types

import (
	"encoding/json"
	"time"

	"skein/raftfsm/fleet"
)

// Stamp is a time on the wire: RFC 3339 in UTC with milliseconds. The zero
// Stamp is left out.
type Stamp fleet.Time

// IsZero makes omitzero leave it out.
func (s Stamp) IsZero() bool { return s == 0 }

// MarshalJSON writes RFC 3339.
func (s Stamp) MarshalJSON() ([]byte, error) { return json.Marshal(fleet.Time(s).String()) }

// UnmarshalJSON reads RFC 3339.
func (s *Stamp) UnmarshalJSON(b []byte) error {
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*s = Stamp(fleet.TimeOf(t))
	return nil
}

// Meta says how far an answer can be trusted. Its first two fields also travel
// as the headers X-Skein-Index and X-Skein-Stale-Ms.
type Meta struct {
	Index      uint64 `json:"index" doc:"log index that the answer shows"`
	StaleMs    int64  `json:"staleMs" doc:"how long ago this was known to be the newest, in milliseconds; -1 when nobody can tell"`
	CutOff     bool   `json:"cutOff" doc:"true when the answering host hears no leader: the answer is what it last heard, and its own tasks"`
	AloneSince Stamp  `json:"aloneSince,omitzero" doc:"when it last heard one"`
}

// HostRef names a host.
type HostRef struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Zone   string `json:"zone,omitempty"`
	Status string `json:"statusUrl,omitempty" doc:"address of its status page"`
}

// Condition is why a planner does nothing about something right now.
type Condition struct {
	By      string  `json:"by" doc:"which planner waits"`
	Code    string  `json:"code" doc:"constant, for programs"`
	Message string  `json:"message"`
	Counts  []Count `json:"counts,omitempty" doc:"per filter: how many hosts it refused"`
	Since   Stamp   `json:"since,omitzero"`
	Until   Stamp   `json:"until,omitzero"`
}

// Count is a number with its name.
type Count struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Resources is an amount of cpu and memory.
type Resources struct {
	CPU    int64 `json:"cpu" doc:"1/1024 core"`
	Memory int64 `json:"memory" doc:"MiB"`
}
