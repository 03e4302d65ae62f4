package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet/wire"
)

// maxAnswer is the most bytes that are read of an answer.
const maxAnswer = 4 << 20

// ReadBody reads a body whose declared and real size are within the limit.
func ReadBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("body of %d bytes, at most %d: %w", r.ContentLength, limit, protocol.ErrTooLarge)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("body over %d bytes: %w", limit, protocol.ErrTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("read body: %w: %w", protocol.ErrMalformed, err)
	}
	return body, nil
}

// WithDeadline gives a call the time its caller still waits, at most CallTime.
func WithDeadline(r *http.Request) (context.Context, context.CancelFunc, error) {
	left := CallTime
	if text := r.Header.Get(DeadlineHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", DeadlineHeader, protocol.ErrMalformed)
		}
		if ms <= 0 {
			return nil, nil, fmt.Errorf("the caller's time is up: %w", protocol.ErrBusy)
		}
		left = min(left, time.Duration(min(ms, CallTime.Milliseconds()))*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(r.Context(), left)
	return ctx, cancel, nil
}

// Answer answers a call; nil says nothing but that it was done.
func Answer(w http.ResponseWriter, out any) {
	if out == nil {
		return
	}
	text, err := wire.Marshal(out)
	if err != nil {
		Refuse(w, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", AnswerType)
	_, _ = w.Write(text)
}

// Refuse answers a call with why it was not done.
func Refuse(w http.ResponseWriter, err error) {
	problem, status := trust.ProblemOf(err, protocol.Codes)
	text, encodeErr := wire.Marshal(problem)
	if encodeErr != nil {
		http.Error(w, "", status)
		return
	}
	w.Header().Set("Content-Type", AnswerType)
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// ReadAnswer reads the answer to a call: what it gives, or the other end's sentinel. out
// may be nil.
func ReadAnswer(response *http.Response, out any) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: read answer: %w", protocol.ErrUnknown, err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("%w: answer longer than %d bytes: %w", protocol.ErrUnknown, maxAnswer, protocol.ErrTooLarge)
	}
	if response.StatusCode != http.StatusOK {
		var problem trust.Problem
		if err := wire.Unmarshal(text, &problem); err != nil {
			return fmt.Errorf("%w: answered %s without a reason: %w", protocol.ErrUnknown, response.Status,
				protocol.ErrMalformed)
		}
		return problem.Err(protocol.Codes)
	}
	if out == nil {
		return nil
	}
	if err := wire.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: decode answer: %w: %w", protocol.ErrUnknown, protocol.ErrMalformed, err)
	}
	return nil
}
