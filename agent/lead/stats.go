package lead

import "maps"

// Stats are counts since the loop was made, for metrics.
type Stats struct {
	Passes       uint64
	FullPasses   uint64
	Proposals    uint64
	Commands     uint64
	Probes       uint64
	Visited      uint64 // subjects that planners looked at, where they count
	StepDowns    uint64
	ApplyRefused uint64            // commands the log refused though the fold took them: State moved meanwhile
	FoldRefused  map[string]uint64 // commands the fold refused, by planner: each is a bug
}

func (s Stats) clone() Stats {
	s.FoldRefused = maps.Clone(s.FoldRefused)
	return s
}
