package raftfsm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"skein/runtime/seam/clock"
)

// logEvery is how often one message of the library is repeated: it says "failed
// to heartbeat" many times a second for as long as a peer is away.
const logEvery = 30 * time.Second

// skippedReplay is said at every start, since the library is told to replay
// nothing (store.GetCommitIndex).
const skippedReplay = "skipping application of old log"

// libraryLog hands the library's log to ours. The node itself logs leadership, stalls
// and snapshots, so the library's levels go one step down: its info is our debug, and
// its errors, nearly all of which heal, are our warnings.
type libraryLog struct {
	log   *slog.Logger
	clock clock.Clock

	mu   sync.Mutex
	said map[string]*repeated
}

type repeated struct {
	last    time.Duration
	dropped int
}

func newLibraryLog(log *slog.Logger, clock clock.Clock) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Off, Output: io.Discard})
	l.RegisterSink(&libraryLog{log: log, clock: clock, said: map[string]*repeated{}})
	return l
}

// Accept implements hclog.SinkAdapter.
func (l *libraryLog) Accept(_ string, level hclog.Level, message string, args ...any) {
	at := levelOf(level)
	if message == skippedReplay {
		at = slog.LevelDebug
	}
	ctx := context.Background()
	if !l.log.Enabled(ctx, at) {
		return
	}
	dropped, say := l.mayRepeat(message, at)
	if !say {
		return
	}
	attrs := []slog.Attr{slog.String("message", message)}
	if dropped > 0 {
		attrs = append(attrs, slog.Int("repeated", dropped))
	}
	for i := 0; i+1 < len(args); i += 2 {
		attrs = append(attrs, slog.String(keyOf(args[i]), valueOf(args[i+1])))
	}
	l.log.LogAttrs(ctx, at, "raft library reported", attrs...)
}

func levelOf(level hclog.Level) slog.Level {
	switch level {
	case hclog.Error:
		return slog.LevelWarn
	case hclog.Warn:
		return slog.LevelInfo
	default:
		return slog.LevelDebug
	}
}

// mayRepeat counts what is held back; debug output is not.
func (l *libraryLog) mayRepeat(message string, at slog.Level) (dropped int, say bool) {
	if at < slog.LevelInfo {
		return 0, true
	}
	now := l.clock.Mono()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.said[message]
	if r == nil { // messages are constants of the library: some hundred
		l.said[message] = &repeated{last: now}
		return 0, true
	}
	if now-r.last < logEvery {
		r.dropped++
		return 0, false
	}
	dropped, r.last, r.dropped = r.dropped, now, 0
	return dropped, true
}

// keyOf makes our kind of key of the library's: "last-index" is last_index.
func keyOf(key any) string {
	text := fmt.Sprint(key)
	if text == "error" {
		return "err"
	}
	return strings.ReplaceAll(text, "-", "_")
}

func valueOf(value any) string {
	if f, ok := value.(hclog.Format); ok && len(f) > 0 {
		return fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
	}
	return fmt.Sprint(value)
}
