package types

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

// Voters are the holders of the log.
type Voters struct {
	Meta
	Leader *HostRef   `json:"leader" nullable:"true"`
	Target int        `json:"target"`
	Voters []VoterRow `json:"voters"`
}

// VoterRow is one holder of the log.
type VoterRow struct {
	ID    string  `json:"id" doc:"host id and number of its log"`
	Host  HostRef `json:"host"`
	Phase string  `json:"phase" enum:"preparing,learning,voting,retiring"`
	Since Stamp   `json:"since,omitzero"`
	Life  string  `json:"life" enum:"joining,ready,silent,lost,forgotten,unknown"`
}
