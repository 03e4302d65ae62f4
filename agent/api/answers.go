package api

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

// Status is the fleet at a glance.
type Status struct {
	Meta
	Fleet      FleetInfo     `json:"fleet"`
	Now        Stamp         `json:"now,omitzero" doc:"fleet time: the highest stamp in the log"`
	AnsweredBy Answerer      `json:"answeredBy"`
	Leader     *HostRef      `json:"leader" nullable:"true" doc:"null while nobody is known to lead"`
	Voters     VoterCounts   `json:"voters"`
	Hosts      HostCounts    `json:"hosts"`
	Services   ServiceCounts `json:"services"`
	Tasks      TaskCounts    `json:"tasks"`
	Notes      []string      `json:"notes" doc:"what an operator should know, most important first"`
}

// FleetInfo is the fleet itself.
type FleetInfo struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Format    int    `json:"format" doc:"lowest entry format that all voters speak"`
	CreatedAt Stamp  `json:"createdAt,omitzero"`
}

// Answerer is the host that answered.
type Answerer struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Zone    string `json:"zone,omitempty"`
	Role    string `json:"role" enum:"voter,worker"`
	Version string `json:"version,omitempty"`
}

// VoterCounts are the holders of the log.
type VoterCounts struct {
	Target    int `json:"target" doc:"how many the fleet aims for, given its hosts and its setting"`
	Voting    int `json:"voting"`
	Changing  int `json:"changing" doc:"on their way in or out"`
	Tolerates int `json:"tolerates" doc:"how many voters may be lost without losing the ability to change anything"`
}

// HostCounts are hosts by life; forgotten ones are not counted.
type HostCounts struct {
	Total    int `json:"total"`
	Ready    int `json:"ready"`
	Joining  int `json:"joining"`
	Silent   int `json:"silent"`
	Lost     int `json:"lost"`
	Cordoned int `json:"cordoned" doc:"of all of them, those that take no new tasks by order"`
}

// ServiceCounts are services by how they are.
type ServiceCounts struct {
	Total  int `json:"total"`
	Steady int `json:"steady" doc:"as many tasks run as are desired, all of the newest revision"`
}

// TaskCounts are tasks of services that are not stopped. One on a host that cannot be
// reached is counted as unreachable and nowhere else.
type TaskCounts struct {
	Desired     int `json:"desired" doc:"sum over all services"`
	Running     int `json:"running"`
	Pending     int `json:"pending"`
	Stopping    int `json:"stopping"`
	Unreachable int `json:"unreachable"`
	// Standalone is nil where there are too many tasks to look at each.
	Standalone *int `json:"standalone,omitempty" doc:"tasks of no service that are not stopped; absent in very large fleets"`
}

// Wait is why nothing is done about something right now.
type Wait struct {
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

func resources(r fleet.Resources) Resources { return Resources{r.CPU, r.Memory} }
