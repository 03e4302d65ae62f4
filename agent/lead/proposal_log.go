package lead

import (
	"context"
	"log/slog"
	"time"

	"skein/raftfsm/fleet"
)

// LogPerSecond bounds the commands that are logged one by one: a fault that
// moves thousands of tasks must not fill the disk. The others are counted.
const LogPerSecond = 20

// proposalLog logs what is proposed, one line a command while it is few.
type proposalLog struct {
	log     *slog.Logger
	since   time.Duration
	lines   int
	skipped int
}

func (j *proposalLog) write(now time.Duration, items []fleet.Item) {
	if now-j.since >= time.Second {
		if j.skipped > 0 {
			j.log.Info("more commands proposed", "count", j.skipped)
		}
		j.since, j.lines, j.skipped = now, 0, 0
	}
	for _, item := range items {
		if j.lines == LogPerSecond {
			j.skipped++
			continue
		}
		j.lines++
		j.log.LogAttrs(context.Background(), slog.LevelInfo, "command proposed", slog.String("planner", item.By),
			slog.String("command", CommandName(item.Command)), slog.String("reason", reasonOf(item)))
	}
}

// reasonOf is why a command was proposed: its own text where it has one.
func reasonOf(item fleet.Item) string {
	switch c := item.Command.(type) {
	case fleet.StopTasks:
		return c.Reason
	case fleet.PutCondition:
		if c.Code == "" {
			return "cleared: " + c.Subject.String()
		}
		return c.Subject.String() + ": " + c.Message
	default:
		return item.Reason
	}
}
