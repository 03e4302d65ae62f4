// Package intake is what a voter makes of what hosts bring to it: whether a session
// is opened, whether a report is committed, and how reports of many hosts go into few
// entries of the log.
//
// It holds pure rules and drivers: a Step takes what happened and returns what to do.
// The peer port runs them with goroutines and connections, the simulator over simulated
// time. It proposes nothing itself, and does not know who leads or where.
package intake

import "time"

const (
	// Gather is how long the leader waits for more reports before it proposes.
	Gather = 5 * time.Millisecond
	// GatherItems and GatherBytes close a batch: an entry holds 256 commands and
	// 512 KiB, and the report that passes GatherBytes is still in it.
	GatherItems = 256
	GatherBytes = 96 << 10
	// MaxWaiting refuses more reports than can be waiting at once.
	MaxWaiting = 4096
	// BatchesInFlight lets the next batch be logged while one commits.
	BatchesInFlight = 4

	// ProposeWait is how long a proposal waits for a leader: an election takes 1
	// to 4 s, clients give up after 10.
	ProposeWait = 10 * time.Second
	// ProposePause is the wait between two looks for a leader.
	ProposePause = 50 * time.Millisecond
	// CallTime bounds a proposal of reports, and any call that is not a stream.
	CallTime = 30 * time.Second
)
