package node

import (
	"errors"
	"log/slog"
	"testing"

	rules "skein/raftfsm/voter"
)

func TestARequestThatOutlivesThePortOpensNoLog(t *testing.T) {
	v := &voter{dir: t.TempDir(), log: slog.New(slog.DiscardHandler), parent: t.Context()}
	if err := v.close(); err != nil {
		t.Fatal(err)
	}
	err := v.Prepare(t.Context(), "h-1.1", func() error {
		t.Error("the keys were taken")
		return errors.New("stop here")
	})
	if !errors.Is(err, rules.ErrStopping) {
		t.Errorf("got %v, want %v", err, rules.ErrStopping)
	}
}
