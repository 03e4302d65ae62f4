package rpc

import (
	"errors"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Result is a command's result as it travels back to a voter that forwarded it.
type Result struct {
	IDs     []string `cbor:"1,keyasint,omitempty"`
	Dropped int      `cbor:"2,keyasint,omitempty"`
	Code    string   `cbor:"3,keyasint,omitempty"` // set: refused
	Message string   `cbor:"4,keyasint,omitempty"`
	Field   string   `cbor:"5,keyasint,omitempty"` // of a fleet.FieldError
	Why     string   `cbor:"6,keyasint,omitempty"`
}

// EncodeResults gives results the form in which they travel.
func EncodeResults(results []fleet.Result) []Result {
	out := make([]Result, len(results))
	for i, r := range results {
		out[i] = Result{IDs: r.IDs, Dropped: r.Dropped}
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

// DecodeResults is the reverse; refusals are the sentinels that they were.
func DecodeResults(results []Result) []fleet.Result {
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
