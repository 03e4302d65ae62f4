package stream

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

// sending steps a sender of h-1's stream.
type sending struct {
	t  *testing.T
	s  *Sender
	st *fleet.State
	do func(fleet.Command)
}

func newSending(t *testing.T) *sending {
	st, do := stateWithATask(t)
	return &sending{t: t, s: NewSender("h-1", st, Position{Session: 1}), st: st, do: do}
}

func (d *sending) next(now time.Duration) *VoterFrame {
	d.t.Helper()
	f, err := d.s.Next(now, View{State: d.st})
	if err != nil {
		d.t.Fatal(err)
	}
	return f
}

// stop changes what the host is to do.
func (d *sending) stop() {
	d.do(fleet.StopTasks{Tasks: []fleet.TaskID{"00000000000000000000000000000001"}, Code: fleet.StopUserInitiated})
	d.s.Changed()
}

func TestOneFrameIsUnderWay(t *testing.T) {
	d := newSending(t)
	if f := d.next(time.Hour); f == nil || f.Kind != KindSnapshot || f.Roster == nil || len(f.Tasks) != 1 {
		t.Fatalf("the first frame is %+v", f)
	}
	d.stop()
	if f := d.next(time.Hour + time.Minute); f != nil || d.s.Due() != protocol.Never {
		t.Fatalf("a second frame before the first was taken: %+v", f)
	}
	d.s.Sent()
	if f := d.next(time.Hour + time.Minute); f == nil || f.Kind != KindDelta || len(f.Tasks) != 1 || f.Roster != nil {
		t.Fatalf("what changed meanwhile is %+v", f)
	}
}

func TestTheFirstChangeLeavesAtOnceAndMoreGather(t *testing.T) {
	d := newSending(t)
	d.next(time.Hour)
	d.s.Sent()
	now := time.Hour + 100*time.Millisecond
	d.s.Changed() // a row of the host, and nothing that it is sent
	if f := d.next(now); f != nil {
		t.Fatalf("nothing changed, and %+v is sent", f)
	}
	d.stop()
	if got, want := d.s.Due(), now+Coalesce; got != want {
		t.Fatalf("due at %s, want %s", got, want)
	}
	if f := d.next(now + Coalesce - 1); f != nil {
		t.Fatalf("sent while changes gather: %+v", f)
	}
	if f := d.next(now + Coalesce); f == nil || f.Kind != KindDelta {
		t.Fatalf("the change is %+v", f)
	}
}

func TestAnOrderDoesNotWaitForTheBeat(t *testing.T) {
	d := newSending(t)
	d.do(fleet.PutToken{ID: "tok", TokenKind: fleet.TokenJoin, Hash: make([]byte, 32), Uses: 1,
		NotAfter: 1_800_000_000_000})
	addr := netip.MustParseAddrPort("10.0.0.2:7700")
	d.do(fleet.AdmitHost{Token: "tok", SecretHash: make([]byte, 32), Host: fleet.Admission{
		ID: "h-2", Name: "h2", Zone: "b", Addr: addr, PublicKey: "key2",
	}})
	d.do(fleet.OpenSession{Host: "h-2", Boot: "b", Nonce: 1, Zone: "b", Addr: addr,
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192}})
	d.do(fleet.SetVoter{ID: "h-2.1", Phase: fleet.VoterPreparing})
	d.do(fleet.SetVoter{ID: "h-2.1", Phase: fleet.VoterRetiring})
	d.s = NewSender("h-2", d.st, Position{Session: 1})
	if f := d.next(time.Hour); f == nil || f.LogsOut != 0 {
		t.Fatalf("the first frame is %+v", f)
	}
	d.s.Sent()
	d.do(fleet.RemoveVoter{ID: "h-2.1"})
	d.s.Changed()
	now := time.Hour + 100*time.Millisecond
	if f := d.next(now); f == nil || f.Kind != KindBeat || f.LogsOut != 1 || f.Tasks != nil {
		t.Fatalf("the order is %+v", f)
	}
	d.s.Sent()
	if f := d.next(now + protocol.VoterBeat); f == nil || f.LogsOut != 1 {
		t.Fatalf("the beat after it is %+v", f)
	}
}

func TestAStreamBeats(t *testing.T) {
	d := newSending(t)
	d.next(time.Hour)
	d.s.Sent()
	if got, want := d.s.Due(), time.Hour+protocol.VoterBeat; got != want {
		t.Fatalf("due at %s, want %s", got, want)
	}
	f, err := d.s.Next(time.Hour+protocol.VoterBeat, View{State: d.st, LeaderAge: -time.Millisecond, Streams: 7})
	if err != nil || f == nil || f.Kind != KindBeat || f.Index != d.st.Index() || f.LeaderAgeMs != -1 || f.Streams != 7 {
		t.Fatalf("the beat is %+v (%v)", f, err)
	}
}

// A change of what a beat said is not lost when it comes with a beat.
func TestABeatBringsWhatGathers(t *testing.T) {
	d := newSending(t)
	d.next(time.Hour)
	d.s.Sent()
	now := time.Hour + protocol.VoterBeat - 1
	d.s.Changed()
	d.next(now) // gathers from here on
	d.stop()
	if f := d.next(now + 1); f == nil || f.Kind != KindDelta {
		t.Fatalf("the beat is %+v", f)
	}
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	d := newSending(t)
	d.next(time.Hour)
	d.s.Sent()
	h := d.st.Host("h-1")
	d.do(fleet.OpenSession{Host: "h-1", Boot: "b", Nonce: 2, Addr: h.Addr, Zone: "a", Capacity: h.Capacity})
	d.s.Changed()
	if _, err := d.s.Next(time.Hour+time.Second, View{State: d.st}); !errors.Is(err, fleet.ErrOldSession) {
		t.Fatalf("got %v, want %v", err, fleet.ErrOldSession)
	}
	// A voter whose State is behind what it has sent, say after its log was replaced,
	// does not go back.
	d = newSending(t)
	d.next(time.Hour)
	d.s.Sent()
	if _, err := d.s.Next(time.Hour+time.Second, View{State: fleet.New()}); !errors.Is(err, protocol.ErrBehind) {
		t.Fatalf("got %v, want %v", err, protocol.ErrBehind)
	}
}
