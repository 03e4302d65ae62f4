package fleet

import (
	"net/netip"
	"testing"
	"time"
)

var entryPrefix = netip.MustParsePrefix("10.0.0.200/24")

// entriesOf is a fleet of n hosts, 10.0.0.1 and on, with the entry address 10.0.0.200.
func entriesOf(t testing.TB, n int) *world {
	w := trafficOf(t, n)
	w.must(PutEntryAddress{Prefix: entryPrefix})
	return w
}

func (w *world) entry() EntryAddress {
	w.t.Helper()
	e := w.EntryAddress("10.0.0.200")
	if e == nil {
		w.t.Fatal("the entry address is gone")
	}
	return *e
}

func assign(from, to int, until Time) AssignEntryAddress {
	c := AssignEntryAddress{Addr: entryPrefix.Addr(), FormerUntil: until, Why: "test"}
	if from > 0 {
		c.ExpectedHolder = hostID(from)
	}
	if to > 0 {
		c.Holder = hostID(to)
	}
	return c
}

func TestPutEntryAddressRefusesWhatNoHostCanHold(t *testing.T) {
	for text, why := range map[string]string{
		"10.0.0.1/24": "of host h1 itself", "10.0.0.0/24": "own address", "10.0.0.255/24": "broadcast",
		"10.0.0.9/31": "without room",
		"10.0.0.9/32": "without room", "127.0.0.1/8": "no address of a host", "fe80::1/64": "no address of a host",
		"::ffff:10.0.0.9/120": "no address of a host", "fd00::/64": "own address",
	} {
		t.Run(text, func(t *testing.T) {
			p, err := netip.ParsePrefix(text)
			if err != nil { // of an IPv4 address as IPv6, which has no prefix as text
				p = netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.9"), 120)
			}
			trafficOf(t, 1).refused(PutEntryAddress{Prefix: p}, ErrInvalid, why)
		})
	}
	trafficOf(t, 1).refused(PutEntryAddress{}, ErrInvalid, "prefix:")
}

func TestAnEntryAddressIsPutOnceAndItsSubnetMayBeCorrected(t *testing.T) {
	w := entriesOf(t, 1)
	w.must(assign(0, 1, 0))
	at := w.entry().ModifyIndex
	w.must(PutEntryAddress{Prefix: entryPrefix})
	if w.entry().ModifyIndex != at {
		t.Error("the same again is a change")
	}
	w.must(PutEntryAddress{Prefix: netip.MustParsePrefix("10.0.0.200/16")})
	if e := w.entry(); e.Prefix.Bits() != 16 || e.Holder != hostID(1) {
		t.Errorf("corrected: %+v", e)
	}
	w.must(PutCondition{Subject: EntryAddressSubject("10.0.0.200"), Code: "no-host-for-entry"})
	w.must(DeleteEntryAddress{Addr: entryPrefix.Addr()})
	if w.Condition(EntryAddressSubject("10.0.0.200"), "") != nil {
		t.Error("a condition of the deleted address stayed")
	}
	w.refused(DeleteEntryAddress{Addr: entryPrefix.Addr()}, ErrNotFound, "10.0.0.200")
	w.refused(assign(0, 1, 0), ErrNotFound, "10.0.0.200")
}

func TestAnEntryAddressHasOneHolderAndIsGivenByWhoKnowsIt(t *testing.T) {
	w := entriesOf(t, 3)
	w.must(assign(0, 1, 0))
	first := w.entry()
	if first.Holder != hostID(1) || first.Assignment != w.Index() || first.Since != w.Now() || first.Why != "test" {
		t.Fatalf("assigned: %+v", first)
	}
	w.refused(assign(0, 2, 0), ErrMoved, "h1 holds it, not nobody")
	w.refused(assign(3, 2, 0), ErrMoved, "h1 holds it, not h3")
	w.must(assign(1, 1, 0))
	if w.entry() != first {
		t.Errorf("the same holder again changed it: %+v", w.entry())
	}
	w.must(SilenceHost{Host: hostID(2), Session: 1})
	w.refused(assign(1, 2, 0), ErrConflict, "h2 is silent")
	w.must(assign(1, 0, 0))
	if e := w.entry(); e.Holder != "" || e.Assignment != 0 {
		t.Errorf("given to nobody: %+v", e)
	}
}

func TestAHostOfAnotherSubnetHoldsNoEntryAddress(t *testing.T) {
	w := entriesOf(t, 1)
	w.must(PutEntryAddress{Prefix: netip.MustParsePrefix("10.7.0.200/24")})
	w.refused(AssignEntryAddress{Addr: netip.MustParseAddr("10.7.0.200"), Holder: hostID(1)}, ErrConflict,
		"is not in 10.7.0.0/24")
}

