package lead

import (
	"time"

	"skein/agent/plan"
)

const (
	// GatherFor is how long a nudge waits for company, GatherMost how long the
	// first of many may wait. Source: cmd/skein/DESIGN.md "Leader loop".
	GatherFor  = 5 * time.Millisecond
	GatherMost = 50 * time.Millisecond

	// TickEvery bounds the time between two looks at timers.
	TickEvery = time.Second

	// FullEvery is the time between full passes of one leader. Anything that incremental
	// passes miss is found within it. Source: cmd/skein/DESIGN.md "Host lifecycle".
	FullEvery = 5 * time.Minute

	// MaxEntryItems and MaxEntryBytes bound one entry of the log, so that no
	// commit holds up the disk or a heartbeat. Source: cmd/skein/DESIGN.md "Leader loop".
	MaxEntryItems = 256
	MaxEntryBytes = 512 << 10
	// MaxEntries bounds the entries of one pass, which commit one after the other
	// before the next pass: at 5 ms each a death seen meanwhile waits for 20 ms.
	MaxEntries = 4

	// UnknownAfter is how long a proposal may be under way. Past it nobody knows
	// whether it will commit, so this leader stops. Source: cmd/skein/DESIGN.md "Leader loop".
	UnknownAfter = 5 * time.Second

	// RetryFirst and RetryMost bound the pause before a full pass after commands
	// were refused at the log though the fold took them: State moved, or a bug;
	// either way the log must not fill with refusals.
	RetryFirst = time.Second
	RetryMost  = FullEvery

	// ClockOff is how far the leader's clock may be from the median of the ready
	// hosts' before it hands over; ClockSamples is how many hosts make a median.
	// Source: cmd/skein/DESIGN.md "Leader loop".
	ClockOff     = 2 * time.Second
	ClockSamples = plan.MinClockSamples
	// HandOverEvery bounds hand-overs. Each costs an election.
	HandOverEvery = time.Minute

	// PruneEvery is how often a leader looks for what nobody needs any more, and
	// PruneAgain how soon after it found some: one command removes a bounded part.
	// PruneKeep is what is kept at least: State refuses less than an hour, and
	// clocks differ.
	PruneEvery = 10 * time.Minute
	PruneAgain = time.Second
	PruneKeep  = time.Hour + time.Minute
)
