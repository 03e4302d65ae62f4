package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"skein/agent/peer/fence"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// copyOf starts an agent with another's identity and log on a machine of its own.
func (r *rig) copyOf(a *rigAgent) *rigAgent {
	r.t.Helper()
	c := r.agent(a.name + "-copy")
	c.log.Store(&voterLog{c: r.cluster, self: a.id()})
	c.start(a.identity)
	return c
}

// votes reports whether an agent's log gets a connection to another voter.
func (a *rigAgent) votes(to *rigAgent) (bool, error) {
	conn, err := a.port.DialRaft(a.r.ctx, to.id())
	if err != nil {
		return false, err
	}
	_ = conn.Close()
	return true, nil
}

func (a *rigAgent) votesAtLast(to *rigAgent) {
	a.r.t.Helper()
	var last error
	eventually(a.r.t, a.name+" votes", func() string { return fmt.Sprint(last) }, func() (ok bool) {
		ok, last = a.votes(to)
		return ok
	})
}

func TestACopyOfAVoterDoesNotVoteWhileTheOriginalAnswers(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	original := r.agents[1]
	original.host().up()
	copied := r.copyOf(original)
	deadline := copied.clock.Mono() + fence.FormerKept + 2*fence.AskFor
	for copied.clock.Mono() < deadline {
		if ok, err := copied.votes(r.agents[0]); ok || !errors.Is(err, ErrCloned) {
			t.Fatalf("the copy votes: %v", err)
		}
		if copied.port.log() != nil {
			t.Fatal("the copy speaks as a voter")
		}
		if ok, err := original.votes(r.agents[0]); !ok {
			t.Fatalf("the original does not vote: %v", err)
		}
		if !sleep(t.Context(), protocol.WatchEvery) {
			t.Fatal("the test ends")
		}
	}
	copied.lines.has(t, "cloned disk?")
	original.kill()
	copied.votesAtLast(r.agents[0])
}

func TestTheFleetsWordThatAMachineIsACopyEndsWhatItsLogHolds(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	a := r.agents[1]
	a.votesAtLast(r.agents[0])
	lane := r.agents[0].port.Raft()
	defer lane.Close()
	go func() { // what is taken up ends only where it was dialled
		for {
			if _, err := lane.Accept(); err != nil {
				return
			}
		}
	}()
	conn, err := a.port.DialRaft(t.Context(), r.agents[0].id())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	a.port.refusedAsClone()
	if err := conn.SetReadDeadline(time.Now().Add(waitTime)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection of the log goes on: %v", err)
	}
	if ok, err := a.votes(r.agents[0]); ok || !errors.Is(err, ErrCloned) {
		t.Errorf("it votes: %v", err)
	}
	a.port.acceptedByFleet()
	if ok, err := a.votes(r.agents[0]); !ok {
		t.Errorf("with a session it does not vote: %v", err)
	}
}

// A machine that has several addresses is not its own copy, and an agent that only
// restarts waits for nobody.
func TestAMachineWithAnotherAddressIsNoCopyOfItself(t *testing.T) {
	r := newRig(t)
	a := r.agents[0]
	if a.port.log() == nil {
		t.Fatal("an agent at the address of State does not vote at once")
	}
	if a.port.answersAt(t.Context(), a.addr()) {
		t.Error("it takes itself for another")
	}
	other := netip.MustParseAddrPort("127.0.0.1:1")
	r.must(fleet.OpenSession{Host: a.id(), Boot: "b", Nonce: 1, Addr: other, Zone: "a",
		Capacity: fleet.Resources{CPU: 1, Memory: 1}})
	if a.port.log() != nil {
		t.Error("it votes before it has asked at the address where it was")
	}
	eventually(t, "nobody answers there, so it votes", func() string { return "" },
		func() bool { return a.port.log() != nil })
}
