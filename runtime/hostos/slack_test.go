package hostos

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slackOfThreads asks n threads, all at the same time, for their slack.
func slackOfThreads(t *testing.T, n int) []time.Duration {
	t.Helper()
	all := make([]time.Duration, n)
	var asked, done sync.WaitGroup
	asked.Add(n)
	for i := range all {
		done.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
			if err != nil {
				t.Error(err)
			}
			all[i] = time.Duration(slack)
			asked.Done()
			asked.Wait() // each keeps its thread until all have one
		})
	}
	done.Wait()
	return all
}

func TestTimerSlackHoldsForThreadsThatRunAndThatStartLater(t *testing.T) {
	const want, threads = 3 * time.Millisecond, 8
	before := slackOfThreads(t, threads/2)
	err := SetTimerSlack(want)
	if errors.Is(err, syscall.ENOTSUP) {
		t.Skip("built with cgo")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := SetTimerSlack(before[0]); err != nil {
			t.Error(err)
		}
	})
	got := slackOfThreads(t, threads)
	if slices.ContainsFunc(got, func(slack time.Duration) bool { return slack != want }) {
		t.Errorf("slack of %d threads is %v, want %v of each", threads, got, want)
	}
}
