package gossip

import (
	"testing"
	"testing/synctest"
	"time"

	"skein/raftfsm/fleet"
)

func TestAReportOutlivesItsHostForAWhileAndIsNotBroughtBack(t *testing.T) {
	table, now := newReports(), time.Unix(1000, 0)
	r := fleet.CapacityReport{Host: "h-1", Nonce: 5, Seq: 5}
	nobody := func(fleet.HostID) bool { return false }
	table.put(r, []byte("r"), 0, true, now)
	table.sweep(nobody, now)

	table.sweep(nobody, now.Add(retention-time.Second))
	if _, _, ok := table.get("h-1"); !ok {
		t.Fatal("the report went too early")
	}
	table.sweep(nobody, now.Add(retention))
	if _, _, ok := table.get("h-1"); ok {
		t.Fatal("the report stayed")
	}
	if table.put(r, []byte("r"), 0, false, now.Add(retention+time.Minute)) {
		t.Error("a slow peer brought the buried report back")
	}
	if len(table.state()) != 0 || len(table.all()) != 0 {
		t.Error("a tombstone is handed out")
	}
	r.Seq++
	if !table.put(r, []byte("r"), 0, false, now.Add(retention+time.Minute)) {
		t.Error("a newer report was refused because of the tombstone")
	}
	table.sweep(nobody, now.Add(3*retention))
	table.sweep(nobody, now.Add(3*retention+buriedFor))
	if len(table.rows) != 0 {
		t.Error("the tombstone stays for ever")
	}
}

func TestAMemberThatReturnsKeepsItsReport(t *testing.T) {
	table, now := newReports(), time.Unix(1000, 0)
	table.put(fleet.CapacityReport{Host: "h-1", Nonce: 5}, []byte("r"), 0, true, now)
	table.sweep(func(fleet.HostID) bool { return false }, now)
	table.sweep(func(fleet.HostID) bool { return true }, now.Add(time.Minute))
	table.sweep(func(fleet.HostID) bool { return false }, now.Add(retention+time.Second))
	if _, _, ok := table.get("h-1"); !ok {
		t.Error("the first absence was counted on")
	}
}

func TestAFullTableTakesNoNewHosts(t *testing.T) {
	table, now := newReports(), time.Unix(1000, 0)
	for i := range maxReports {
		table.put(fleet.CapacityReport{Host: hostID(i), Nonce: 1}, []byte("r"), 0, true, now)
	}
	if table.put(fleet.CapacityReport{Host: "h-more", Nonce: 1}, []byte("r"), 0, true, now) {
		t.Error("the table grew past its limit")
	}
	if !table.put(fleet.CapacityReport{Host: hostID(3), Nonce: 2}, []byte("r"), 0, true, now) {
		t.Error("a full table refused news of a host it knows")
	}
}

func TestThePaceKeepsTheRingInsideItsBudget(t *testing.T) {
	for n, atMost := range map[int]time.Duration{1: paceFloor, 3: paceFloor, 10: time.Second, 100: 12 * time.Second,
		1000: 3 * time.Minute} {
		if got := pace(n); got > atMost || got < paceFloor {
			t.Errorf("pace of %d hosts: got %s, want between %s and %s", n, got, paceFloor, atMost)
		}
	}
	for n := 2; n < 10_000; n++ {
		if pace(n) < pace(n-1) {
			t.Fatalf("the pace falls at %d hosts", n)
		}
	}
}

// A clone of a host makes a higher nonce; when it is gone, the host goes on with
// its own.
func TestReportsFollowTheSessionThatStateHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		session := map[fleet.HostID]uint64{hostID(1): 3}
		voter := f.config(0)
		voter.SessionNonce = func(id fleet.HostID) uint64 { return session[id] }
		f.open(0, voter)
		running := func(want int) func() bool {
			return func() bool {
				got, _, ok := f.rings[0].Report(hostID(1))
				return ok && got.TasksRunning == want
			}
		}
		observe := func(nonce, seq uint64, running int) {
			r := report(nonce, seq, running)
			r.Host = hostID(1)
			f.rings[0].Observe(r)
		}
		observe(9, 40, 99) // the clone's, before anything of the host
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		f.rings[1].Publish(report(3, 1, 1))
		f.until("the host's own report", 10*time.Second, running(1))
		observe(9, 41, 98)
		if !running(1)() {
			t.Error("the clone's report took the place of the host's")
		}
		session[hostID(1)] = 10 // it opened another session
		f.rings[1].Publish(report(10, 1, 2))
		f.until("the report of the next session", 10*time.Second, running(2))
	})
}

// The fleet may still hold the report of an agent's former life while the agent
// that was started again has no session: nobody else is at work there.
func TestAnEchoOfTheFormerLifeIsNoTwin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleetOf(t, 2)
		defer f.end()
		f.start(0)
		f.start(1)
		f.until("two members", 30*time.Second, f.allSee(2))
		f.rings[1].Publish(report(4, 7, 1))
		f.until("the report", 10*time.Second, func() bool { _, _, ok := f.rings[0].Report(hostID(1)); return ok })
		f.kill(1)
		f.start(1)
		f.rings[1].Publish(report(0, 1, 0))
		f.until("two members again", 30*time.Second, f.allSee(2))
		time.Sleep(time.Minute)
		if got := f.rings[1].Stats().Conflicts; got != 0 {
			t.Errorf("got %d conflicts, want none", got)
		}
		f.rings[1].Publish(report(5, 2, 2))
		f.until("the report of the new session", 10*time.Second, func() bool {
			got, _, _ := f.rings[0].Report(hostID(1))
			return got.TasksRunning == 2
		})
	})
}
