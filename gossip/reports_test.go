package gossip

import (
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func TestAReportOutlivesItsHostForAWhileAndIsNotBroughtBack(t *testing.T) {
	table, now := newReports(), time.Unix(1000, 0)
	r := fleet.CapacityReport{Host: "h-1", Nonce: 5, Seq: 5}
	nobody := func(fleet.HostID) bool { return false }
	table.put(r, []byte("r"), true, now)
	table.sweep(nobody, now)

	table.sweep(nobody, now.Add(retention-time.Second))
	if _, _, ok := table.get("h-1"); !ok {
		t.Fatal("the report went too early")
	}
	table.sweep(nobody, now.Add(retention))
	if _, _, ok := table.get("h-1"); ok {
		t.Fatal("the report stayed")
	}
	if table.put(r, []byte("r"), false, now.Add(retention+time.Minute)) {
		t.Error("a slow peer brought the buried report back")
	}
	if len(table.state()) != 0 || len(table.all()) != 0 {
		t.Error("a tombstone is handed out")
	}
	r.Seq++
	if !table.put(r, []byte("r"), false, now.Add(retention+time.Minute)) {
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
	table.put(fleet.CapacityReport{Host: "h-1", Nonce: 5}, []byte("r"), true, now)
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
		table.put(fleet.CapacityReport{Host: hostID(i), Nonce: 1}, []byte("r"), true, now)
	}
	if table.put(fleet.CapacityReport{Host: "h-more", Nonce: 1}, []byte("r"), true, now) {
		t.Error("the table grew past its limit")
	}
	if !table.put(fleet.CapacityReport{Host: hostID(3), Nonce: 2}, []byte("r"), true, now) {
		t.Error("a full table refused news of a host it knows")
	}
}

func TestThePaceKeepsTheRingInsideItsBudget(t *testing.T) {
	for n, atMost := range map[int]time.Duration{1: paceFloor, 3: paceFloor, 10: time.Second, 100: 12 * time.Second, 1000: 3 * time.Minute} {
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
