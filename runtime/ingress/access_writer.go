package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// AccessWriter is an AccessLog that writes lines of JSON: all requests that failed, and one
// in so many of the others, together at most so many a second. It holds up nobody, whatever
// the disk does: what is too much is counted, and lost. The count stands in the next line that
// is written.
type AccessWriter struct {
	one     uint64 // in so many
	seen    atomic.Uint64
	dropped atomic.Uint64
	queue   chan Access
	limit   *rate.Limiter
}

const (
	// accessQueue is how many requests wait to be written at most.
	accessQueue = 1024
	// accessRate is how many lines are written a second, accessBurst at once: about 100 KB
	// a second when everything fails.
	accessRate  = 250
	accessBurst = 1000
	// accessBatch is how many bytes are written at once, and a line more.
	accessBatch = 16 << 10
	// accessPause is how long nothing is written after the disk has failed. What comes
	// meanwhile is dropped.
	accessPause = 5 * time.Second
)

// NewAccessWriter samples one of so many requests; 0 and 1 are all of them.
func NewAccessWriter(oneOf int) *AccessWriter {
	return &AccessWriter{
		one: uint64(max(oneOf, 1)), queue: make(chan Access, accessQueue), limit: rate.NewLimiter(accessRate, accessBurst),
	}
}

// Wants is AccessLog's. No answer at all, and answers from 500, are failures.
func (a *AccessWriter) Wants(status int) bool {
	if a.seen.Add(1)%a.one != 0 && !failed(status) {
		return false
	}
	if !a.limit.Allow() || len(a.queue) == cap(a.queue) {
		a.dropped.Add(1)
		return false
	}
	return true
}

func failed(status int) bool { return status < 100 || status >= 500 }

// Write is AccessLog's.
func (a *AccessWriter) Write(entry Access) {
	if !failed(entry.Status) && a.one > 1 {
		entry.Sampled = int(a.one)
	}
	select {
	case a.queue <- entry:
	default:
		a.dropped.Add(1)
	}
}

// Dropped is how many requests were to be written and were not.
func (a *AccessWriter) Dropped() uint64 { return a.dropped.Load() }

// Run writes to w until ctx ends, then what is left. Each piece that w gets is of whole lines.
// Where w fails, that is said once, and w is left alone for a while.
func (a *AccessWriter) Run(ctx context.Context, w io.Writer, log *slog.Logger) {
	out := accessOut{writer: a, w: w, log: log}
	out.encoder = json.NewEncoder(&out.lines)
	for {
		select {
		case entry := <-a.queue:
			out.add(entry)
			continue
		default:
		}
		out.flush()
		if ctx.Err() != nil && len(a.queue) == 0 {
			return
		}
		select {
		case entry := <-a.queue:
			out.add(entry)
		case <-ctx.Done():
		}
	}
}

// accessOut gathers lines.
type accessOut struct {
	writer  *AccessWriter
	w       io.Writer
	log     *slog.Logger
	lines   bytes.Buffer
	encoder *json.Encoder
	n       uint64 // lines that were gathered
	told    uint64 // of what was dropped, with the lines that were gathered
	kept    uint64 // of that, what stands in lines that w took
	resume  time.Time
	failing bool
}

func (o *accessOut) add(entry Access) {
	dropped := o.writer.dropped.Load()
	entry.Dropped = dropped - o.told
	if err := o.encoder.Encode(entry); err != nil { // no field can make it fail
		o.writer.dropped.Add(1)
		return
	}
	o.n++
	o.told = dropped
	if o.lines.Len() >= accessBatch {
		o.flush()
	}
}

func (o *accessOut) flush() {
	if o.n == 0 {
		return
	}
	defer func() { o.lines.Reset(); o.n = 0 }()
	if time.Now().Before(o.resume) {
		o.lose()
		return
	}
	_, err := o.w.Write(o.lines.Bytes())
	if err == nil {
		o.failing, o.kept = false, o.told
		return
	}
	o.lose()
	o.resume = time.Now().Add(accessPause)
	if !o.failing {
		o.log.Warn("access log not written; requests are served all the same", "err", err)
	}
	o.failing = true
}

// lose counts the lines that were gathered as dropped, and what they said of others as untold.
func (o *accessOut) lose() {
	o.writer.dropped.Add(o.n)
	o.told = o.kept
}
