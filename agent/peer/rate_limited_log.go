package peer

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"
)

// rateLimitedLog is a log for what others cause: of each key so many lines a second, and
// with the next one how many were left out. Keys are constants of this package.
type rateLimitedLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	keys map[string]*rateLimitedKey
}

type rateLimitedKey struct {
	limit   *rate.Limiter
	skipped int
}

func newRateLimitedLog(log *slog.Logger) *rateLimitedLog {
	return &rateLimitedLog{log: log, keys: map[string]*rateLimitedKey{}}
}

func (c *rateLimitedLog) warn(key, message string, attrs ...any) {
	c.say(slog.LevelWarn, key, message, attrs)
}

func (c *rateLimitedLog) say(level slog.Level, key, message string, attrs []any) {
	c.mu.Lock()
	k := c.keys[key]
	if k == nil {
		k = &rateLimitedKey{limit: rate.NewLimiter(logsPerSecond, logBurst)}
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
