package types

import "fmt"

// Hosts is a page of hosts by id.
type Hosts struct {
	Meta
	Hosts []Host `json:"hosts"`
	Next  string `json:"next,omitempty" doc:"pass as next for the following page"`
}

// Host is a machine with an agent.
type Host struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Zone       string            `json:"zone"`
	State      string            `json:"state" enum:"joining,ready,silent,lost,forgotten,unknown" doc:"what the fleet believes; unknown: heard by gossip only"`
	StateSince Stamp             `json:"stateSince,omitzero"`
	Role       string            `json:"role" enum:"voter,worker"`
	VoterPhase string            `json:"voterPhase,omitempty" enum:"preparing,learning,voting,retiring"`
	Leader     bool              `json:"leader"`
	Placeable  bool              `json:"placeable" doc:"takes new tasks"`
	Cordon     *Cordon           `json:"cordon,omitempty"`
	Conditions []Condition       `json:"conditions,omitempty" doc:"why a planner does not act on it, most telling first"`
	Clone      *Clone            `json:"clone,omitempty" doc:"an alarm that stands: another machine shows this host's identity and is not let in"`
	TooOld     *TooOld           `json:"agentTooOld,omitempty" doc:"its agent reads less than the fleet's format and gets no session; upgrade skein there"`
	Draining   bool              `json:"draining"`
	Drain      *Drain            `json:"drain,omitempty" doc:"why its work is to leave it"`
	Addr       string            `json:"addr,omitempty" doc:"peer port"`
	StatusURL  string            `json:"statusUrl,omitempty"`
	Capacity   Resources         `json:"capacity" doc:"what tasks may reserve in total"`
	Reserved   Resources         `json:"reserved"`
	Free       Resources         `json:"free" doc:"capacity minus reserved"`
	Running    int               `json:"runningTasksCount"`
	Pending    int               `json:"pendingTasksCount"`
	Report     *HostReport       `json:"report,omitempty" doc:"what the host last said of itself by gossip; may be stale"`
	Gossip     string            `json:"gossip" enum:"alive,failed,unknown" doc:"what the answering host hears of it"`
	Attributes map[string]string `json:"attributes,omitempty"`
	SelfCheck  []Check           `json:"selfCheck,omitempty"`
	Version    string            `json:"version,omitempty" doc:"of its agent"`
	OSImage    string            `json:"osImage,omitempty"`
	Boot       string            `json:"boot,omitempty"`
	Session    uint64            `json:"session,omitempty" doc:"rises with each start of its agent"`
	JoinedAt   Stamp             `json:"joinedAt,omitzero"`
}

// Clone is another machine with a host's identity, as a copied disk has.
type Clone struct {
	Addr  string `json:"addr" doc:"where it says that it listens; the host itself is at the host's addr"`
	Boot  string `json:"boot"`
	Since Stamp  `json:"since,omitzero"`
	Last  Stamp  `json:"last,omitzero" doc:"of its last attempt noted, within a minute"`
}

// TooOld is an agent that is too old for the fleet.
type TooOld struct {
	Reads  int   `json:"readsFormat"`
	Format int   `json:"format" doc:"of the fleet"`
	Since  Stamp `json:"since,omitzero"`
}

// Alarm is what a person must hear of a host at once; empty for nothing.
func (h *Host) Alarm() string {
	switch {
	case h.Clone != nil:
		return h.cloneAlarm()
	case h.TooOld != nil:
		return fmt.Sprintf("the agent of %s (%s) reads format %d, the fleet is at %d: it gets no session and no new tasks; "+
			"upgrade skein there", h.Name, h.Version, h.TooOld.Reads, h.TooOld.Format)
	}
	return ""
}

func (h *Host) cloneAlarm() string {
	return fmt.Sprintf("cloned disk? %s runs at %s, and another machine at %s shows its identity and is not let in: "+
		"wipe the data folder of one of both and join it anew",
		h.Name, h.Addr, h.Clone.Addr)
}

// Cordon keeps new work off a host.
type Cordon struct {
	By  string `json:"by"`
	At  Stamp  `json:"at,omitzero"`
	Why string `json:"why,omitempty"`
}

// Drain is why and until when a host is to be emptied.
type Drain struct {
	Cause    string `json:"cause"`
	By       string `json:"by"`
	Since    Stamp  `json:"since,omitzero"`
	Deadline Stamp  `json:"deadline,omitzero" doc:"tasks stop then, replaced or not; absent: never by time alone"`
}

// Check is one line of a host's self-check.
type Check struct {
	Name     string `json:"name"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Detail   string `json:"detail,omitempty"`
	Listener string `json:"listener,omitempty" doc:"that the host cannot serve"`
}

// HostReport is a host's own word.
type HostReport struct {
	At          Stamp     `json:"at,omitzero" doc:"by the host's own clock"`
	Used        Resources `json:"used" doc:"measured"`
	Pressure    Pressure  `json:"pressure"`
	Starved     bool      `json:"starved" doc:"late by its own measure"`
	Protected   string    `json:"protected,omitempty" doc:"whether the agent is shielded from its tasks: yes, partly or no, and why"`
	Runtime     string    `json:"runtime,omitempty" doc:"container runtime and version, or why it does not answer"`
	DiskFreeMiB int64     `json:"diskFreeMiB"`
	PortsUsed   int       `json:"portsUsed"`
}

// Pressure is the share of time in which work stalled, in percent; -1 where the
// kernel does not tell.
type Pressure struct {
	CPU    int `json:"cpu" doc:"percent of the last 10 s in which some work waited for it; -1 where the kernel does not tell"`
	Memory int `json:"memory" doc:"the same"`
	IO     int `json:"io" doc:"the same"`
}
