package entry_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/agent/plan"
	"skein/agent/plan/entry"
	"skein/agent/plan/plantest"
	"skein/raftfsm/fleet"
)

// prefix is the n-th entry address of the fixture's subnet.
func prefix(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(200 + n)}), 24)
}

const name = "10.0.0.200"

// world is a fleet of the hosts given, of the format that has entry addresses, with so
// many addresses that nobody holds.
func world(t *testing.T, hosts string, addresses int) *plantest.World {
	t.Helper()
	var parts []string
	for _, h := range strings.Split(hosts, ";") {
		words := strings.TrimSuffix(strings.TrimSpace(h), ":")
		if !strings.Contains(words, "reads=") {
			words += " reads=2"
		}
		parts = append(parts, words+":")
	}
	w := plantest.Parse(t, strings.Join(parts, "; ")+"; leader format=2")
	for n := range addresses {
		w.Do(fleet.PutEntryAddress{Prefix: prefix(n)})
	}
	return w
}

// pass plans and applies, and says what was decided.
func pass(w *plantest.World) string {
	p := entry.Next(w.Input())
	w.Apply(p.Items...)
	var out []string
	for _, item := range p.Items {
		switch c := item.Command.(type) {
		case fleet.AssignEntryAddress:
			text := fmt.Sprintf("%s %s>%s", strings.TrimPrefix(c.Addr.String(), "10.0.0."), c.ExpectedHolder, c.Holder)
			if c.FormerUntil > 0 {
				text += " relayed"
			}
			out = append(out, text)
		case fleet.PutCondition:
			out = append(out, "condition "+c.Code)
		}
	}
	return strings.Join(out, ", ")
}

func see(w *plantest.World, host fleet.HostID, as plan.Liveness, since time.Duration) {
	w.Liveness.Hosts[host] = plan.HostLiveness{Liveness: as, For: since, Age: since, Session: 1}
}

func want(t *testing.T, w *plantest.World, why, decided string) {
	t.Helper()
	if got := pass(w); got != decided {
		t.Errorf("%s: %q, want %q", why, got, decided)
	}
	if got := pass(w); got != "" {
		t.Errorf("%s: a second pass decides %q", why, got)
	}
}

func TestAddressesAreSpreadOverHosts(t *testing.T) {
	want(t, world(t, "h1: ; h2: ; h3 zone=b:", 4), "four addresses", "200 >h2, 201 >h3, 202 >h1, 203 >h3")
}

func TestOnlyAHostThatServesIsGivenAnAddress(t *testing.T) {
	for hosts, why := range map[string]string{
		"h1 cordoned:": "a cordoned host", "h1 seen=suspect:": "a suspect", "h1 seen=unknown:": "one that is not heard yet",
		"h1 seen=silent:": "a silent one", "h1 joining:": "one that has not passed its checks", "h1 lost:": "a lost one",
	} {
		want(t, world(t, hosts, 1), why, "condition "+plan.CodeNoEntryHost)
	}
	w := world(t, "h1 cordoned:", 1)
	pass(w)
	w.Do(fleet.UncordonHost{Host: "h1"})
	want(t, w, "a host comes", "condition , 200 >h1")
}

func TestASilentHoldersAddressIsGivenToAnotherAtOnce(t *testing.T) {
	w := world(t, "h1: ; h2: ; h3:", 1)
	pass(w)
	holder := w.State.EntryAddress(name).Holder
	see(w, holder, plan.LivenessSuspect, 700*time.Millisecond)
	want(t, w, "a suspect holder", "")
	see(w, holder, plan.LivenessSilent, 900*time.Millisecond)
	got := pass(w)
	if e := w.State.EntryAddress(name); e.Holder == holder || e.Former != "" {
		t.Errorf("a silent holder: %q, %+v", got, e)
	}
}

func TestAHolderWhoseAgentIsDownHandsOver(t *testing.T) {
	w := world(t, "h1: ; h2:", 1)
	pass(w)
	holder := w.State.EntryAddress(name).Holder
	see(w, holder, plan.LivenessRefused, 400*time.Millisecond)
	if p := entry.Next(w.Input()); len(p.Items) > 0 || len(p.Wakes) != 1 ||
		p.Wakes[0].At != w.Now.Add(100*time.Millisecond) {
		t.Errorf("a restart: %+v", p)
	}
	see(w, holder, plan.LivenessRefused, entry.RefusedFor)
	pass(w)
	if e := w.State.EntryAddress(name); e.Holder == holder || e.Former != holder {
		t.Errorf("an agent that is down: %+v", e)
	}
}

