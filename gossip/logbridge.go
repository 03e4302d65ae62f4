package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Stats counts what the ring refused or lost since it was opened.
type Stats struct {
	Members         int    // members that answer, this host included
	Reports         int    // reports held
	Dropped         uint64 // messages that came faster than they could be read
	Refused         uint64 // metadata, reports and states that could not be read or were not believed
	Newer           uint64 // messages of a newer format, skipped
	Conflicts       uint64 // announcements of a member's name from another address
	Unauthenticated uint64 // packets and streams that no key of ours made
	Limited         uint64 // packets and streams above what the port takes at once
	LibraryErrors   uint64 // lines memberlist logged as errors
	LibraryWarnings uint64
}

type counters struct {
	dropped, refused, newer, conflicts, unauthenticated, limited, libraryErrors, libraryWarnings atomic.Uint64
}

// A flood of bad packets is one log line each in memberlist. The bridge lets a
// burst through, then one a second, and says how many it held back.
const (
	bridgeBurst = 20
	bridgeEvery = time.Second
)

// logBridge takes memberlist's lines ("[LEVEL] memberlist: text") to slog.
// memberlist's errors are mostly peers that do not answer, so they are warnings here.
type logBridge struct {
	log   *slog.Logger
	stats *counters
	limit *rate.Limiter
	held  atomic.Uint64
}

func newLogBridge(log *slog.Logger, stats *counters) *logBridge {
	return &logBridge{log: log, stats: stats, limit: rate.NewLimiter(rate.Every(bridgeEvery), bridgeBurst)}
}

// Write takes one line; log.Logger calls it once a line.
func (b *logBridge) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	text := bytes.TrimSpace(line)
	switch {
	case cutLevel(&text, "[DEBUG] "):
		level = slog.LevelDebug
	case cutLevel(&text, "[INFO] "):
		level = slog.LevelInfo
	case cutLevel(&text, "[WARN] "):
		b.stats.libraryWarnings.Add(1)
	case cutLevel(&text, "[ERR] "):
		b.stats.libraryErrors.Add(1)
	}
	ctx := context.Background()
	if !b.log.Enabled(ctx, level) {
		return len(line), nil
	}
	if !b.limit.Allow() {
		b.held.Add(1)
		return len(line), nil
	}
	attrs := []slog.Attr{slog.String("text", clip(string(bytes.TrimPrefix(text, []byte("memberlist: "))), maxLogText))}
	if held := b.held.Swap(0); held > 0 {
		attrs = append(attrs, slog.Uint64("held_back", held))
	}
	b.log.LogAttrs(ctx, level, "gossip library reported", attrs...)
	return len(line), nil
}

// maxLogText keeps what a stranger sends out of long log lines.
const maxLogText = 512

func cutLevel(text *[]byte, prefix string) bool {
	rest, ok := bytes.CutPrefix(*text, []byte(prefix))
	if ok {
		*text = rest
	}
	return ok
}
