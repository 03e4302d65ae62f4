package gossip

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestADeadHostIsSeenAndComesBackAtOnceWithARaisedIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 5)
		defer f.end()
		for i := range 5 {
			f.start(i)
		}
		f.until("five members", 30*time.Second, f.allSee(5))
		f.kill(4)
		took := f.until("dead host gone everywhere", 15*time.Second, f.allSee(4))
		t.Logf("death known everywhere after %s", took)
		if m := f.rings[0].Members()[4]; m.Host != hostID(4) || !m.Suspect {
			t.Errorf("the dead host is not shown as suspect: %+v", m)
		}
		f.start(4)
		took = f.until("host back everywhere", 3*time.Second, f.allSee(5))
		t.Logf("return known everywhere after %s", took)
		f.kill(4)
		time.Sleep(retention + 2*sweepEvery)
		if got := len(f.rings[0].Members()); got != 4 {
			t.Errorf("a host that is long gone is still shown: %d members", got)
		}
	})
}

func TestMassRestartLeavesNobodyDead(t *testing.T) {
	for _, floor := range []bool{true, false} {
		t.Run(fmt.Sprintf("with incarnation floors %v", floor), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleetOf(t, 10)
				f.floor = floor
				defer f.end()
				for round := range 3 {
					for i := range 10 {
						f.start(i)
					}
					took := f.until("everybody sees everybody", 30*time.Second, f.allSee(10))
					t.Logf("round %d: %s", round, took)
					for i := range 9 { // one stays and remembers the old lives
						f.kill(i)
					}
					// The one left declares the others dead in this time.
					time.Sleep(10 * time.Second)
					for i := range 9 {
						f.start(i)
					}
					took = f.until("everybody sees everybody after the restart", 30*time.Second, f.allSee(10))
					t.Logf("round %d, after the mass restart: %s", round, took)
					for i := range 10 {
						f.kill(i)
					}
				}
			})
		})
	}
}

func TestALongCutHealsByTheRejoinLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 6)
		defer f.end()
		for i := range 6 {
			f.start(i)
		}
		f.until("six members", 30*time.Second, f.allSee(6))
		left := map[string]bool{}
		for _, a := range f.addrs[:3] {
			left[a.String()] = true
		}
		f.net.setCut(func(from, to string) bool { return left[from] != left[to] })
		f.until("two halves of three", 30*time.Second, f.allSee(3))
		time.Sleep(5 * time.Minute) // far beyond the time memberlist gossips to the dead
		f.net.setCut(nil)
		took := f.until("one ring again", 20*time.Second, f.allSee(6))
		t.Logf("healed in %s", took)
	})
}

func TestAHostThatDiedMayReturnAtAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		f.kill(1)
		f.until("one member", 30*time.Second, f.allSee(1))
		time.Sleep(2 * reclaimAfter)
		moved := f.config(2)
		moved.Host, moved.Name = hostID(1), "h2"
		f.open(2, moved)
		f.until("two members again", 20*time.Second, f.allSee(2))
		if got := f.rings[0].Members()[1].Addr; got != f.addrs[2] {
			t.Errorf("address of h2: got %s, want %s", got, f.addrs[2])
		}
	})
}

func TestLeavingIsKnownAtOnceAndANewRingMayReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 3)
		defer f.end()
		for i := range 3 {
			f.start(i)
		}
		f.until("three members", 30*time.Second, f.allSee(3))
		if err := f.rings[2].Leave(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		f.kill(2)
		took := f.until("two members", 2*time.Second, f.allSee(2))
		t.Logf("known after %s", took)
		f.start(2)
		f.until("three members again", 5*time.Second, f.allSee(3))
		if err := f.rings[2].Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.rings[2].Leave(time.Second); !errors.Is(err, ErrClosed) {
			t.Errorf("leave after close: got %v, want ErrClosed", err)
		}
	})
}

func TestAnAnswerIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		f.until("an answer", 5*time.Second, func() bool { _, ok := f.rings[0].AnsweredWithin(hostID(1)); return ok })
		if age, ok := f.rings[0].AnsweredWithin(hostID(1)); !ok || age > time.Second {
			t.Errorf("answered within: got %s, %v", age, ok)
		}
		f.kill(1)
		time.Sleep(800 * time.Millisecond)
		if age, ok := f.rings[0].AnsweredWithin(hostID(1)); !ok || age < 300*time.Millisecond {
			t.Errorf("a dead host seems to answer: %s, %v", age, ok)
		}
		if _, ok := f.rings[0].AnsweredWithin("h-unknown"); ok {
			t.Error("an unknown host answered")
		}
	})
}
