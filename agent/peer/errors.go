package peer

import (
	"errors"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Sentinels of calls between agents: those of the protocol.
var (
	ErrNotLeader = protocol.ErrNotLeader
	ErrNoLeader  = protocol.ErrNoLeader
	ErrUnknown   = protocol.ErrUnknown
	ErrStalled   = protocol.ErrStalled
	ErrBusy      = protocol.ErrBusy
	ErrTooLarge  = protocol.ErrTooLarge
	ErrBehind    = protocol.ErrBehind
	ErrForbidden = protocol.ErrForbidden
	ErrNotHere   = protocol.ErrNotHere
	ErrTryOther  = protocol.ErrTryOther
	ErrNoVoter   = protocol.ErrNoVoter
	ErrMalformed = protocol.ErrMalformed
	ErrCloned    = protocol.ErrCloned
)

// NotDone reports whether an error of a call or a proposal says that nothing was
// done and nothing will be: it was refused, or never sent. Of any other error the
// outcome is unknown.
func NotDone(err error) bool {
	if errors.Is(err, ErrUnknown) {
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
	var dial *dialError
	return errors.As(err, &dial)
}

// result is a command's result as it travels back to a voter that forwarded it.
type result struct {
	IDs     []string `cbor:"1,keyasint,omitempty"`
	Dropped int      `cbor:"2,keyasint,omitempty"`
	Code    string   `cbor:"3,keyasint,omitempty"` // set: refused
	Message string   `cbor:"4,keyasint,omitempty"`
	Field   string   `cbor:"5,keyasint,omitempty"` // of a fleet.FieldError
	Why     string   `cbor:"6,keyasint,omitempty"`
}

func encodeResults(results []fleet.Result) []result {
	out := make([]result, len(results))
	for i, r := range results {
		out[i] = result{IDs: r.IDs, Dropped: r.Dropped}
		if r.Err == nil {
			continue
		}
		p, _ := trust.ProblemOf(r.Err, protocol.Codes)
		out[i].Code, out[i].Message = p.Code, p.Message
		var field *fleet.FieldError
		if errors.As(r.Err, &field) {
			out[i].Field, out[i].Why = field.Field, field.Why
		}
	}
	return out
}

func decodeResults(results []result) []fleet.Result {
	out := make([]fleet.Result, len(results))
	for i, r := range results {
		out[i] = fleet.Result{IDs: r.IDs, Dropped: r.Dropped}
		switch {
		case r.Code == "":
		case r.Field != "":
			out[i].Err = &fleet.FieldError{Field: r.Field, Why: r.Why}
		default:
			out[i].Err = trust.Problem{Code: r.Code, Message: r.Message}.Err(protocol.Codes)
		}
	}
	return out
}
