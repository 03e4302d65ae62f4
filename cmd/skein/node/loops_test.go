package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestTheFirstLoopThatFailsEndsAllAndIsNamed(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		fails func(ctx context.Context) error // beside one that runs until it is told to stop
		want  error
		text  string
	}{
		"a loop that fails":           {func(context.Context) error { return broken }, broken, "gossip: broken"},
		"a loop that only ends":       {func(context.Context) error { return nil }, nil, ""},
		"a loop that is told to stop": {func(ctx context.Context) error { <-ctx.Done(); return broken }, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				all := newLoops(ctx)
				running := 0
				all.run("link", func(ctx context.Context) error {
					running++
					<-ctx.Done()
					running--
					return ctx.Err()
				})
				synctest.Wait()
				if running != 1 {
					t.Fatal("a loop does not run at once")
				}
				all.run("gossip", tt.fails)
				synctest.Wait()
				if ended := running == 0; ended != (tt.want != nil) {
					t.Errorf("the other has ended: %v", ended)
				}
				cancel()
				if err := all.wait(); !errors.Is(err, tt.want) || err != nil && err.Error() != tt.text {
					t.Errorf("got %v, want %q", err, tt.text)
				}
				if running != 0 {
					t.Error("a loop runs on")
				}
			})
		})
	}
}
