package gossip

import (
	"bytes"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLibraryLinesKeepTheirLevelAndAFloodIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var stats counters
		library := log.New(newLogBridge(slog.New(slog.NewTextHandler(&out, nil)), &stats), "", 0)
		library.Print("[DEBUG] memberlist: not shown")
		library.Print("[INFO] memberlist: Suspect h2 has failed")
		library.Print("[WARN] memberlist: careful")
		for i := range 1000 {
			library.Printf("[ERR] memberlist: Decrypt packet failed %d", i)
		}
		if lines := strings.Count(out.String(), "\n"); lines > bridgeBurst {
			t.Errorf("%d lines came through, at most %d at once", lines, bridgeBurst)
		}
		time.Sleep(bridgeEvery)
		library.Print("[ERR] memberlist: " + strings.Repeat("x", 5000))
		text := out.String()
		for _, want := range []string{"level=INFO", `text="Suspect h2 has failed"`,
			`level=WARN msg="gossip library reported" text=careful`, "held_back=982"} {
			if !strings.Contains(text, want) {
				t.Errorf("log lacks %q", want)
			}
		}
		if strings.Contains(text, "not shown") || strings.Contains(text, strings.Repeat("x", maxLogText+1)) {
			t.Error("a debug line or an endless one came through")
		}
		if stats.libraryErrors.Load() != 1001 || stats.libraryWarnings.Load() != 1 {
			t.Errorf("counted %d errors and %d warnings", stats.libraryErrors.Load(), stats.libraryWarnings.Load())
		}
	})
}
