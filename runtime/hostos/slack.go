package hostos

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SetTimerSlack lets the kernel end each sleep of this process up to slack late, so that
// threads that sleep until about the same moment wake up together, or not at all: the Go
// runtime's own monitor, which looks each 20 us while anything runs, finds nothing to do
// when it wakes later. It holds for all threads, and for those that these start. Not
// supported by programs built with cgo.
func SetTimerSlack(slack time.Duration) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, uintptr(slack.Nanoseconds()), 0)
	if errno != 0 {
		return fmt.Errorf("set timer slack: %w", errno)
	}
	return nil
}
