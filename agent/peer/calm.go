package peer

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// calm is a log for what others cause: of each key so many lines a second, and
// with the next one how many were left out. Keys are constants of this package.
type calm struct {
	log  *slog.Logger
	mu   sync.Mutex
	keys map[string]*calmKey
}

type calmKey struct {
	limit   *rate.Limiter
	skipped int
}

func newCalm(log *slog.Logger) *calm { return &calm{log: log, keys: map[string]*calmKey{}} }

func (c *calm) warn(key, message string, attrs ...any) { c.say(slog.LevelWarn, key, message, attrs) }

func (c *calm) say(level slog.Level, key, message string, attrs []any) {
	c.mu.Lock()
	k := c.keys[key]
	if k == nil {
		k = &calmKey{limit: rate.NewLimiter(logsPerSecond, logBurst)}
		c.keys[key] = k
	}
	if !k.limit.Allow() {
		k.skipped++
		c.mu.Unlock()
		return
	}
	if k.skipped > 0 {
		attrs = append(attrs, "left_out", k.skipped)
		k.skipped = 0
	}
	c.mu.Unlock()
	c.log.Log(context.Background(), level, message, attrs...)
}