func TestTheLeaderHandsItsAddressesOverWhenAllIsQuiet(t *testing.T) {
	w := world(t, "h1: ; h2:", 1)
	pass(w)
	holder := w.State.EntryAddress(name).Holder
	other := map[fleet.HostID]fleet.HostID{"h1": "h2", "h2": "h1"}[holder]
	if holder != "h1" {
		w.Do(fleet.AssignEntryAddress{Addr: prefix(0).Addr(), ExpectedHolder: holder, Holder: other})
		holder, other = other, holder
	}
	w.Do(fleet.NoteLeader{ID: "h1.1"}) // the only voter
	want(t, w, "it has just been given", "")
	w.Wait(entry.SettleFor)
	want(t, w, "it has been there", fmt.Sprintf("200 %s>%s relayed", holder, other))
	w.Wait(entry.RelayFor)
	want(t, w, "the relay is over", fmt.Sprintf("200 %s>%s", other, other))
	if e := w.State.EntryAddress(name); e.Former != "" || e.Holder != other {
		t.Errorf("after the relay: %+v", e)
	}
}

func TestARelayToADeadHostEnds(t *testing.T) {
	w := world(t, "h1: ; h2:", 1)
	pass(w)
	holder := w.State.EntryAddress(name).Holder
	see(w, holder, plan.LivenessRefused, 3*time.Second)
	pass(w)
	want(t, w, "its machine lives", "")
	see(w, holder, plan.LivenessSilent, time.Second)
	pass(w)
	if e := w.State.EntryAddress(name); e.Former != "" {
		t.Errorf("its machine is dead: %+v", e)
	}
}

func TestAddressesEvenOutWhenHostsCome(t *testing.T) {
	w := world(t, "h1: ; h2 cordoned:", 4)
	want(t, w, "one host", "200 >h1, 201 >h1, 202 >h1, 203 >h1")
	w.Do(fleet.UncordonHost{Host: "h2"})
	w.Wait(entry.SettleFor)
	want(t, w, "another comes", "200 h1>h2 relayed, 201 h1>h2 relayed")
	w.Wait(entry.RelayFor)
	want(t, w, "later", "200 h2>h2, 201 h2>h2")
	w.Wait(entry.RelayFor)
	want(t, w, "much later", "")
}

// Whatever is seen of hosts, a plan is accepted whole, an address never goes to a host
// that is not heard, a third pass on the same decides nothing, and what nobody holds is
// given to whoever can.
func TestRandomFleets(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := world(t, "h1: ; h2: ; h3 zone=b: ; h4 zone=b: ; h5 cordoned:", 1+rng.IntN(6))
		for step := range 60 {
			host := fleet.HostID(fmt.Sprint("h", 1+rng.IntN(5)))
			see(w, host, plan.Liveness(rng.IntN(5)), time.Duration(rng.IntN(5000))*time.Millisecond)
			w.Wait(time.Duration(rng.IntN(90)) * time.Second)
			p := entry.Next(w.Input())
			for _, item := range p.Items {
				c, ok := item.Command.(fleet.AssignEntryAddress)
				if ok && c.Holder != c.ExpectedHolder && w.Liveness.Of(c.Holder).Liveness != plan.LivenessAlive {
					t.Fatalf("seed %d, step %d: %+v is given to a host that is not heard", seed, step, c)
				}
			}
			w.Apply(p.Items...)
			pass(w) // a relay that ended may let an address move
			if again := entry.Next(w.Input()); len(again.Items) > 0 {
				t.Fatalf("seed %d, step %d: a third pass decides %+v", seed, step, again.Items)
			}
			for e := range w.State.EntryAddresses() {
				if e.Holder == "" && w.State.Condition(fleet.EntryAddressSubject(e.Name()), entry.By) == nil {
					t.Fatalf("seed %d, step %d: nobody holds %s, and nothing says why", seed, step, e.Name())
				}
			}
		}
	}
}

func TestACordonedHolderHandsOver(t *testing.T) {
	w := world(t, "h1: ; h2:", 1)
	pass(w)
	holder := w.State.EntryAddress(name).Holder
	w.Do(fleet.CordonHost{Host: holder})
	other := map[fleet.HostID]fleet.HostID{"h1": "h2", "h2": "h1"}[holder]
	want(t, w, "a cordon", fmt.Sprintf("200 %s>%s relayed", holder, other))
	w.Do(fleet.CordonHost{Host: other})
	see(w, other, plan.LivenessAlive, time.Minute)
	w.Wait(entry.RelayFor)
	want(t, w, "all are cordoned", fmt.Sprintf("200 %s>%s, condition %s", other, other, plan.CodeNoEntryHost))
	if e := w.State.EntryAddress(name); e.Holder != other {
		t.Errorf("with nobody else, %s holds it, not %s", e.Holder, other)
	}
}

