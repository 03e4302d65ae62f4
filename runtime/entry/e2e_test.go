//go:build e2e

package entry

import (
	"encoding/json"
	"net/netip"
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

func TestOnlyTheAgentAnswersForAnAddress(t *testing.T) {
	s := newSegment(t)
	h, client := s.machine(t, 1), s.machine(t, 9)
	h.hold(holdingAll()...)
	for _, addr := range both {
		if got := client.who(addr); len(got) != 0 {
			t.Errorf("without a lease %v answer for %s", got, addr)
		}
	}
	h.renew(longLease, false)
	h.answers(true)
	for _, addr := range both {
		if got := client.who(addr); len(got) != 1 || got[0] != h.mac() {
			t.Errorf("with a lease %v answer for %s, want %s", got, addr, h.mac())
		}
	}
	h.do("restart", nil)
	for _, addr := range both {
		if got := client.who(addr); len(got) != 0 {
			t.Errorf("without an agent %v answer for %s", got, addr)
		}
	}
}

func TestAClientReachesTheHolder(t *testing.T) {
	s := newSegment(t)
	h, client := s.machine(t, 1), s.machine(t, 9)
	h.hold(holdingAll()...)
	h.renew(longLease, false)
	h.answers(true)
	for _, addr := range both {
		got := client.load(load{addr, 300 * time.Millisecond, time.Second})
		if got.Lost > 0 || got.By["m1"] != got.Total {
			t.Errorf("%s: %+v", addr, got)
		}
	}
}

func (m *machine) load(l load) (out seen) {
	m.t.Helper()
	must(m.t, json.Unmarshal([]byte(m.do("load", l)), &out))
	return out
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

func pause(d time.Duration) { <-time.NewTimer(d).C }

// detection is how long the fleet takes to find a host silent and to tell another.
const detection = time.Second

func TestAnAddressMovesWhenItsHolderDies(t *testing.T) {
	for _, addr := range both {
		t.Run(addr.String(), func(t *testing.T) {
			s := newSegment(t)
			a, b, client := s.machine(t, 1), s.machine(t, 2), s.machine(t, 9)
			a.hold(Address{Addr: addr, Role: Holding})
			a.renew(longLease, false)
			a.answers(true)
			b.renew(longLease, false)
			client.startLoad(load{addr, 5 * time.Second, 3 * time.Second})
			pause(time.Second)
			a.kill()
			pause(detection)
			start := time.Now()
			b.hold(Address{Addr: addr, Role: Holding})
			b.answers(true)
			t.Logf("taken %v after it was assigned", time.Since(start).Round(time.Millisecond))
			got := client.loadResult()
			t.Logf("%+v", got)
			if got.Gap > 2*time.Second || got.By["m2"] == 0 {
				t.Errorf("no answer for %v, want less than 2 s", got.Gap)
			}
		})
	}
}

func TestAPlannedMoveLosesNothing(t *testing.T) {
	for _, addr := range both {
		t.Run(addr.String(), func(t *testing.T) {
			s := newSegment(t)
			a, b, client, other := s.machine(t, 1), s.machine(t, 2), s.machine(t, 9), s.machine(t, 8)
			a.renew(longLease, false)
			b.renew(longLease, false)
			a.hold(Address{Addr: addr, Role: Holding})
			a.answers(true)
			if got := other.do("keep", addr); got != "ok" {
				t.Fatal(got)
			}
			client.startLoad(load{addr, 4 * time.Second, 3 * time.Second})
			pause(time.Second)
			former := host4(1)
			if addr.Is6() {
				former = host6(1)
			}
			// The new holder is told first: it waits until the former one is silent.
			b.hold(Address{Addr: addr, Role: Holding, Former: former})
			pause(300 * time.Millisecond)
			a.hold(Address{Addr: addr, Role: Former})
			start := time.Now()
			b.answers(true)
			t.Logf("taken %v after the former holder was told", time.Since(start).Round(time.Millisecond))
			got := client.loadResult()
			t.Logf("%+v", got)
			if got.Lost > 0 || got.By["m2"] == 0 {
				t.Errorf("%d of %d lost", got.Lost, got.Total)
			}
			var kept connections
			must(t, json.Unmarshal([]byte(other.do("kept", nil)), &kept))
			t.Logf("%+v", kept)
			if kept.AskErr != "" || kept.LineErr != "" || kept.Lines != slowLines || kept.Idle != "m1" {
				t.Errorf("what was open broke: %+v", kept)
			}
			t.Log(b.do("sh", "cat /proc/net/stat/nf_conntrack | head -1; nft list ruleset"))
		})
	}
}
