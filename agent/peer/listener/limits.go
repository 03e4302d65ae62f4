package listener

import "time"

// Unauthenticated connections must not exhaust memory or descriptors (CVE-2020-7218 is of that class).
const (
	// MaxHalfOpen bounds connections without a verified certificate; joins count
	// for their whole life. A half-open one costs about 30 KiB.
	MaxHalfOpen = 1024
	// MaxHalfOpenPerSource keeps one address from using them all.
	MaxHalfOpenPerSource = 64
	// MaxHandshake bounds the bytes that a peer may send before it is verified: ten times
	// what two certificates of ours take. Without it a chain may have 256 KiB.
	MaxHandshake = 32 << 10
	// drainTime and drainBytes bound what is read from a peer that was refused.
	drainTime  = 200 * time.Millisecond
	drainBytes = 64 << 10
	// queue is how many verified connections may wait for a protocol's server; more
	// means that it is stuck.
	queue = 256
)
