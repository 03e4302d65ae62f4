package raftfsm

import (
	"testing"
	"testing/synctest"
	"time"

	"skein/runtime/seam/clock"
)

// inPace runs a test with a pace of 100 ms, at a multiple of it.
func inPace(t *testing.T, test func(t *testing.T, p *pace, sent func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(Config{Clock: clock.System(), Timing: Timing{}.withDefaults()})
		test(t, p, func() time.Duration {
			p.wait()
			return p.clock.Mono()
		})
	})
}

func TestHeartbeatsGoOutTogether(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{ // since the last multiple of 100 ms
		50 * time.Millisecond: 100 * time.Millisecond, 99 * time.Millisecond: 100 * time.Millisecond,
		// Waiting for the next would make the pause longer than the library's longest.
		time.Millisecond: time.Millisecond, 49 * time.Millisecond: 49 * time.Millisecond,
	} {
		inPace(t, func(t *testing.T, _ *pace, sent func() time.Duration) {
			<-time.After(after)
			if got := sent(); got != want {
				t.Errorf("due at %v it was sent at %v, want %v", after, got, want)
			}
		})
	}
}

func TestAHeartbeatThatSomeoneWaitsForGoesOutAtOnce(t *testing.T) {
	const due, asked = 60 * time.Millisecond, 70 * time.Millisecond
	inPace(t, func(t *testing.T, p *pace, sent func() time.Duration) {
		waited := make(chan time.Duration, 1)
		go func() {
			<-time.After(due)
			waited <- sent()
		}()
		<-time.After(asked)
		done := p.rush()
		if got := <-waited; got != asked {
			t.Errorf("the one that waited was sent at %v, want %v", got, asked)
		}
		if got := sent(); got != asked {
			t.Errorf("one that is due meanwhile was sent at %v, want %v", got, asked)
		}
		done()
		if got := sent(); got != 100*time.Millisecond {
			t.Errorf("one after that was sent at %v, want 100 ms", got)
		}
	})
}
