package peer

import (
	"context"
	"time"
)

const (
	// confirmEvery is how often a leader has a quorum confirm that it leads, and a voter
	// that streams to hosts with entry addresses asks the leader how far it is.
	confirmEvery = 100 * time.Millisecond
	// confirmWithin bounds one confirmation: a later one says nothing that is worth a lease.
	confirmWithin = 500 * time.Millisecond
	// leasedFor is how long a voter keeps on after such a host was heard.
	leasedFor = 5 * time.Second
)

// confirm has a quorum say whether this voter leads, where hosts hold entry addresses: a
// leader that stood still, or was deposed a moment ago, believes that it leads. It asks at
// most as often as the detector looks. e.mu is held.
func (e *FailureDetector) confirm(ctx context.Context, log Log) {
	if e.confirming || !log.State().HasEntryAddresses() {
		return
	}
	e.confirming = true
	asked := e.now()
	e.probes.Go(func() {
		bounded, cancel := context.WithTimeout(ctx, confirmWithin)
		defer cancel()
		err := log.Verify(bounded)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.confirming = false
		if err == nil {
			e.confirmed.Leads(asked)
		}
	})
}

// confirmedAge is how long ago State here was confirmed to be the newest; negative: never.
func (e *FailureDetector) confirmedAge(log Log) time.Duration {
	return e.confirmed.Age(e.now(), log.State().Index())
}

// confirmedMs is confirmedAge for a voter that asks its leader; nil: not lately.
func (e *FailureDetector) confirmedMs(log Log) *int64 {
	age := e.confirmedAge(log)
	if age < 0 || age > confirmWithin {
		return nil
	}
	ms := (age + time.Millisecond - 1).Milliseconds()
	return &ms
}
