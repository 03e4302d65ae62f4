// Package ratelog is a log for what others cause: a stranger who scans a port, or a peer that is refused again and
// again, must not fill the disk. What is left out is counted, and told with the next line.
//
// It does not say what is worth a line, nor count for metrics.
package ratelog

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// linesPerSecond and burst bound the lines of one key.
const (
	linesPerSecond = 5
	burst          = 20
)

// Log writes of each key so many lines a second, and with the next one how many were left out. Keys are constants:
// each is kept for ever. It is safe for concurrent use.
type Log struct {
	log  *slog.Logger
	mu   sync.Mutex
	keys map[string]*key
}

type key struct {
	limit   *rate.Limiter
	skipped int
}

// New makes a log that writes to another.
func New(log *slog.Logger) *Log { return &Log{log: log, keys: map[string]*key{}} }

// Warn is Say at the level of warnings.
func (l *Log) Warn(name, message string, attrs ...any) {
	l.Say(slog.LevelWarn, name, message, attrs...)
}

// Say writes a line, or counts it as left out.
func (l *Log) Say(level slog.Level, name, message string, attrs ...any) {
	l.mu.Lock()
	k := l.keys[name]
	if k == nil {
		k = &key{limit: rate.NewLimiter(linesPerSecond, burst)}
		l.keys[name] = k
	}
	if !k.limit.Allow() {
		k.skipped++
		l.mu.Unlock()
		return
	}
	if k.skipped > 0 {
		attrs = append(attrs, "left_out", k.skipped)
		k.skipped = 0
	}
	l.mu.Unlock()
	l.log.Log(context.Background(), level, message, attrs...)
}
