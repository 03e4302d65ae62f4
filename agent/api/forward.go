package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"skein/agent/api/cutoff"
	"skein/agent/api/refusal"
	"skein/agent/api/types"
)

// forwardedCall is something only a leader can do.
type forwardedCall struct {
	trust  Trust
	by     string // who asked, for the next host; empty for reads
	token  string // receipt of a write, sent along
	body   []byte
	public bool // the answer must hold no secrets
	here   func(v Voter) error
}

// withLeader makes a call here while this host leads, and forwards it otherwise. It
// repeats that until there is an answer or its time is over. The calls are safe to
// repeat: reads, and writes with a receipt.
func (a *API) withLeader(w http.ResponseWriter, r *http.Request, e forwardedCall) error {
	if v := a.Voter(); hops(r, e.trust) >= maxHops && (v == nil || !v.IsLeader()) {
		w.Header().Set(headerAstray, "1")
		return refusal.New(http.StatusServiceUnavailable, "no-leader", errAstray.Error(), "repeat it").After(2 * time.Second)
	}
	ctx, cancel := context.WithTimeout(r.Context(), a.patience(r, e.trust))
	defer cancel()
	deadline, _ := ctx.Deadline()
	var last error
	for {
		done, err := a.tryLeader(ctx, w, r, e, deadline)
		if done {
			return err
		}
		if err != nil {
			last = err
		}
		if a.alone() {
			return refusal.New(http.StatusServiceUnavailable, "cut-off",
				"this host hears no voter, so nothing can be changed or proven from here; its tasks keep running",
				"ask a host that is not cut off, or repeat later with the same client token").After(5 * time.Second)
		}
		select {
		case <-ctx.Done():
			return noLeader(last)
		case <-time.After(retryPause):
		}
	}
}

// tryLeader reports done when there is an answer, good or bad.
func (a *API) tryLeader(
	ctx context.Context, w http.ResponseWriter, r *http.Request, e forwardedCall, deadline time.Time,
) (done bool, err error) {
	v := a.Voter()
	if v != nil && v.IsLeader() {
		err = e.here(v)
		again := errors.Is(err, ErrNotLeader) || errors.Is(err, ErrUnknown)
		return !again, err
	}
	if a.Forward == nil {
		return false, errNobody
	}
	out := a.outgoing(r.WithContext(ctx), e.body, e.trust, time.Until(deadline), e.by, e.public)
	if e.token != "" {
		out.Header.Set(types.HeaderToken, e.token)
	}
	answer := &leaderAnswer{ResponseWriter: w, header: http.Header{}, askedFirst: hops(r, e.trust) == 0}
	err = a.Forward.Forward(answer, out, true)
	if err == nil && answer.astray {
		err = errAstray
	}
	if err != nil {
		a.metrics.forwarded("failed")
		return false, err
	}
	a.metrics.forwarded("answered")
	return true, nil
}

// errAstray says that voters took each other for the leader, as they may for a
// moment while the lead moves. Nothing was done.
var errAstray = errors.New("the request went from host to host and found no leader")

// leaderAnswer passes on what the leader answers. The host that was asked first
// keeps back the answer of a host that the request went astray to: it tries again.
type leaderAnswer struct {
	http.ResponseWriter
	header     http.Header
	askedFirst bool
	begun      bool
	astray     bool
}

func (l *leaderAnswer) Header() http.Header { return l.header }

func (l *leaderAnswer) WriteHeader(status int) {
	if l.begun {
		return
	}
	l.begun = true
	if l.astray = l.askedFirst && l.header.Get(headerAstray) != ""; l.astray {
		return
	}
	maps.Copy(l.ResponseWriter.Header(), l.header)
	l.ResponseWriter.WriteHeader(status)
}

func (l *leaderAnswer) Write(b []byte) (int, error) {
	if l.WriteHeader(http.StatusOK); l.astray {
		return len(b), nil
	}
	return l.ResponseWriter.Write(b)
}

// FlushError sends what was passed on, and nothing while nothing was: a flush of the writer
// below would send a status of its own, 200.
func (l *leaderAnswer) FlushError() error {
	if !l.begun || l.astray {
		return nil
	}
	return http.NewResponseController(l.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach deadlines.
func (l *leaderAnswer) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func noLeader(last error) error {
	message := "no leader answered in time; nothing was confirmed"
	if errors.Is(last, ErrUnknown) {
		message = "the change was proposed and may still be made, but nobody confirmed it"
	}
	if errors.Is(last, ErrBusy) {
		message = "the leader has more work than it can take"
	}
	if last != nil {
		message += " (" + last.Error() + ")"
	}
	return refusal.New(http.StatusServiceUnavailable, "no-leader", message,
		"repeat with the same client token: it is never done twice").After(2 * time.Second)
}

// patience is how long a call may wait for a leader; it is less for a call that has
// waited at another host.
func (a *API) patience(r *http.Request, trust Trust) time.Duration {
	wait := electionWait
	if trust == TrustVoter || trust == TrustToken {
		if ms, err := strconv.Atoi(r.Header.Get(headerWait)); err == nil && ms >= 0 {
			wait = min(wait, time.Duration(ms)*time.Millisecond*9/10)
		}
	}
	return wait
}

func (a *API) alone() bool {
	return a.Voter() == nil && a.Local != nil && !a.Local.AloneSince().IsZero()
}

// outgoing is a copy of a request for another host, free of what only a peer
// may say and with what this host says.
func (a *API) outgoing(
	r *http.Request, body []byte, trust Trust, wait time.Duration, by string, public bool,
) *http.Request {
	out := r.Clone(r.Context())
	for _, h := range []string{headerHops, headerBy, headerWait, headerPublic} {
		out.Header.Del(h)
	}
	out.Header.Set(headerHops, strconv.Itoa(hops(r, trust)+1))
	out.Header.Set(headerWait, strconv.FormatInt(max(0, wait.Milliseconds()), 10))
	if by != "" {
		out.Header.Set(headerBy, by)
	}
	if public {
		out.Header.Set(headerPublic, "1")
	}
	out.Body, out.GetBody, out.ContentLength = http.NoBody, nil, 0
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		out.ContentLength = int64(len(body))
	}
	return out
}

// hops counts the hosts a request came through; only peers may say so.
func hops(r *http.Request, trust Trust) int {
	if trust != TrustVoter && trust != TrustToken {
		return 0
	}
	n, err := strconv.Atoi(r.Header.Get(headerHops))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// recorder keeps a copy of an answer while it passes, up to a bound.
type recorder struct {
	http.ResponseWriter
	status int
	body   []byte
	over   bool
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.over = r.over || len(r.body)+len(b) > cutoff.MaxAnswer; r.over {
		r.body = nil
	} else {
		r.body = append(r.body, b...)
	}
	n, err := r.ResponseWriter.Write(b)
	r.over = r.over || err != nil
	return n, err
}

// Unwrap lets http.ResponseController reach flushing and deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) complete() bool { return r.status == http.StatusOK && !r.over }
