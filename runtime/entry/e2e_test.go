//go:build e2e

package entry

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var both = []netip.Addr{entry4, entry6}

func holdingAll() (out []Address) {
	for _, a := range both {
		out = append(out, Address{Addr: a, Role: Holding})
	}
	return out
}

const longLease = time.Hour

// holder is a machine that answers for the addresses.
func (s *segment) holder(t *testing.T, n int, want ...Address) *machine {
	t.Helper()
	m := s.machine(t, n)
	m.renew(longLease)
	m.hold(want...)
	m.answers(true)
	return m
}

func (m *machine) wantWho(addr netip.Addr, why string, want ...string) {
	m.t.Helper()
	if got := m.who(addr); fmt.Sprint(got) != fmt.Sprint(want) {
		m.t.Errorf("%s: %v answer for %s, want %v", why, got, addr, want)
	}
}

func TestOnlyAnAgentWithALeaseAnswersForAnAddress(t *testing.T) {
	s := newSegment(t)
	h, client := s.machine(t, 1), s.machine(t, 9)
	h.hold(holdingAll()...)
	for _, addr := range both {
		client.wantWho(addr, "without a lease")
	}
	h.renew(4 * time.Second)
	h.answers(true)
	for _, addr := range both {
		client.wantWho(addr, "with a lease", h.mac())
	}
	h.answers(false)
	for _, addr := range both {
		client.wantWho(addr, "when the lease is over")
	}
}

func TestADeadAgentFallsSilentAndItsSuccessorTakesUpWhatItLeft(t *testing.T) {
	s := newSegment(t)
	h, client := s.holder(t, 1, holdingAll()...), s.machine(t, 9)
	h.do("restart", nil)
	for _, addr := range both {
		client.wantWho(addr, "without an agent")
	}
	h.hold(holdingAll()[0])
	if got := h.do("own", nil); got != "1" {
		t.Errorf("after a restart and with one address, %s are on the loopback interface", got)
	}
	h.do("restart", nil)
	h.hold()
	if got := h.do("own", nil); got != "0" {
		t.Errorf("after a restart and with no address, %s are on the loopback interface", got)
	}
	if got := h.do("sh", "nft list tables"); strings.Contains(got, tableName) {
		t.Errorf("rules stayed behind: %s", got)
	}
}

func TestWhatAnotherProgramTookAwayIsPutBack(t *testing.T) {
	s := newSegment(t)
	h, client := s.holder(t, 1, holdingAll()...), s.machine(t, 9)
	h.do("sh", "ip addr del 10.9.0.100/32 dev lo; ip addr del fd00:9::100/128 dev lo; nft flush ruleset")
	h.hold(holdingAll()...)
	for _, addr := range both {
		if got := client.load(load{addr, 100 * time.Millisecond, time.Second}); got.Lost > 0 {
			t.Errorf("%s: %+v", addr, got)
		}
	}
	if got := h.do("sh", "nft list tables"); !strings.Contains(got, tableName) {
		t.Errorf("rules were not put back: %s", got)
	}
}

func TestAddressesThatCannotBeHeldAreRefusedByName(t *testing.T) {
	s := newSegment(t)
	h, client := s.machine(t, 1), s.machine(t, 9)
	h.renew(longLease)
	h.do("sh", "ip route add default via 10.9.0.254 dev eth0")
	for text, part := range map[string]string{
		"10.8.0.1": "in no subnet", "10.9.0.1": "of this host itself", "10.9.0.255": "broadcast",
		"127.0.0.1": "want an IPv4 or IPv6 address", "fe80::5": "want an IPv4 or IPv6 address", "fd00:8::1": "in no subnet",
		"10.9.0.254": "gateway",
	} {
		got := h.do("hold", []Address{{Addr: netip.MustParseAddr(text), Role: Holding}, {Addr: entry4, Role: Holding}})
		if !strings.Contains(got, text) || !strings.Contains(got, part) {
			t.Errorf("%s: %q does not name it and say %q", text, got, part)
		}
	}
	wide := h.do("hold", []Address{{Addr: entry4, Bits: 8, Role: Holding}})
	if !strings.Contains(wide, "10.0.0.0/8") || !strings.Contains(wide, "10.9.0.0/24") {
		t.Errorf("of another subnet's length: %q does not name both", wide)
	}
	h.hold(Address{Addr: entry4, Bits: 24, Role: Holding})
	h.answers(true)
	client.wantWho(entry4, "beside addresses that are refused", h.mac())
}

func TestAForeignHolderIsReportedAndNotFought(t *testing.T) {
	s := newSegment(t)
	foreign, h, client := s.machine(t, 3), s.machine(t, 1), s.machine(t, 9)
	foreign.do("sh", "ip addr add 10.9.0.100/24 dev eth0; ip addr add fd00:9::100/64 dev eth0 nodad")
	h.renew(longLease)
	h.hold(holdingAll()...)
	pause(3 * time.Second)
	for _, st := range h.status() {
		if st.Answering || st.Other != foreign.mac() {
			t.Errorf("%+v, want it to leave the address to %s", st, foreign.mac())
		}
	}
	client.wantWho(entry4, "both are there", foreign.mac())
	if got := h.do("own", nil); got != "0" {
		t.Errorf("%s addresses of another machine are on the loopback interface: the host is cut off from it", got)
	}
	foreign.do("sh", "ip addr del 10.9.0.100/24 dev eth0; ip addr del fd00:9::100/64 dev eth0")
	h.answers(true)
}

// detection is how long the fleet takes to find a host silent and to tell another, and
// leaseOver how long the other waits until no lease of the silent one can be fresh.
const (
	detection = time.Second
	leaseOver = 700 * time.Millisecond
)

