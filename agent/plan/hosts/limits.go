package hosts

import "time"

const (
	// QuickHosts is how many hosts may fall silent within SilenceWindow at full
	// speed in a small fleet; QuickPercent is the share in a large one. One dead
	// switch is not hundreds of dead hosts.
	QuickHosts   = 3
	QuickPercent = 5
	// SilenceWindow is the time over which silences are counted.
	SilenceWindow = 10 * time.Minute
	// SlowEvery is the pace beyond: one host each.
	SlowEvery = 10 * time.Second
	// PowerWatch is how long a new leader watches after a power return before it
	// replaces anything. Source: cmd/skein/DESIGN.md "Leader loop".
	PowerWatch = 30 * time.Second
	// BootRecent is how old a boot may be to count for a power return: a fleet's
	// machines start within it.
	BootRecent = time.Minute
	// SessionsWithin is by when machines that run again have opened their sessions with
	// a new leader: it cannot tell a reboot from a clone in its first 3 s, and hosts that
	// are told so ask again within 2 s.
	SessionsWithin = 6 * time.Second
	// AskAgain is when witnesses are asked again for a host still suspected: two
	// tries of 100 ms and the way there and back, with room (cmd/skein/DESIGN.md "Silence").
	AskAgain = 500 * time.Millisecond
	// ArrivalGrace is how long a host that opened a session has to open its stream
	// before older silence counts again: the link's own first pause, with room.
	ArrivalGrace = 3 * time.Second
	// ReturnAfter is how long a silent host must be heard without a break before it
	// is back, so that a link which comes and goes each second is one silence. It
	// doubles, from ReturnFlapping up to ReturnMost, with each silence that begins
	// within FlapWindow of the last return.
	ReturnAfter    = 3 * time.Second
	ReturnFlapping = 15 * time.Second
	ReturnMost     = 2 * time.Minute
	FlapWindow     = 5 * time.Minute
	// AgentNews is how long an agent must refuse connections, or answer again, for
	// people to hear of it: longer than any restart, so that an agent which comes and
	// goes is no event each time.
	AgentNews = 10 * time.Second
	// MaxProbes bounds the probes asked for in one pass; the rest is asked for
	// AskAgain later. Three witnesses each: 200 dials in flight.
	MaxProbes = 64
)
