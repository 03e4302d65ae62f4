package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"skein/agent/api/refusal"
	"skein/agent/api/types"
)

// refusalOf is refusal.Of for all errors but the outcomes of a proposal, which are
// this package's own.
func refusalOf(err error) *refusal.Refusal {
	var known *refusal.Refusal
	if !errors.As(err, &known) && errors.Is(err, ErrBusy) {
		return refusal.New(http.StatusServiceUnavailable, "busy", err.Error(),
			"wait and repeat with the same client token").After(time.Second)
	}
	return refusal.Of(err)
}

func (a *API) writeError(w http.ResponseWriter, r *http.Request, err error) {
	refused := refusalOf(err)
	if refused.Status >= http.StatusInternalServerError && refused.Problem.Code == "internal" {
		a.Log.Error("request failed", "method", r.Method, "path", types.Clean(r.URL.Path), "err", err)
	}
	if refused.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((refused.RetryAfter+time.Second-1)/time.Second)))
	}
	answer := types.ErrorAnswer{Error: refused.Problem}
	answer.Error.Message = types.Clean(answer.Error.Message)
	writeJSON(w, refused.Status, answer)
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