// One former holder is relayed to at most: who must give the address away while there is one
// gives it back, or says what it waits for.
func TestAMoveDuringARelayGoesBackOrWaits(t *testing.T) {
	w := world(t, "h1: ; h2: ; h3:", 1)
	w.Do(fleet.AssignEntryAddress{Addr: prefix(0).Addr(), Holder: "h1"})
	w.Do(fleet.CordonHost{Host: "h1"})
	want(t, w, "the first is cordoned", "200 h1>h2 relayed")
	w.Do(fleet.CordonHost{Host: "h2"})
	want(t, w, "the second is cordoned", "condition "+plan.CodeEntryWaits)
	w.Do(fleet.UncordonHost{Host: "h1"})
	want(t, w, "the first may have it again", "condition , 200 h2>h1 relayed")
	if e := w.State.EntryAddress(name); e.Former != "h2" {
		t.Errorf("connections go on at %s", e.Former)
	}
}

func TestAStarvedHostIsBetterThanNobody(t *testing.T) {
	starve := func(w *plantest.World, hosts ...fleet.HostID) {
		for _, id := range hosts {
			seen := w.Liveness.Of(id)
			seen.Starved = true
			w.Liveness.Hosts[id] = seen
		}
	}
	w := world(t, "h1: ; h2:", 1)
	starve(w, "h1")
	want(t, w, "one is starved", "200 >h2")
	w = world(t, "h1: ; h2:", 1)
	starve(w, "h1", "h2")
	if got := pass(w); w.State.EntryAddress(name).Holder == "" {
		t.Errorf("all are starved, and nobody is given the address: %q", got)
	}
}

// say has a host, which is heard, leave or have trouble.
func say(w *plantest.World, host fleet.HostID, leaving bool, troubles ...plan.EntryTrouble) {
	seen := w.Liveness.Of(host)
	seen.Leaving, seen.Troubles = leaving, troubles
	w.Liveness.Hosts[host] = seen
}

func TestAnAgentThatIsStoppedForGoodHandsOverAndIsGivenNothing(t *testing.T) {
	w := world(t, "h1: ; h2: ; h3:", 1)
	w.Do(fleet.AssignEntryAddress{Addr: prefix(0).Addr(), Holder: "h1"})
	say(w, "h2", true)
	say(w, "h1", true)
	want(t, w, "two leave", "200 h1>h3 relayed")
	say(w, "h1", false)
	say(w, "h3", true)
	want(t, w, "the next leaves while the first, which is back, is relayed to", "200 h3>h1 relayed")
	if e := w.State.EntryAddress(name); e.Former != "h3" {
		t.Errorf("connections go on at %s", e.Former)
	}
	say(w, "h2", false)
	say(w, "h3", true)
	say(w, "h1", true)
	want(t, w, "the next leaves while one that leaves is relayed to", "200 h1>h1, 200 h1>h2 relayed")
	w.Do(fleet.AssignEntryAddress{Addr: prefix(0).Addr(), ExpectedHolder: "h2", Holder: "h1"})
	say(w, "h2", true)
	say(w, "h1", true)
	say(w, "h3", true)
	want(t, w, "all leave", "condition "+plan.CodeNoEntryHost)
	say(w, "h1", false)
	if got := pass(w); got != "condition " {
		t.Errorf("it is back: %q", got)
	}
}

func TestTroubleOfAHolderIsToldAndWhatFailsIsTriedElsewhere(t *testing.T) {
	addr := prefix(0).Addr()
	w := world(t, "h1: ; h2:", 1)
	w.Do(fleet.AssignEntryAddress{Addr: addr, Holder: "h1"})
	say(w, "h1", false, plan.EntryTrouble{Addr: addr, Other: "02:00:00:00:00:09"})
	want(t, w, "a neighbour has it", "condition "+plan.CodeEntryConflict)
	w.Wait(fleet.EntryRelay)
	want(t, w, "and goes on to", "")
	say(w, "h1", false)
	want(t, w, "it is gone", "condition ")
	say(w, "h1", false, plan.EntryTrouble{Addr: addr, Why: "no interface"})
	want(t, w, "it cannot be held", "200 h1>h2 relayed")
	say(w, "h2", false, plan.EntryTrouble{Addr: addr, Why: "not permitted"})
	want(t, w, "nor by the next", "condition "+plan.CodeEntryFailed)
	c := w.State.Condition(fleet.EntryAddressSubject(name), entry.By)
	if c == nil || c.Message != "h2 cannot hold it: not permitted" {
		t.Errorf("it says %+v", c)
	}
}
