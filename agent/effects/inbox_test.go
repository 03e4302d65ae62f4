package effects

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

const wallNow fleet.Time = 1_700_000_000_000

func request(index uint64, id fleet.EffectID, attempt int) Request {
	return Request{
		Fence: Fence{1, index}, ID: id, Attempt: attempt, Session: 7, Kind: "webhook", Token: string(id),
		WithinMs: 1_000, Until: wallNow + 1_000,
	}
}

func inbox() *Inbox {
	b := NewInbox(func(kind string) bool { return kind == "webhook" })
	b.Opened(7)
	return b
}

func TestInbox(t *testing.T) {
	begins := func(t *testing.T, b *Inbox, r Request) {
		t.Helper()
		if begin, a := b.Take(0, wallNow, r); !begin {
			t.Fatalf("attempt %d of %s is not begun: %+v", r.Attempt, r.ID, a)
		}
	}
	refuses := func(t *testing.T, b *Inbox, r Request, why Refusal) {
		t.Helper()
		if begin, a := b.Take(0, wallNow, r); begin || a.Refusal != why {
			t.Errorf("attempt %d of %s: begins %v, %q, want %q", r.Attempt, r.ID, begin, a.Refusal, why)
		}
	}
	t.Run("an attempt begins once, and is answered the same ever after", func(t *testing.T) {
		b := inbox()
		begins(t, b, request(1, "e", 1))
		if begin, a := b.Take(0, wallNow, request(1, "e", 1)); begin || !a.Running {
			t.Errorf("while it runs: begins %v, %+v", begin, a)
		}
		b.Ended(0, "e", 1, Done([]byte("out")))
		b.Ended(0, "e", 1, Failed("twice"))
		for range 2 {
			begin, a := b.Take(0, wallNow, request(1, "e", 1))
			if begin || a.Verdict != fleet.VerdictDone || string(a.Outcome) != "out" {
				t.Errorf("when it is over: begins %v, %+v", begin, a)
			}
		}
	})
	t.Run("a leader that is deposed is refused once a newer was heard", func(t *testing.T) {
		b := inbox()
		begins(t, b, request(5, "e", 1))
		refuses(t, b, request(4, "f", 1), OlderLeader)
		begins(t, b, request(5, "f", 1))
		r := request(1, "g", 1)
		r.Fence.Epoch = 2
		begins(t, b, r)
		refuses(t, b, request(9, "h", 1), OlderLeader)
	})
	t.Run("what was handed in another session begins nothing", func(t *testing.T) {
		b := NewInbox(func(string) bool { return true })
		refuses(t, b, request(1, "e", 1), OtherSession)
		none := request(1, "e", 1)
		none.Session = 0
		refuses(t, b, none, OtherSession)
		b.Opened(8)
		refuses(t, b, request(1, "e", 1), OtherSession)
	})
	t.Run("a new session ends the runs of the one before", func(t *testing.T) {
		b := inbox()
		begins(t, b, request(1, "e", 1))
		begins(t, b, request(1, "f", 1))
		b.Ended(0, "f", 1, Done(nil))
		if end := b.Opened(7); end != nil {
			t.Errorf("the same session ends %v", end)
		}
		if end := b.Opened(8); !slices.Equal(end, []fleet.EffectID{"e"}) {
			t.Errorf("a new session ends %v", end)
		}
	})
	t.Run("two attempts of an effect never run side by side, and an older never after a newer", func(t *testing.T) {
		b := inbox()
		begins(t, b, request(1, "e", 1))
		refuses(t, b, request(1, "e", 2), UnderWay)
		b.Ended(0, "e", 1, Retry("no"))
		begins(t, b, request(1, "e", 2))
		refuses(t, b, request(1, "e", 1), OlderAttempt)
	})
	t.Run("an unknown kind and an attempt whose time is over begin nothing", func(t *testing.T) {
		b := inbox()
		other := request(1, "e", 1)
		other.Kind = "other"
		refuses(t, b, other, UnknownKind)
		late := request(1, "e", 1)
		late.WithinMs = 0
		refuses(t, b, late, TooLate)
		held := request(1, "e", 1)
		held.Until = wallNow
		refuses(t, b, held, TooLate)
	})
	t.Run("so many run at a time, and so many answers are kept for so long", func(t *testing.T) {
		b := inbox()
		for i := range MaxKept {
			id := fleet.EffectID(fmt.Sprint(i))
			begins(t, b, request(1, id, 1))
			if i < MaxKept-MaxRunning {
				b.Ended(0, id, 1, Done(nil))
			}
		}
		refuses(t, b, request(1, "more", 1), Busy)
		b.Ended(0, fleet.EffectID(fmt.Sprint(MaxKept-1)), 1, Done(nil))
		refuses(t, b, request(1, "more", 1), Busy)
		if begin, a := b.Take(KeepFor, wallNow, request(1, "more", 1)); !begin {
			t.Errorf("answers are kept for ever: %+v", a)
		}
		refuses(t, b, request(1, "and more", 1), Busy)
	})
}

func TestAnswersAreBounded(t *testing.T) {
	for name, a := range map[string]Answer{
		"no verdict":              {},
		"a verdict of the leader": {Verdict: fleet.VerdictUnknown},
		"an outcome too long":     Done(make([]byte, fleet.MaxEffectOutcome+1)),
	} {
		if got := a.Bounded(); got.Verdict != fleet.VerdictRetry || got.Outcome != nil || got.Why == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := Retry("line\nfeed " + strings.Repeat("x", 2*fleet.MaxEffectWhy)).Bounded()
	if len(got.Why) != fleet.MaxEffectWhy || strings.Contains(got.Why, "\n") {
		t.Errorf("the text is %q", got.Why)
	}
}
