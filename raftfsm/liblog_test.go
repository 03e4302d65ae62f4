package raftfsm

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"skein/runtime/seam/clock"
)

func TestTheLibrarysLogIsQuietedAndTranslated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out,
			&slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}}))
		lib := newLibraryLog(log, clock.System())
		expect := func(what, want string) {
			t.Helper()
			if got := strings.TrimSpace(out.String()); got != want {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
			out.Reset()
		}
		lib.Info("entering follower state")
		expect("info is debug", "")
		lib.With("peer", "h-1.1").Error("failed to heartbeat to", "backoff-time", time.Second, "error", errors.New("refused"))
		expect("an error is a warning",
			`level=WARN msg="raft library reported" message="failed to heartbeat to" peer=h-1.1 backoff_time=1s err=refused`)
		for range 1000 {
			lib.Error("failed to heartbeat to")
		}
		expect("repetitions are held back", "")
		lib.Warn("other", "servers", hclog.Fmt("%d of %d", 1, 3))
		expect("another message is not", `level=INFO msg="raft library reported" message=other servers="1 of 3"`)
		time.Sleep(logEvery)
		lib.Error("failed to heartbeat to")
		expect("after a while it is said again, with the count",
			`level=WARN msg="raft library reported" message="failed to heartbeat to" repeated=1000`)
	})
}
