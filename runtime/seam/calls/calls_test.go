package calls_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/calls"
)

func TestWhatACallReturnsIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.New[error]()
		begin := time.Now()
		g.Begin(t.Context(), time.Second, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if err := <-g.Events(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		g.Wait()
	})
}

func TestACallWhoseEventNobodyTakesEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := calls.New[int]()
		ctx, cancel := context.WithCancel(t.Context())
		went := false
		g.Begin(ctx, time.Hour, func(context.Context) int { return 1 })
		g.Go(func() { went = true })
		synctest.Wait()
		cancel()
		g.Wait()
		if !went {
			t.Error("a call without an outcome was not made")
		}
	})
}
