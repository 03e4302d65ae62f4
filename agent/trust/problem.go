package trust

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"skein/raftfsm/fleet"
)

// Problem is a refusal as it travels between agents: a code that becomes its
// sentinel again at the other end, and the reason for people.
type Problem struct {
	Code    string `cbor:"1,keyasint"`
	Message string `cbor:"2,keyasint"`
	RetryMs int64  `cbor:"3,keyasint,omitempty"` // try again after; 0: it will not help
}

// Code ties a sentinel to its name on the wire and its HTTP status.
type Code struct {
	Name   string
	Status int
	Err    error
}

// Codes are the refusals of joining, renewing and being let in. agent/peer adds
// its own.
var Codes = []Code{
	{"token-refused", http.StatusForbidden, fleet.ErrTokenRefused},
	{"name-taken", http.StatusConflict, fleet.ErrNameTaken},
	{"forgotten", http.StatusForbidden, fleet.ErrForgotten},
	{"revoked", http.StatusForbidden, ErrRevoked},
	{"wrong-key", http.StatusForbidden, ErrWrongKey},
	{"expired", http.StatusForbidden, ErrExpired},
	{"clock", http.StatusConflict, ErrClock},
	{"not-yet-valid", http.StatusForbidden, ErrNotYetValid},
	{"agent-too-old", http.StatusForbidden, fleet.ErrAgentTooOld},
	{"unknown-host", http.StatusForbidden, ErrUnknownHost},
	{"not-voter", http.StatusForbidden, ErrNotVoter},
	{"bad-certificate", http.StatusBadRequest, ErrBadCertificate},
	{"invalid", http.StatusBadRequest, fleet.ErrInvalid},
	{"try-again", http.StatusServiceUnavailable, ErrTryAgain},
}

// ProblemOf encodes an error by the first code it matches. What matches none is
// "fault" and 500.
func ProblemOf(err error, codes []Code) (Problem, int) {
	for _, c := range codes {
		if errors.Is(err, c.Err) {
			p := Problem{Code: c.Name, Message: err.Error()}
			if c.Status == http.StatusServiceUnavailable {
				p.RetryMs = retryAfter.Milliseconds()
			}
			return p, c.Status
		}
	}
	return Problem{Code: "fault", Message: err.Error()}, http.StatusInternalServerError
}

// retryAfter is what a refused caller is asked to wait: about an election.
const retryAfter = 500 * time.Millisecond

// maxProblem bounds what another agent may put in this one's log.
const maxProblem = 1024

// Err decodes a problem to its sentinel, with the other end's words.
func (p Problem) Err(codes []Code) error {
	if len(p.Message) > maxProblem {
		p.Message = p.Message[:maxProblem]
	}
	for _, c := range codes {
		if c.Name == p.Code {
			return &remoteError{message: p.Message, sentinel: c.Err}
		}
	}
	return fmt.Errorf("%s (%q)", p.Message, p.Code)
}

// remoteError has the text of the other end, which names the sentinel already.
type remoteError struct {
	message  string
	sentinel error
}

func (e *remoteError) Error() string { return e.message }
func (e *remoteError) Unwrap() error { return e.sentinel }
