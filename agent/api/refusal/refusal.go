// Package refusal turns errors into answers of HTTP: status, code, field, what was
// refused and what to do.
//
// It owns the table of statuses and codes. It does not decide what is refused, and
// writes nothing to a client.
package refusal

import (
	"errors"
	"net/http"
	"time"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// Refusal is an error with its place in HTTP.
type Refusal struct {
	Status  int
	Problem types.Problem
	// RetryAfter is when to ask again, 0 for never.
	RetryAfter time.Duration
}

// Error is the code and what was refused.
func (r *Refusal) Error() string { return r.Problem.Code + ": " + r.Problem.Message }

// New returns a refusal: code is constant, for programs; hint says what to do.
func New(status int, code, message, hint string) *Refusal {
	return &Refusal{Status: status, Problem: types.Problem{Code: code, Message: message, Hint: hint}}
}

// After says when to ask again.
func (r *Refusal) After(d time.Duration) *Refusal {
	r.RetryAfter = d
	return r
}

// sentinels maps refusals of commands to HTTP.
var sentinels = []struct {
	err    error
	status int
	code   string
	hint   string
}{
	{strictjson.ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large", ""},
	{strictjson.ErrSyntax, http.StatusBadRequest, "syntax", ""},
	{fleet.ErrNotFound, http.StatusNotFound, "not-found", ""},
	{fleet.ErrReceiptReused, http.StatusConflict, "token-reused", "use a new client token for a new request"},
	{fleet.ErrMoved, http.StatusConflict, "moved", "read it again and repeat the change"},
	{fleet.ErrExists, http.StatusConflict, "exists", ""},
	{fleet.ErrNameTaken, http.StatusConflict, "name-taken", ""},
	{fleet.ErrTooEarly, http.StatusConflict, "too-early", ""},
	{fleet.ErrForgotten, http.StatusConflict, "forgotten", ""},
	{fleet.ErrBound, http.StatusConflict, "bound", ""},
	{fleet.ErrNoGoals, http.StatusConflict, "no-goals", ""},
	{fleet.ErrNotInGoals, http.StatusConflict, "not-in-goals", ""},
	{fleet.ErrLimit, http.StatusConflict, "limit", ""},
	{fleet.ErrFormatAhead, http.StatusConflict, "format-ahead", "upgrade every agent, then run skein fleet finalize"},
	{fleet.ErrPortTaken, http.StatusConflict, "port-taken", "choose another port"},
	{fleet.ErrConflict, http.StatusConflict, "conflict", ""},
	{fleet.ErrTokenRefused, http.StatusForbidden, "token-refused", ""},
	{fleet.ErrNoFleet, http.StatusServiceUnavailable, "no-fleet", "run skein init, or wait for the fleet to start"},
	{fleet.ErrInvalid, http.StatusBadRequest, "invalid", ""},
}

// Of returns the refusal that an error stands for; an error that no row names is 500.
func Of(err error) *Refusal {
	var known *Refusal
	if errors.As(err, &known) {
		return known
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			r := New(s.status, s.code, err.Error(), s.hint)
			if r.fields(err); s.status == http.StatusServiceUnavailable {
				r.RetryAfter = time.Second
			}
			return r
		}
	}
	return New(http.StatusInternalServerError, "internal", err.Error(), "see the agent's log")
}

func (r *Refusal) fields(err error) {
	var field *fleet.FieldError
	if errors.As(err, &field) {
		r.Problem.Field = field.Field
	}
	var list *strictjson.Errors
	if errors.As(err, &list) && len(list.Fields) > 1 {
		for _, f := range list.Fields {
			r.Problem.Fields = append(r.Problem.Fields, types.FieldProblem{Field: f.Field, Message: f.Why})
		}
	}
}
