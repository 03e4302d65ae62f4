package api

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock/clocktest"
)

// laggingFleet is a leader and a follower that applies what the leader has
// committed only after a while; the host under test is the follower, or a worker
// that asks it.
func laggingFleet(t *testing.T, lag time.Duration) (follower, worker http.Handler) {
	leader := newTestAPI(t, nil)
	webFleet(t, leader)
	link := &forwardTo{handler: leader.Handler(TrustVoter)}
	x := newTestAPI(t, func(c *Config) { c.Host, c.Forward = hostID(2), link })
	x.voter.set(func(v *fakeVoter) { v.st, v.leads, v.leader = leader.voter.State(), false, hostID(1) })
	t.Cleanup(leader.voter.Subscribe(func(index uint64, changeSet fleet.ChangeSet) {
		go func() {
			clocktest.Elapse(lag)
			st := leader.voter.State()
			x.voter.set(func(v *fakeVoter) { v.st = st })
			x.voter.tell(index, changeSet)
		}()
	}))
	w := newTestAPI(t, func(c *Config) {
		c.Host, c.Voter, c.Forward = hostID(4), func() Voter { return nil }, &forwardTo{handler: x.Handler(TrustVoter)}
	})
	return x.Handler(TrustRoot), w.Handler(TrustRoot)
}

func TestAReadShowsOnesOwnWriteThroughAFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		follower, worker := laggingFleet(t, 50*time.Millisecond)
		for i := range 20 {
			verb := []string{"cordon", "uncordon"}[i%2]
			_, got, h := do(t, follower, "POST", "/v1/hosts/h3/"+verb, "")
			index := h.Get(types.HeaderIndex)
			if index == "" || index != fmt.Sprint(at(t, got, "index")) || h.Get(types.HeaderFleet) != "f-1" {
				t.Fatalf("the write says no index: %v %v", got, h)
			}
			reader, through := follower, "a follower"
			if i%4 > 1 {
				reader, through = worker, "a worker"
			}
			status, row, read := do(t, reader, "GET", "/v1/hosts/h3", "", types.HeaderIndex, "f-1="+index)
			if cordoned := row["cordon"] != nil; status != 200 || cordoned != (i%2 == 0) || read.Get(types.HeaderBehind) != "" {
				t.Errorf("round %d through %s: status %d, cordoned %v, behind %q", i, through, status, cordoned,
					read.Get(types.HeaderBehind))
			}
		}
	})
}

func TestAReadThatCannotWaitLongerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		follower, _ := laggingFleet(t, time.Hour)
		_, _, h := do(t, follower, "POST", "/v1/hosts/h3/cordon", "")
		begin := time.Now()
		status, row, read := do(t, follower, "GET", "/v1/hosts/h3", "", types.HeaderIndex, h.Get(types.HeaderIndex))
		if status != 200 || row["cordon"] != nil || read.Get(types.HeaderBehind) != "true" ||
			read.Get(types.HeaderIndex) == h.Get(types.HeaderIndex) {
			t.Errorf("status %d, %v, %v", status, row["cordon"], read)
		}
		if waited := time.Since(begin); waited != types.IndexWait {
			t.Errorf("it waited %s", waited)
		}
		time.Sleep(time.Hour) // the follower's pending catch-up ends
	})
}

func TestTheIndexOfAnotherFleetIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTestAPI(t, nil)
		root := webFleet(t, x)
		begin := time.Now()
		for _, asked := range []string{"f-9=999999", "f-9=999999,f-1=1", "f-1=1, f-9=7", "0"} {
			if status, _, h := do(t, root, "GET", "/v1/status", "", types.HeaderIndex, asked); status != 200 ||
				h.Get(types.HeaderBehind) != "" || time.Since(begin) > 0 {
				t.Errorf("%q: status %d, behind %q after %s", asked, status, h.Get(types.HeaderBehind), time.Since(begin))
			}
		}
		for _, garbage := range []string{"garbage", "-1", "f-1=", "f-1=x", "1,,2"} {
			if got := want(t, 400, root, "GET", "/v1/status", "", types.HeaderIndex, garbage); at(t, got, "error",
				"field") != types.HeaderIndex {
				t.Errorf("%q: %v", garbage, got)
			}
		}
	})
}
