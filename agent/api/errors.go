package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
)

// refusal is an error with its place in HTTP.
type refusal struct {
	status  int
	problem types.Problem
	retry   time.Duration // Retry-After, 0 for none
}

func (r *refusal) Error() string { return r.problem.Code + ": " + r.problem.Message }

func refuse(status int, code, message, hint string) *refusal {
	return &refusal{status: status, problem: types.Problem{Code: code, Message: message, Hint: hint}}
}

func (r *refusal) after(d time.Duration) *refusal {
	r.retry = d
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
	{fleet.ErrConflict, http.StatusConflict, "conflict", ""},
	{fleet.ErrTokenRefused, http.StatusForbidden, "token-refused", ""},
	{fleet.ErrNoFleet, http.StatusServiceUnavailable, "no-fleet", "run skein init, or wait for the fleet to start"},
	{ErrBusy, http.StatusServiceUnavailable, "busy", "wait and repeat with the same client token"},
	{fleet.ErrInvalid, http.StatusBadRequest, "invalid", ""},
}

// asRefusal finds the place of any error in HTTP. What nobody foresaw is 500.
func asRefusal(err error) *refusal {
	var known *refusal
	if errors.As(err, &known) {
		return known
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			r := refuse(s.status, s.code, err.Error(), s.hint)
			if r.fields(err); s.status == http.StatusServiceUnavailable {
				r.retry = time.Second
			}
			return r
		}
	}
	return refuse(http.StatusInternalServerError, "internal", err.Error(), "see the agent's log")
}

func (r *refusal) fields(err error) {
	var field *fleet.FieldError
	if errors.As(err, &field) {
		r.problem.Field = field.Field
	}
	var list *strictjson.Errors
	if errors.As(err, &list) && len(list.Fields) > 1 {
		for _, f := range list.Fields {
			r.problem.Fields = append(r.problem.Fields, types.FieldProblem{Field: f.Field, Message: f.Why})
		}
	}
}

func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	problem := asRefusal(err)
	if problem.status >= http.StatusInternalServerError && problem.problem.Code == "internal" {
		a.Log.Error("request failed", "method", r.Method, "path", clean(r.URL.Path), "err", err)
	}
	if problem.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((problem.retry+time.Second-1)/time.Second)))
	}
	answer := types.ErrorAnswer{Error: problem.problem}
	answer.Error.Message = clean(answer.Error.Message)
	writeJSON(w, problem.status, answer)
}

// writeJSON writes an answer. A client that is gone is nobody's error.
func writeJSON(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic("api: an answer cannot be encoded: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
