package raftfsm

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func TestOnlyKnownRefusalsAreSurelyNotDone(t *testing.T) {
	tests := map[string]struct {
		err  error
		want bool
	}{
		"not the leader":           {ErrNotLeader, true},
		"stalled":                  {fmt.Errorf("propose: %w: not sent", ErrStalled), true},
		"busy":                     {ErrBusy, true},
		"too large":                {ErrTooLarge, true},
		"a poison command":         {ErrUnencodable, true},
		"closed":                   {ErrClosed, true},
		"unknown":                  {ErrUnknown, false},
		"unknown because closed":   {fmt.Errorf("%w: %w", ErrUnknown, ErrClosed), false},
		"the caller's deadline":    {context.DeadlineExceeded, false},
		"something else entirely":  {errors.New("odd"), false},
		"a sentinel of an opening": {ErrWiped, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NotDone(tt.err); got != tt.want {
				t.Errorf("%v is surely not done: %v", tt.err, got)
			}
		})
	}
}
