package keeper_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// live is a world as the log and the voters' hosts of a Keeper that runs.
type live struct {
	mu sync.Mutex
	*world
	began time.Time
	first fleet.Time // fleet time then
	hangs bool       // hosts take questions and never answer
}

func (l *live) ID() fleet.RaftID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.self()
}

func (l *live) State() *fleet.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Clone()
}

func (l *live) FleetTime() fleet.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = max(l.now, l.first.Add(time.Since(l.began)))
	return l.now
}

func (l *live) CommitIndex() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commit()
}

func (l *live) Trouble() error { return nil }

func (l *live) Leaderless() time.Duration { return 0 }

func (l *live) SnapshotInstalls(fleet.RaftID) int { return 0 }

func (l *live) Members() ([]keeper.Member, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.input().Members, nil
}

func (l *live) Propose(_ context.Context, items []fleet.Item) ([]fleet.Result, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, item := range items {
		l.intent(item)
	}
	return make([]fleet.Result, len(items)), l.state.Index(), nil
}

func (l *live) change(e keeper.Effect) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.carryOut(e)
	return nil
}

func (l *live) AddNonvoter(_ context.Context, id fleet.RaftID) error {
	return l.change(keeper.AddNonvoter{ID: id})
}
func (l *live) AddVoter(_ context.Context, id fleet.RaftID) error {
	return l.change(keeper.AddVoter{ID: id})
}
func (l *live) RemoveServer(_ context.Context, id fleet.RaftID) error {
	return l.change(keeper.RemoveServer{ID: id})
}
func (l *live) Transfer() error { return errors.New("no other voter") }

func (l *live) PrepareVoter(_ context.Context, id fleet.RaftID) error {
	return l.change(keeper.HandOverKeys{ID: id})
}
func (l *live) RetireVoter(_ context.Context, id fleet.RaftID) error {
	return l.change(keeper.DeleteLog{ID: id})
}

func (l *live) Ask(ctx context.Context, host fleet.HostID) (keeper.Reply, error) {
	l.mu.Lock()
	hangs := l.hangs || !l.hosts[host].up
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return keeper.Reply{}, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.hosts[host]
	switch {
	case m.mute:
		return keeper.Reply{}, context.DeadlineExceeded
	case m.holds == "":
		return keeper.Reply{None: true}, nil
	}
	return keeper.Reply{ID: m.holds, Commit: l.commit() - m.lag, Trouble: m.disk, Stalled: m.disk == "stalled"}, nil
}

// keep runs a Keeper over a fleet inside a bubble of fake time.
func keep(t *testing.T, zones ...string) (l *live, end func()) {
	w := newWorld(t, zones...)
	l = &live{world: w, began: time.Now(), first: w.now}
	k := keeper.Keeper{
		Log: l, Voters: l, Starved: func(fleet.HostID) bool { return false },
		Mono: func() time.Duration { return time.Since(l.began) },
		Warn: slog.New(slog.DiscardHandler).Warn,
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	return l, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func (l *live) after(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.voters()
}

func TestAKeeperKeepsAsManyVotersAsItShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := keep(t, "a", "b", "c", "a")
		defer end()
		if got := l.after(time.Minute); got != "1 2 3" {
			t.Fatalf("%s vote\n%s", got, strings.Join(l.trace, "\n"))
		}
		l.mu.Lock()
		l.down(2)
		l.mu.Unlock()
		if got := l.after(keeper.DeadAfter + time.Minute); got != "1 3 4" {
			t.Errorf("%s vote\n%s", got, strings.Join(l.trace, "\n"))
		}
	})
}

func TestAKeeperEndsWhileQuestionsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, end := keep(t, "a", "b", "c")
		l.after(time.Minute)
		l.mu.Lock()
		l.hangs = true
		l.mu.Unlock()
		l.after(keeper.LookEvery + keeper.AskFor/2)
		began := time.Now()
		end()
		if took := time.Since(began); took > 0 {
			t.Errorf("it ended %s after its term", took)
		}
	})
}
