package types

import (
	"fmt"
	"strconv"
)

// Status is the fleet at a glance.
type Status struct {
	Meta
	Fleet      FleetInfo   `json:"fleet"`
	Now        Stamp       `json:"now,omitzero" doc:"fleet time: the highest stamp in the log"`
	AnsweredBy Answerer    `json:"answeredBy"`
	Leader     *HostRef    `json:"leader" nullable:"true" doc:"null while nobody is known to lead"`
	Voters     VoterCounts `json:"voters"`
	Hosts      HostCounts  `json:"hosts"`
	// Agents are the versions that hosts run, lost and forgotten hosts aside.
	Agents   []AgentVersion `json:"agents" doc:"versions of the agent, most hosts first; lost hosts are not counted"`
	Services ServiceCounts  `json:"services"`
	Tasks    TaskCounts     `json:"tasks"`
	Notes    []string       `json:"notes" doc:"what an operator should know, most important first"`
}

// FleetInfo is the fleet itself.
type FleetInfo struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	Epoch     uint64 `json:"epoch"`
	Format    int    `json:"format" doc:"of what may be written to the log: every voter, and every host with a session, reads it"`
	CreatedAt Stamp  `json:"createdAt,omitzero"`

	NextFormat   int   `json:"nextFormat,omitempty" doc:"the format that is planned, because every agent reads it; until it is raised agents may go back"`
	NextFormatAt Stamp `json:"nextFormatAt,omitzero" doc:"when it is raised, unless skein fleet finalize raises it before"`
}

// AgentVersion is a version of the agent that some hosts run.
type AgentVersion struct {
	Version string `json:"version"`
	Format  int    `json:"format" doc:"the newest format that it reads"`
	Hosts   int    `json:"hosts"`
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
	Target   int `json:"target" doc:"how many the fleet aims for, given its hosts and its setting"`
	Voting   int `json:"voting"`
	Changing int `json:"changing" doc:"on their way in or out"`
	// Alive counts those that the answering host believes to be alive and to hold their log:
	// by gossip, and by what the leader last told of their hosts.
	Alive      int    `json:"alive" doc:"of the voting ones, those that the answering host believes to be alive, with their log open"`
	Needed     int    `json:"needed" doc:"how many must be alive for anything to be changed: a majority of the voting ones"`
	Tolerates  int    `json:"tolerates" doc:"how many of the living may be lost without losing the ability to change anything"`
	QuorumLost bool   `json:"quorumLost" doc:"fewer are alive than are needed: nothing can be changed, tasks keep running"`
	Summary    string `json:"summary" doc:"the same in words: 2 of 3 alive (may lose none)"`
}

// CountVoters says what the numbers of voters mean.
func CountVoters(target, voting, changing, alive int) VoterCounts {
	c := VoterCounts{Target: target, Voting: voting, Changing: changing, Alive: min(alive, voting), Needed: voting/2 + 1}
	c.Tolerates, c.QuorumLost = max(0, c.Alive-c.Needed), voting > 0 && c.Alive < c.Needed
	may := "may lose " + strconv.Itoa(c.Tolerates)
	switch {
	case c.QuorumLost:
		may = fmt.Sprintf("QUORUM LOST, %d needed", c.Needed)
	case c.Tolerates == 0:
		may = "may lose none"
	}
	c.Summary = fmt.Sprintf("%d of %d alive (%s)", c.Alive, voting, may)
	return c
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
	Steady int `json:"steady" doc:"as many healthy tasks run as are desired, all of the newest revision, and nothing is left to decide"`
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
	Leader *HostRef    `json:"leader" nullable:"true"`
	Target int         `json:"target"`
	Counts VoterCounts `json:"counts"`
	Voters []VoterRow  `json:"voters"`
}

// VoterRow is one holder of the log.
type VoterRow struct {
	ID    string  `json:"id" doc:"host id and number of its log"`
	Host  HostRef `json:"host"`
	Phase string  `json:"phase" enum:"preparing,learning,voting,retiring"`
	Since Stamp   `json:"since,omitzero"`
	Alive bool    `json:"alive" doc:"whether the answering host believes it to be alive, with its log open"`
	State string  `json:"state" enum:"joining,ready,silent,lost,forgotten,unknown"`
}
