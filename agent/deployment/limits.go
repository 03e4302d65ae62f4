package deployment

import "time"

// Limits. An input and an outcome are rows of State, at most fleet.MaxEffectInput and
// fleet.MaxEffectOutcome bytes.
const (
	// MaxDetails bounds the details of a hook, as given and as merged with what it gave back.
	MaxDetails = 1 << 10
	// MaxURL bounds an address that is asked, and MaxQuery a PromQL expression.
	MaxURL   = 512
	MaxQuery = 2 << 10
	// MaxAnswer bounds what is read of an answer to a hook or a query.
	MaxAnswer = 64 << 10
	// MaxTail bounds the last lines of a hook task's log, in bytes and in lines. With the
	// name of the hook and where it failed they fit into a reason (fleet.MaxReason), of which
	// the end would be cut: the newest lines.
	MaxTail      = 700
	MaxTailLines = 20
	// MaxProbeBody bounds what is read of an answer to a probe.
	MaxProbeBody = 1 << 20
	maxWhy       = 512
	maxReason    = 128 // of a rollback, in a payload
)

// CallFor bounds one call of a webhook or one query: what takes longer answers
// IN_PROGRESS and is called again.
const CallFor = 30 * time.Second

// Waits that a hook may ask for between two calls, in seconds. DefaultCallBackS is
// ECS's. Source: ECS guide, lifecycle hooks for service deployments.
const (
	DefaultCallBackS = 30
	minCallBackS     = 1
	maxCallBackS     = 3600
)
