package link

import "time"

const (
	// VoterSilence is when a host leaves a voter it does not hear: one beat lost
	// and half of the next.
	VoterSilence = 1500 * time.Millisecond
	// StaleLeader is the leader age from which hosts look for a fresher voter.
	StaleLeader = 5 * time.Second
	// HomeAgain is when a voter that streams from itself looks for another.
	HomeAgain = 30 * time.Second
	// BackoffMost bounds the wait between two tries.
	BackoffMost = 2 * time.Second
	// SessionTime bounds the wait for a session: a commit, through an election.
	SessionTime = 15 * time.Second
	// ReportTime bounds one round of a report over all voters.
	ReportTime = 15 * time.Second

	backoffBase    = 100 * time.Millisecond // full jitter's base and ceiling: a cold start must not wait
	clonedPause    = 5 * time.Second        // another machine has our identity: until it falls silent
	refusedBackoff = 10 * time.Second       // forgotten, revoked, too old: a person must act
	notVoterPause  = 10 * time.Second       // it has left the voters
	// a voter that failed comes after others for so long: a round of 7 that time out
	failedFor = time.Minute
	staleFor  = 10 * time.Second // how long a voter with an old leader is passed over
	// reconnectJitter per stream of the voter that was lost: 3,333 hosts come back
	// over 5 s, three at once.
	reconnectJitter    = 1500 * time.Microsecond
	maxReconnectJitter = 5 * time.Second
)
