package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync/atomic"
)

// AccessWriter is an AccessLog that writes lines of JSON: all requests that failed, and one
// in so many of the others. It holds up nobody: what comes while its queue is full is
// counted, and lost.
type AccessWriter struct {
	one     uint64 // in so many
	seen    atomic.Uint64
	dropped atomic.Uint64
	queue   chan Access
}

// accessQueue is how many requests wait to be written at most.
const accessQueue = 1024

// NewAccessWriter samples one of so many requests; 0 and 1 are all of them.
func NewAccessWriter(oneOf int) *AccessWriter {
	return &AccessWriter{one: uint64(max(oneOf, 1)), queue: make(chan Access, accessQueue)}
}

// Wants is AccessLog's. No answer at all, and answers from 500, are failures.
func (a *AccessWriter) Wants(status int) bool {
	return a.seen.Add(1)%a.one == 0 || status < 100 || status >= 500
}

// Write is AccessLog's.
func (a *AccessWriter) Write(entry Access) {
	select {
	case a.queue <- entry:
	default:
		a.dropped.Add(1)
	}
}

// Dropped is how many entries were lost.
func (a *AccessWriter) Dropped() uint64 { return a.dropped.Load() }

// Run writes to w until ctx ends, then what is left. Errors: w's.
func (a *AccessWriter) Run(ctx context.Context, w io.Writer) error {
	encoder := json.NewEncoder(w)
	for {
		select {
		case entry := <-a.queue:
			if err := encoder.Encode(entry); err != nil {
				return fmt.Errorf("write access log: %w", err)
			}
			continue
		default:
		}
		select {
		case entry := <-a.queue:
			if err := encoder.Encode(entry); err != nil {
				return fmt.Errorf("write access log: %w", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}
