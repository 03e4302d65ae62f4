package ratelog_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/ratelog"
)

func TestLinesOfAKeyAreBoundedAndThoseLeftOutAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := ratelog.New(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 25 {
			log.Warn("scan", "a stranger", "port", i)
		}
		log.Say(slog.LevelInfo, "other", "another kind is not held back")
		if got := strings.Count(out.String(), "a stranger"); got != 20 {
			t.Errorf("%d lines at once, want 20:\n%s", got, out.String())
		}
		if !strings.Contains(out.String(), "level=INFO msg=\"another kind is not held back\"") {
			t.Errorf("the other kind is missing:\n%s", out.String())
		}
		for second := range 2 {
			out.Reset()
			time.Sleep(time.Second) // of the bubble
			for range 10 {
				log.Warn("scan", "a stranger")
			}
			if got := strings.Count(out.String(), "a stranger"); got != 5 {
				t.Errorf("second %d: %d lines, want 5", second, got)
			}
			if want := fmt.Sprintf("left_out=%d", 5); strings.Count(out.String(), want) != 1 {
				t.Errorf("second %d: want %s once:\n%s", second, want, out.String())
			}
		}
	})
}
