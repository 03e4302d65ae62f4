package fleet

import (
	"errors"
	"fmt"
)

// Sentinels of refusals. A refusal is an answer, not a fault: State is as it
// was before.
var (
	ErrNoFleet       = errors.New("no fleet yet")
	ErrFleetExists   = errors.New("a fleet exists already")
	ErrNotFound      = errors.New("not found")
	ErrExists        = errors.New("exists already")
	ErrInvalid       = errors.New("invalid")
	ErrMoved         = errors.New("changed meanwhile")
	ErrOldSession    = errors.New("session is not the newest")
	ErrForgotten     = errors.New("host was forgotten")
	ErrTokenRefused  = errors.New("token refused")
	ErrNameTaken     = errors.New("name taken")
	ErrNotPlaceable  = errors.New("host takes no tasks")
	ErrDoesNotFit    = errors.New("does not fit")
	ErrPortTaken     = errors.New("port taken")
	ErrBound         = errors.New("passes the upper bound")
	ErrNoGoals       = errors.New("no planner has said how many tasks there are to be")
	ErrNotInGoals    = errors.New("not a revision that there are to be tasks of")
	ErrTooEarly      = errors.New("too early")
	ErrConflict      = errors.New("not in this state")
	ErrReceiptReused = errors.New("client token was used with another request")
	ErrLimit         = errors.New("limit reached")
	// ErrFormatAhead: the fleet's format is below the one that brought the command
	// or a field of it, because some agents cannot read it yet.
	ErrFormatAhead = errors.New("not before every agent is upgraded and the fleet's format is raised")
	// ErrAgentTooOld: the agent cannot read what the fleet writes any more.
	ErrAgentTooOld = errors.New("the agent is too old for this fleet, upgrade skein on this host")
)

// FieldError is a refusal of one field of a request, by its path.
type FieldError struct {
	Field string // "containerDefinitions[0].memory"
	Why   string // what was wrong and what is allowed
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Why // of all that was given
	}
	return e.Field + ": " + e.Why
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// refuse wraps a sentinel with "verb object: detail".
func refuse(sentinel error, format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, sentinel)...)
}
