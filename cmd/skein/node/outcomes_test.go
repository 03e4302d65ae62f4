package node

import (
	"errors"
	"fmt"
	"testing"

	"skein/agent/api"
	"skein/agent/peer/rpc"
	"skein/raftfsm"
)

func TestWhatSurelyWasNotDoneIsCalledSoEverywhere(t *testing.T) {
	for _, err := range []error{
		raftfsm.ErrNotLeader, raftfsm.ErrStalled, raftfsm.ErrBusy, raftfsm.ErrTooLarge, raftfsm.ErrUnencodable,
		raftfsm.ErrClosed,
		raftfsm.ErrUnknown,
		fmt.Errorf("%w: %w", raftfsm.ErrUnknown, raftfsm.ErrClosed),
		fmt.Errorf("%w: %w", raftfsm.ErrUnknown, raftfsm.ErrNotLeader),
	} {
		want := raftfsm.NotDone(err)
		if got := rpc.NotDone(toPeer(err)); got != want {
			t.Errorf("the log says of %q that it was surely not done: %v; the peer port: %v", err, want, got)
		}
		if got := !errors.Is(toAPI(err), api.ErrUnknown); got != want {
			t.Errorf("the log says of %q that it was surely not done: %v; the API: %v", err, want, got)
		}
	}
}
