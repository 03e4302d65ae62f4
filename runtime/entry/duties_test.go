package entry

import (
	"net/netip"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

func sentDuties(duties ...fleet.EntryDuty) *fleet.WantedEntries {
	return &fleet.WantedEntries{Addresses: duties}
}

func TestAnAddressIsNotAnsweredForBeforeFormerLeasesAreOver(t *testing.T) {
	prefix, former := netip.MustParsePrefix("10.0.0.200/24"), netip.MustParseAddr("10.0.0.7")
	var d Duties
	check := func(now time.Duration, sent fleet.EntryDuty, learned time.Duration) {
		t.Helper()
		d.Take(now, sentDuties(sent))
		got := d.Addresses()
		want := Address{Addr: prefix.Addr(), Bits: 24, Role: Holding, Assignment: sent.Assignment, RelayTo: sent.RelayTo,
			NotBefore: learned + LeaseFor + clockMargin}
		if len(got) != 1 || got[0] != want {
			t.Errorf("at %s, sent %+v: %+v, want %+v", now, sent, got, want)
		}
	}
	check(time.Second, fleet.EntryDuty{Prefix: prefix, Assignment: 5, RelayTo: former}, time.Second)
	check(time.Minute, fleet.EntryDuty{Prefix: prefix, Assignment: 5}, time.Second)
	check(time.Hour, fleet.EntryDuty{Prefix: prefix, Assignment: 9}, time.Hour)
	d.Take(2*time.Hour, sentDuties())
	check(3*time.Hour, fleet.EntryDuty{Prefix: prefix, Assignment: 9}, 3*time.Hour)
}

func TestOnlyWhoAnswersNeedsALease(t *testing.T) {
	duty := fleet.EntryDuty{Prefix: netip.MustParsePrefix("10.0.0.200/24"), Assignment: 5}
	var d Duties
	if d.Any() || d.Addresses() != nil {
		t.Error("a host that was sent nothing has something to do")
	}
	if !d.Take(0, sentDuties()) || d.Take(0, sentDuties()) {
		t.Error("what is sent first is new, and is not when it is sent again")
	}
	if d.Take(0, sentDuties(duty)); !d.Any() {
		t.Error("a holder needs no lease")
	}
	duty.Former = true
	if !d.Take(0, sentDuties(duty)) || d.Any() || d.Addresses()[0].Role != Former {
		t.Errorf("a former holder: %+v, needs a lease: %v", d.Addresses(), d.Any())
	}
}

func TestALeaseCountsFromTheBeatThatIsAnswered(t *testing.T) {
	const sent, now = time.Minute, time.Minute + 300*time.Millisecond
	for name, tt := range map[string]struct {
		word Word
		want Lease
	}{
		"a leader was confirmed": {
			Word{Beat(sent), 100 * time.Millisecond, false}, Lease{Until: sent + LeaseFor - 100*time.Millisecond}},
		"no leader, and an old State": {
			Word{Beat(sent), time.Second, true}, Lease{sent + LeaseFor - time.Second, sent + LeaseFor}},
		"no leader in the voter's life": {Word{Beat(sent), -1, true}, Lease{WithoutLeader: sent + LeaseFor}},
		"nothing was confirmed":         {Word{Beat(sent), -1, false}, Lease{}},
		"a beat that was never sent":    {Word{Beat(now + time.Second), 0, true}, Lease{}},
		"an answer to nothing":          {Word{0, 0, true}, Lease{}},
		"a number that no time is of":   {Word{^uint64(0), 0, true}, Lease{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := LeaseOf(now, tt.word); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}