func TestAnAddressMovesWhenItsHolderDies(t *testing.T) {
	for _, addr := range both {
		t.Run(addr.String(), func(t *testing.T) {
			s := newSegment(t)
			a, b, client := s.holder(t, 1, Address{Addr: addr, Role: Holding}), s.machine(t, 2), s.machine(t, 9)
			b.renew(longLease)
			client.startLoad(load{addr, 5 * time.Second, 5 * time.Second})
			pause(time.Second)
			a.kill()
			pause(detection)
			b.hold(Address{Addr: addr, Role: Holding, NotBefore: leaseOver})
			b.answers(true)
			got := client.loadResult()
			t.Logf("%+v", got)
			// What was in flight on the dead machine is lost, nothing else. The figure is in
			// DESIGN.md; the bound is for machines that are busy with more than this test.
			if most := detection + leaseOver + time.Second; got.Gap > most || got.By["m2"] == 0 || got.Lost > 10 {
				t.Errorf("no answer for %v, want less than %v; %d lost", got.Gap, most, got.Lost)
			}
		})
	}
}

// move has b take the address over from a, while a client connects and another keeps
// connections open.
func move(t *testing.T, addr netip.Addr, relay bool) (seen, connections) {
	t.Helper()
	s := newSegment(t)
	a, b := s.holder(t, 1, Address{Addr: addr, Role: Holding}), s.machine(t, 2)
	client, other := s.machine(t, 9), s.machine(t, 8)
	b.renew(longLease)
	if got := other.do("keep", addr); got != "ok" {
		t.Fatal(got)
	}
	client.startLoad(load{addr, 4 * time.Second, 3 * time.Second})
	pause(time.Second)
	var former netip.Addr
	if relay {
		former = host6(1)
		if addr.Is4() {
			former = host4(1)
		}
	}
	// The new holder is told first: it waits until the former one is silent.
	b.hold(Address{Addr: addr, Role: Holding, RelayTo: former})
	pause(300 * time.Millisecond)
	a.hold(Address{Addr: addr, Role: Former})
	b.answers(true)
	load := client.loadResult()
	var kept connections
	must(t, json.Unmarshal([]byte(other.do("kept", nil)), &kept))
	t.Logf("%+v, open %+v", load, kept)
	if load.By["m1"] == 0 || load.By["m2"] == 0 {
		t.Errorf("both machines should have answered: %+v", load)
	}
	return load, kept
}

func TestAPlannedMoveLosesNothing(t *testing.T) {
	for _, addr := range both {
		t.Run(addr.String(), func(t *testing.T) {
			load, kept := move(t, addr, true)
			if load.Lost > 0 {
				t.Errorf("%d of %d lost", load.Lost, load.Total)
			}
			if kept.AskErr != "" || kept.LineErr != "" || kept.Lines != slowLines || kept.Idle != "m1" ||
				kept.End != io.EOF.Error() {
				t.Errorf("what was open broke: %+v", kept)
			}
		})
	}
}

// An address that comes back while its first holder is relayed to finds its connections
// there, and those that began meanwhile are relayed the other way.
func TestAMoveBackLosesNothing(t *testing.T) {
	for _, addr := range both {
		t.Run(addr.String(), func(t *testing.T) {
			s := newSegment(t)
			a, b := s.holder(t, 1, Address{Addr: addr, Role: Holding}), s.machine(t, 2)
			client, other, third := s.machine(t, 9), s.machine(t, 8), s.machine(t, 7)
			b.renew(longLease)
			at := map[*machine]netip.Addr{a: host6(1), b: host6(2)}
			if addr.Is4() {
				at = map[*machine]netip.Addr{a: host4(1), b: host4(2)}
			}
			keep := func(m *machine) {
				if got := m.do("keep", addr); got != "ok" {
					t.Fatal(got)
				}
			}
			shift := func(from, to *machine) {
				to.hold(Address{Addr: addr, Role: Holding, RelayTo: at[from]})
				pause(300 * time.Millisecond)
				from.hold(Address{Addr: addr, Role: Former, RelayTo: at[to]})
				to.answers(true)
				pause(300 * time.Millisecond)
			}
			keep(other)
			client.startLoad(load{addr, 5 * time.Second, 3 * time.Second})
			shift(a, b)
			keep(third)
			shift(b, a)
			if load := client.loadResult(); load.Lost > 0 || load.By["m1"] == 0 || load.By["m2"] == 0 {
				t.Errorf("%+v", load)
			}
			for m, began := range map[*machine]string{other: "m1", third: "m2"} {
				var kept connections
				must(t, json.Unmarshal([]byte(m.do("kept", nil)), &kept))
				if kept.AskErr != "" || kept.LineErr != "" || kept.Lines != slowLines || kept.Idle != began ||
					kept.End != io.EOF.Error() {
					t.Errorf("what was open at %s broke: %+v", began, kept)
				}
			}
		})
	}
}

// It says that the test above sees what the relay does.
func TestWithoutRelayAMoveBreaksWhatWasOpen(t *testing.T) {
	_, kept := move(t, entry4, false)
	if kept.AskErr == "" || kept.Lines == slowLines {
		t.Errorf("what was open went on without a relay: %+v", kept)
	}
}

func (m *machine) load(l load) seen {
	m.t.Helper()
	m.startLoad(l)
	return m.loadResult()
}

// startLoad begins a load; the result is read with loadResult.
func (m *machine) startLoad(l load) {
	m.t.Helper()
	text, err := json.Marshal(l)
	must(m.t, err)
	m.line("load %s", text)
}

func (m *machine) loadResult() (out seen) {
	m.t.Helper()
	must(m.t, json.Unmarshal([]byte(m.read()), &out))
	return out
}

// pause is time that passes in the story, not a wait for something to have happened.
func pause(d time.Duration) { <-time.NewTimer(d).C }
