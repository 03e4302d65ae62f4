package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"time"
)

// traceLineCount is how many of the last lines a failure tells.
const traceLineCount = 2_000

// trace is what happened, in order. A line is made text only where somebody
// reads it: a month of a large fleet has millions.
type trace struct {
	out   io.Writer
	lines []line // a ring
	count uint64
	hash  uint64
}

type line struct {
	at     time.Duration
	format string
	args   []any
}

func newTrace(out io.Writer) *trace {
	return &trace{out: out, lines: make([]line, 0, traceLineCount)}
}

func (t *trace) add(at time.Duration, format string, args ...any) {
	l := line{at: at, format: format, args: args}
	if len(t.lines) < traceLineCount {
		t.lines = append(t.lines, l)
	} else {
		t.lines[t.count%traceLineCount] = l
	}
	t.count++
	if t.out == nil {
		return
	}
	text := l.String() + "\n"
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))          // never fails
	t.hash = t.hash*1_099_511 + h.Sum64() // of the whole trace so far
	_, _ = io.WriteString(t.out, text)    // a trace that cannot be written is told by its reader
}

// last returns the last n lines, oldest first.
func (t *trace) last(n int) []string {
	n = min(n, len(t.lines))
	out := make([]string, 0, n)
	for i := range n {
		at := (t.count - uint64(n-i)) % traceLineCount
		if len(t.lines) < traceLineCount {
			at = t.count - uint64(n-i)
		}
		out = append(out, t.lines[at].String())
	}
	return out
}

func (l line) String() string { return stamp(l.at) + " " + fmt.Sprintf(l.format, l.args...) }

// stamp is a time of the world for people: "3d 04:05:06.789".
func stamp(at time.Duration) string {
	days := at / (24 * time.Hour)
	at -= days * 24 * time.Hour
	clock := fmt.Sprintf("%02d:%02d:%02d.%03d", at/time.Hour, at/time.Minute%60, at/time.Second%60,
		at/time.Millisecond%1000)
	if days > 0 {
		return fmt.Sprintf("%dd %s", days, clock)
	}
	return clock
}
