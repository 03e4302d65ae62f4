package fence_test

import (
	"net/netip"
	"testing"
	"time"

	"skein/agent/peer/fence"
	"skein/raftfsm/fleet"
)

var (
	here  = netip.MustParseAddrPort("10.0.0.1:7700")
	there = netip.MustParseAddrPort("10.0.0.2:7700")
	none  netip.AddrPort
)

// step is one thing that happens to a fence, or is expected of it, at a time.
type step struct {
	at   time.Duration
	what func(t *testing.T, f *fence.Fence, now time.Duration)
}

func at(d time.Duration, what func(*testing.T, *fence.Fence, time.Duration)) step {
	return step{d, what}
}

func fenced(former netip.AddrPort, want bool) func(*testing.T, *fence.Fence, time.Duration) {
	return func(t *testing.T, f *fence.Fence, now time.Duration) {
		t.Helper()
		if got := f.Fenced(now, former); got != want {
			t.Errorf("at %s: fenced %v, want %v", now, got, want)
		}
	}
}

func asks(former netip.AddrPort, want bool) func(*testing.T, *fence.Fence, time.Duration) {
	return func(t *testing.T, f *fence.Fence, now time.Duration) {
		t.Helper()
		if got := f.Ask(now, former); got != want {
			t.Errorf("at %s: asks %v, want %v", now, got, want)
		}
	}
}

func answered(former netip.AddrPort, answers bool) func(*testing.T, *fence.Fence, time.Duration) {
	return func(_ *testing.T, f *fence.Fence, now time.Duration) { f.Answered(now, former, answers) }
}

func refused(_ *testing.T, f *fence.Fence, now time.Duration) { f.Refused(now) }

func accepted(_ *testing.T, f *fence.Fence, _ time.Duration) { f.Accepted() }

func TestWhichMachineIsTakenForACopy(t *testing.T) {
	const began = time.Hour
	kept := fence.FormerKept
	for name, steps := range map[string][]step{
		"a machine at the address of State never waits": {
			at(began, fenced(none, false)), at(began, asks(none, false)),
		},
		"a machine that has moved waits until its former address would have answered": {
			at(began, fenced(there, true)), at(began+kept-1, fenced(there, true)), at(began+kept, fenced(there, false)),
		},
		"nobody who answers does not end the wait early, or lengthen it": {
			at(began, fenced(there, true)), at(began, asks(there, true)), at(began+1, answered(there, false)),
			at(began+kept-1, fenced(there, true)), at(began+kept, fenced(there, false)),
		},
		"each answer lengthens the wait": {
			at(began, fenced(there, true)), at(began+kept-1, asks(there, true)), at(began+kept, answered(there, true)),
			at(began+2*kept-1, fenced(there, true)), at(began+2*kept, fenced(there, false)),
		},
		"an answer after the wait fences again": {
			at(began, fenced(there, true)), at(began+kept, fenced(there, false)), at(began+kept, asks(there, true)),
			at(began+kept+1, answered(there, true)), at(began+kept+2, fenced(there, true)),
		},
		"another former address is waited for anew": {
			at(began, fenced(there, true)), at(began+kept, fenced(here, true)), at(began+2*kept, fenced(here, false)),
		},
		"State that comes to have this machine's address ends the wait": {
			at(began, fenced(there, true)), at(began+1, fenced(none, false)),
		},
		"the fleet's word counts at any address, for a while": {
			at(began, refused), at(began, fenced(none, true)), at(began+fence.RefusedKept-1, fenced(none, true)),
			at(began+fence.RefusedKept, fenced(none, false)),
		},
		"a session takes the fleet's word back": {
			at(began, refused), at(began+1, accepted), at(began+1, fenced(none, false)),
		},
		"a session says nothing of who answers at the former address": {
			at(began, fenced(there, true)), at(began+1, accepted), at(began+1, fenced(there, true)),
		},
		"one question at a time, each second": {
			at(began, asks(there, true)), at(began+2*fence.AskEvery, asks(there, false)),
			at(began+2*fence.AskEvery, answered(there, false)), at(began+2*fence.AskEvery, asks(there, true)),
			at(began+2*fence.AskEvery, answered(there, false)), at(began+3*fence.AskEvery-1, asks(there, false)),
			at(began+3*fence.AskEvery, asks(there, true)),
		},
	} {
		t.Run(name, func(t *testing.T) {
			var f fence.Fence
			for _, s := range steps {
				s.what(t, &f, s.at)
			}
		})
	}
}

func TestWhereAHostWasBefore(t *testing.T) {
	const host = fleet.HostID("h-1")
	empty, st := fleet.New(), fleet.New()
	out := st.Apply(1, fleet.Entry{Items: []fleet.Item{{Command: fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"),
		SealedKeys: fleet.SealedKeys{Version: 1, CA: make([]byte, 8), Gossip: make([]byte, 8)},
		Host:       fleet.Admission{ID: host, Name: "one", Zone: "a", Addr: there, PublicKey: "key"},
		RaftID:     fleet.MakeRaftID(host, 1)}}}})
	if err := out.Results[0].Err; err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		st   *fleet.State
		own  netip.AddrPort
		want netip.AddrPort
	}{
		"a host that State does not know was nowhere":            {empty, here, none},
		"a host at the address of State was nowhere else":        {st, there, none},
		"a host at another address was where State has it":       {st, here, there},
		"a host that does not say where it is is not looked for": {st, none, none},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fence.Former(c.st, host, c.own); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
