//go:build failpoints

package failpoint

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestActions(t *testing.T) {
	t.Run("error is returned on every hit", func(t *testing.T) {
		if err := Set("t/error", "error"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := Hit("t/error"); !errors.Is(err, ErrInjected) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("a count arms that hit only", func(t *testing.T) {
		if err := Set("t/third", "3*error"); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 4; i++ {
			if failed := Hit("t/third") != nil; failed != (i == 3) {
				t.Errorf("hit %d failed: %v", i, failed)
			}
		}
	})
	t.Run("off disarms", func(t *testing.T) {
		_ = Set("t/off", "error")
		_ = Set("t/off", "off")
		if err := Hit("t/off"); err != nil {
			t.Errorf("got %v", err)
		}
	})
	t.Run("sleep waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_ = Set("t/sleep", "sleep(2s)")
			start := time.Now()
			_ = Hit("t/sleep")
			if got := time.Since(start); got != 2*time.Second {
				t.Errorf("waited %v", got)
			}
		})
	})
	t.Run("panic panics", func(t *testing.T) {
		_ = Set("t/panic", "panic")
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		_ = Hit("t/panic")
	})
	t.Run("a bad action is refused with what is allowed", func(t *testing.T) {
		for _, text := range []string{"", "explode", "sleep", "sleep(2", "0*error", "x*error"} {
			if err := Set("t/bad", text); err == nil {
				t.Errorf("%q was accepted", text)
			}
		}
	})
}

func TestNamesListsRegisteredAndHitPlaces(t *testing.T) {
	Register("t/registered")
	_ = Hit("t/hit")
	names := Names()
	for _, want := range []string{"t/registered", "t/hit"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is missing in %q", want, names)
		}
	}
}
