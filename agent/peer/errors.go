package peer

import (
	"errors"
	"net/http"
	"slices"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// Sentinels of calls between agents.
var (
	ErrNotLeader = errors.New("not the leader")
	ErrNoLeader  = errors.New("the fleet has no leader right now")
	// ErrUnknown: the request may have been carried out, or may still be.
	ErrUnknown   = errors.New("outcome unknown")
	ErrStalled   = errors.New("disk stalled")
	ErrBusy      = errors.New("busy")
	ErrTooLarge  = errors.New("too large")
	ErrBehind    = errors.New("this voter is behind")
	ErrForbidden = errors.New("forbidden")
	ErrNotHere   = errors.New("this host is not a voter")
	ErrTryOther  = errors.New("another voter is to be preferred")
	ErrNoVoter   = errors.New("no voter answers")
	ErrMalformed = errors.New("malformed")
	// ErrCloned: another machine with this host's identity is alive.
	ErrCloned = errors.New("cloned disk?")
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
	for _, c := range codes {
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

// codes are the refusals of the peer port, each with its name on the wire.
var codes = slices.Concat([]trust.Code{
	{Name: "not-leader", Status: http.StatusServiceUnavailable, Err: ErrNotLeader},
	{Name: "no-leader", Status: http.StatusServiceUnavailable, Err: ErrNoLeader},
	{Name: "unknown", Status: http.StatusServiceUnavailable, Err: ErrUnknown},
	{Name: "stalled", Status: http.StatusServiceUnavailable, Err: ErrStalled},
	{Name: "busy", Status: http.StatusServiceUnavailable, Err: ErrBusy},
	{Name: "behind", Status: http.StatusServiceUnavailable, Err: ErrBehind},
	{Name: "not-here", Status: http.StatusMisdirectedRequest, Err: ErrNotHere},
	{Name: "too-large", Status: http.StatusRequestEntityTooLarge, Err: ErrTooLarge},
	{Name: "forbidden", Status: http.StatusForbidden, Err: ErrForbidden},
	{Name: "cloned", Status: http.StatusConflict, Err: ErrCloned},
	{Name: "malformed", Status: http.StatusBadRequest, Err: ErrMalformed},
	{Name: "no-fleet-key", Status: http.StatusServiceUnavailable, Err: trust.ErrNoFleetKey},
	{Name: "sealed", Status: http.StatusBadRequest, Err: trust.ErrSealed},
	{Name: "no-fleet", Status: http.StatusServiceUnavailable, Err: fleet.ErrNoFleet},
	{Name: "fleet-exists", Status: http.StatusConflict, Err: fleet.ErrFleetExists},
	{Name: "not-found", Status: http.StatusNotFound, Err: fleet.ErrNotFound},
	{Name: "exists", Status: http.StatusConflict, Err: fleet.ErrExists},
	{Name: "moved", Status: http.StatusConflict, Err: fleet.ErrMoved},
	{Name: "old-session", Status: http.StatusConflict, Err: fleet.ErrOldSession},
	{Name: "not-placeable", Status: http.StatusConflict, Err: fleet.ErrNotPlaceable},
	{Name: "does-not-fit", Status: http.StatusConflict, Err: fleet.ErrDoesNotFit},
	{Name: "port-taken", Status: http.StatusConflict, Err: fleet.ErrPortTaken},
	{Name: "bound", Status: http.StatusConflict, Err: fleet.ErrBound},
	{Name: "too-early", Status: http.StatusConflict, Err: fleet.ErrTooEarly},
	{Name: "conflict", Status: http.StatusConflict, Err: fleet.ErrConflict},
	{Name: "receipt-reused", Status: http.StatusConflict, Err: fleet.ErrReceiptReused},
	{Name: "format-ahead", Status: http.StatusConflict, Err: fleet.ErrFormatAhead},
	{Name: "limit", Status: http.StatusConflict, Err: fleet.ErrLimit},
}, trust.Codes)

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
		p, _ := trust.ProblemOf(r.Err, codes)
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
			out[i].Err = trust.Problem{Code: r.Code, Message: r.Message}.Err(codes)
		}
	}
	return out
}
