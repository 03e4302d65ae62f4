// Package protocol is what both ends of a connection between agents agree on
// whatever they ask of each other: the refusals and their names on the wire, the
// grant of a session and the beats of a stream. Messages of one concern live with
// it (stream, link).
package protocol

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

// Codes are the refusals of the peer port, each with its name on the wire.
var Codes = slices.Concat([]trust.Code{
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
	{Name: "no-goals", Status: http.StatusConflict, Err: fleet.ErrNoGoals},
	{Name: "not-in-goals", Status: http.StatusConflict, Err: fleet.ErrNotInGoals},
	{Name: "too-early", Status: http.StatusConflict, Err: fleet.ErrTooEarly},
	{Name: "conflict", Status: http.StatusConflict, Err: fleet.ErrConflict},
	{Name: "receipt-reused", Status: http.StatusConflict, Err: fleet.ErrReceiptReused},
	{Name: "format-ahead", Status: http.StatusConflict, Err: fleet.ErrFormatAhead},
	{Name: "limit", Status: http.StatusConflict, Err: fleet.ErrLimit},
}, trust.Codes)
