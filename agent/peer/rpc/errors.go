package rpc

import (
	"errors"

	"skein/agent/peer/protocol"
)

// NotDone reports whether an error of a call or a proposal says that nothing was
// done and nothing will be: it was refused, or never sent. Of any other error the
// outcome is unknown.
func NotDone(err error) bool {
	if errors.Is(err, protocol.ErrUnknown) {
		return false // whatever else it says
	}
	if NotSent(err) {
		return true
	}
	for _, c := range protocol.Codes {
		if errors.Is(err, c.Err) {
			return true
		}
	}
	return false
}

// NotSent reports whether an error means that nothing was asked of anybody, so
// that asking again, or another, is safe for any request.
func NotSent(err error) bool {
	var unsent *NotSentError
	return errors.As(err, &unsent)
}

// NotSentError is of a call for which no connection was made: nothing was asked of
// anybody.
type NotSentError struct{ Err error }

func (e *NotSentError) Error() string { return e.Err.Error() }
func (e *NotSentError) Unwrap() error { return e.Err }
