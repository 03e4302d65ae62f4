package stream

import "time"

const (
	// Coalesce gathers changes after the first, which leaves at once: the wake-up
	// costs more than the bytes.
	Coalesce = 20 * time.Millisecond
	// CatchUp is how long a stream waits for this voter to reach what its host has
	// seen already.
	CatchUp = 2 * time.Second
	// MaxHostFrame bounds what a host may send in one frame: a capacity report.
	MaxHostFrame = 64 << 10
	// pieceDefs, pieceTasks and pieceRemoved bound one frame on the wire:
	// definitions of 64 KiB, tasks with a hundred ports and names at their limit stay
	// below 4 MiB together, and a usual host (20 to 100 tasks) gets one or two.
	pieceDefs    = 16
	pieceTasks   = 64
	pieceRemoved = 16_384
	// maxFrameTasks bounds what a host puts together: a hundred times what it runs.
	maxFrameTasks = 20_000
)