func TestAFormerHolderStaysUntilItsTimeAndIsOne(t *testing.T) {
	w := entriesOf(t, 3)
	until := func(d time.Duration) Time { return w.Now().Add(d) }
	w.refused(assign(0, 1, until(time.Minute)), ErrInvalid, "formerUntil: is of a move")
	w.must(assign(0, 1, 0))
	w.refused(assign(1, 2, until(2*MaxEntryRelay)), ErrInvalid, "formerUntil: want a time within")
	w.refused(assign(1, 2, until(-time.Second)), ErrInvalid, "formerUntil: want a time within")
	w.must(assign(1, 2, until(time.Minute)))
	if e := w.entry(); e.Former != hostID(1) || e.FormerUntil == 0 || e.Holder != hostID(2) {
		t.Fatalf("moved: %+v", e)
	}
	w.refused(assign(2, 3, until(time.Minute)), ErrConflict, "still relayed")
	assigned := w.entry().Assignment
	w.must(assign(2, 2, 0))
	if e := w.entry(); e.Former != "" || e.FormerUntil != 0 || e.Assignment != assigned {
		t.Errorf("the relay ended: %+v", e)
	}
	w.must(assign(2, 3, until(time.Minute)))
	w.must(assign(3, 1, 0)) // its holder died
	if e := w.entry(); e.Former != "" {
		t.Errorf("after the holder's death: %+v", e)
	}
}

// duties are what a host is sent of entry addresses, as text.
func (w *world) duties(host int) string {
	wanted := w.Wanted(hostID(host)).Entries
	if wanted == nil {
		return "nothing"
	}
	out := "all:"
	for _, d := range wanted.Addresses {
		switch {
		case d.Former:
			out += " take " + d.Prefix.String()
		case d.RelayTo.IsValid():
			out += " answer for " + d.Prefix.String() + ", relay to " + d.RelayTo.String()
		default:
			out += " answer for " + d.Prefix.String()
		}
	}
	return out
}

func TestHostsAreSentTheEntryAddressesThatConcernThem(t *testing.T) {
	w := entriesOf(t, 3)
	step := func(c Command, sent ...string) {
		t.Helper()
		before := [4]WantedMarks{}
		for n := 1; n <= 3; n++ {
			before[n] = w.WantedMarks(w.Host(hostID(n)))
		}
		was := [4]string{"", w.duties(1), w.duties(2), w.duties(3)}
		w.must(c)
		for n := 1; n <= 3; n++ {
			if got := w.duties(n); got != sent[n-1] {
				t.Errorf("after %+v host %d is sent %q, want %q", c, n, got, sent[n-1])
			}
			moved := w.WantedMarks(w.Host(hostID(n)))[WantedEntry] != before[n][WantedEntry]
			woken := w.outcome.ChangeSet.Has(Subject{SubjectWanted, string(hostID(n))})
			if changed := was[n] != sent[n-1]; changed && !(moved && woken) {
				t.Errorf("after %+v host %d has its mark moved: %v, is woken: %v", c, n, moved, woken)
			}
		}
	}
	const one = "10.0.0.200/24"
	step(assign(0, 1, 0), "all: answer for "+one, "nothing", "nothing")
	step(assign(1, 2, w.Now().Add(time.Minute)), "all: take "+one, "all: answer for "+one+", relay to 10.0.0.1", "nothing")
	addr := OpenSession{Host: hostID(1), Boot: "b", Nonce: 99, Zone: "a", Addr: netip.MustParseAddrPort("10.0.0.77:7000"),
		Capacity: w.Host(hostID(1)).Capacity, Format: FormatVersion}
	step(addr, "all: take "+one, "all: answer for "+one+", relay to 10.0.0.77", "nothing")
	addr.Nonce, addr.Addr = 100, netip.MustParseAddrPort("10.9.0.1:7000")
	step(addr, "all: take "+one, "all: answer for "+one, "nothing")
	step(PutEntryAddress{Prefix: netip.MustParsePrefix("10.0.0.200/16")}, "all: take 10.0.0.200/16",
		"all: answer for 10.0.0.200/16", "nothing")
	step(assign(2, 2, 0), "all:", "all: answer for 10.0.0.200/16", "nothing")
	step(assign(2, 3, 0), "all:", "all:", "all: answer for 10.0.0.200/16")
	step(DeleteEntryAddress{Addr: entryPrefix.Addr()}, "all:", "all:", "all:")
}
