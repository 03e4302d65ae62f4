package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

func TestErrorsOfADialAreTold(t *testing.T) {
	dial := func(errno syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", errno)}
	}
	tests := map[string]struct {
		err  error
		want detector.Outcome
	}{
		"connection refused":      {dial(syscall.ECONNREFUSED), detector.Refused},
		"connection reset":        {dial(syscall.ECONNRESET), detector.Refused},
		"no route to host":        {dial(syscall.EHOSTUNREACH), detector.Silent},
		"network unreachable":     {dial(syscall.ENETUNREACH), detector.Silent},
		"host down":               {dial(syscall.EHOSTDOWN), detector.Silent},
		"connection timed out":    {dial(syscall.ETIMEDOUT), detector.Silent},
		"the deadline passed":     {fmt.Errorf("dial: %w", context.DeadlineExceeded), detector.Silent},
		"no descriptors left":     {dial(syscall.EMFILE), 0},
		"no local address":        {dial(syscall.EADDRNOTAVAIL), 0},
		"not permitted":           {dial(syscall.EPERM), 0},
		"the caller went away":    {context.Canceled, 0},
		"something else entirely": {errors.New("odd"), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := outcomeOf(tt.err); got != tt.want {
				t.Errorf("%v is %s, want %s", tt.err, got, tt.want)
			}
		})
	}
}

func TestARefusalKeepsItsSentinelOnTheWay(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range protocol.Codes {
		if seen[c.Name] {
			t.Errorf("two refusals are called %q", c.Name)
		}
		seen[c.Name] = true
		in := fleet.Result{Err: fmt.Errorf("do it: %w", c.Err)}
		out := rpc.DecodeResults(rpc.EncodeResults([]fleet.Result{in}))[0]
		if !errors.Is(out.Err, c.Err) || out.Err.Error() != in.Err.Error() {
			t.Errorf("%q comes back as %v", c.Name, out.Err)
		}
	}
	for _, sentinel := range []error{
		fleet.ErrNoFleet, fleet.ErrFleetExists, fleet.ErrNotFound, fleet.ErrExists, fleet.ErrInvalid, fleet.ErrMoved,
		fleet.ErrOldSession,
		fleet.ErrForgotten, fleet.ErrTokenRefused, fleet.ErrNameTaken, fleet.ErrNotPlaceable, fleet.ErrDoesNotFit,
		fleet.ErrPortTaken,
		fleet.ErrBound, fleet.ErrNoGoals, fleet.ErrNotInGoals,
		fleet.ErrTooEarly, fleet.ErrConflict, fleet.ErrReceiptReused, fleet.ErrLimit,
	} {
		out := rpc.DecodeResults(rpc.EncodeResults([]fleet.Result{{Err: sentinel}}))[0]
		if !errors.Is(out.Err, sentinel) {
			t.Errorf("%v comes back as %v", sentinel, out.Err)
		}
	}
	ok := rpc.DecodeResults(rpc.EncodeResults([]fleet.Result{{IDs: []string{"a"}, Dropped: 2}}))[0]
	if ok.Err != nil || len(ok.IDs) != 1 || ok.Dropped != 2 {
		t.Errorf("a success comes back as %+v", ok)
	}
}

func mustEntry(t *testing.T, items ...fleet.Item) []byte {
	t.Helper()
	b, err := wire.EncodeEntry(fleet.Entry{Items: items})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
