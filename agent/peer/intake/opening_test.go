package intake_test

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/raftfsm/fleet"
)

const began fleet.Time = 1_767_355_200_000

var addr = netip.MustParseAddrPort("10.0.0.1:7700")

// hostIn is a State with one host, in session 1 of boot-1.
func hostIn(t *testing.T) *fleet.State {
	t.Helper()
	st := fleet.New()
	a := fleet.Admission{ID: "h-1", Name: "one", Zone: "a", Addr: addr, PublicKey: "key"}
	apply(t, st, 0, fleet.InitFleet{ID: "f-1", CABundle: []byte("ca"), SealedKeys: fleet.SealedKeys{Version: 1,
		CA: make([]byte, 8), Gossip: make([]byte, 8)}, Host: a, RaftID: fleet.MakeRaftID(a.ID, 1)})
	apply(t, st, 0, ask("boot-1", 1))
	return st
}

func apply(t *testing.T, st *fleet.State, after time.Duration, c fleet.Command) fleet.Result {
	t.Helper()
	out := st.Apply(st.Index()+1, fleet.Entry{At: began.Add(after), Items: []fleet.Item{{Command: c}}})
	if err := out.Results[0].Err; err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return out.Results[0]
}

// ask is a session asked for from a boot.
func ask(boot string, nonce uint64) fleet.OpenSession {
	return fleet.OpenSession{Host: "h-1", Boot: boot, Nonce: nonce, Addr: addr, Zone: "a",
		Capacity: fleet.Resources{CPU: 1024, Memory: 1024}, Format: fleet.FormatVersion}
}

// open answers what an opening asks for until it is done, and tells each step.
func open(t *testing.T, st *fleet.State, at fleet.Time, asked fleet.OpenSession, heard ...bool) (
	steps string, end intake.Opened,
) {
	t.Helper()
	o := intake.NewOpening(asked)
	effect := o.Step(st, at, intake.Asked{})
	for range 20 {
		switch e := effect.(type) {
		case intake.LookFor:
			if e.Host != "h-1" || e.Session != 1 || len(heard) == 0 {
				t.Fatalf("looks for %+v after %q", e, steps)
			}
			steps += "look "
			effect, heard = o.Step(st, at, intake.Looked{Heard: heard[0]}), heard[1:]
		case intake.Wait:
			if e.For < detector.HeardWithin {
				t.Errorf("waits %s: what was heard before would count again", e.For)
			}
			steps += "wait "
			effect = o.Step(st, at, intake.Waited{})
		case intake.ProposeSession:
			steps += "propose"
			if e.Item.By != "host one" {
				t.Errorf("proposed by %q", e.Item.By)
			}
			result := apply(t, st, 0, e.Item.Command)
			effect = o.Step(st, at, intake.Applied{Results: []fleet.Result{result}, Index: st.Index()})
		case intake.Opened:
			return strings.TrimSpace(steps), e
		}
	}
	t.Fatalf("no end: %s", steps)
	return "", intake.Opened{}
}

func TestHowASessionIsOpened(t *testing.T) {
	for name, c := range map[string]struct {
		asked fleet.OpenSession
		heard []bool
		steps string
		err   error
		noted bool
	}{
		"an agent that restarted waits for nobody": {asked: ask("boot-1", 2), steps: "propose"},
		"a machine that rebooted is asked after":   {asked: ask("boot-2", 2), heard: []bool{false}, steps: "look propose"},
		"its last byte may have come just before": {asked: ask("boot-2", 2), heard: []bool{true, false},
			steps: "look wait look propose"},
		"two looks may fall into one beat": {asked: ask("boot-2", 2), heard: []bool{true, true, false},
			steps: "look wait look wait look propose"},
		"one that goes on is alive": {asked: ask("boot-2", 2), heard: []bool{true, true, true},
			steps: "look wait look wait look propose", err: protocol.ErrCloned, noted: true},
	} {
		t.Run(name, func(t *testing.T) {
			st := hostIn(t)
			steps, end := open(t, st, began, c.asked, c.heard...)
			if steps != c.steps || !errors.Is(end.Err, c.err) || end.Noted != c.noted {
				t.Errorf("%q ends with %v, noted %v; want %q, %v, %v", steps, end.Err, end.Noted, c.steps, c.err, c.noted)
			}
			want := protocol.SessionGrant{Epoch: st.Fleet().Epoch, Index: st.Index(), Session: 2}
			if c.err == nil && !reflect.DeepEqual(end.Grant, want) {
				t.Errorf("grant %+v, want %+v", end.Grant, want)
			}
		})
	}
}

func TestACloneThatIsNotedReachesTheLogNoMore(t *testing.T) {
	st := hostIn(t)
	clone := ask("boot-2", 2)
	clone.Addr = netip.MustParseAddrPort("10.0.0.9:7700")
	open(t, st, began, clone, true, true, true)
	before := st.Index()
	clone.Nonce++
	steps, end := open(t, st, began.Add(fleet.CloneNotedEvery-1), clone, true, true, true)
	if steps != "look wait look wait look" || !errors.Is(end.Err, protocol.ErrCloned) || end.Noted ||
		st.Index() != before {
		t.Errorf("%q ends with %v at index %d, was %d", steps, end.Err, st.Index(), before)
	}
	for _, at := range []netip.AddrPort{addr, clone.Addr} {
		if !strings.Contains(end.Err.Error(), at.String()) {
			t.Errorf("%v: does not name %s", end.Err, at)
		}
	}
}

// In a quiet fleet nothing is committed, and State's own time stands still.
func TestTheAlarmOfACloneIsKeptUpWhileNothingElseHappens(t *testing.T) {
	st := hostIn(t)
	clone := ask("boot-2", 2)
	clone.Addr = netip.MustParseAddrPort("10.0.0.9:7700")
	open(t, st, began, clone, true, true, true)
	clone.Nonce++
	steps, end := open(t, st, began.Add(fleet.CloneNotedEvery), clone, true, true, true)
	if steps != "look wait look wait look propose" || !errors.Is(end.Err, protocol.ErrCloned) || !end.Noted {
		t.Errorf("%q ends with %v, noted %v", steps, end.Err, end.Noted)
	}
}

func TestWhyNoSessionIsOpened(t *testing.T) {
	st := hostIn(t)
	unheard := errors.New("nobody knows who is heard")
	applied := func(results ...fleet.Result) intake.Applied { return intake.Applied{Results: results} }
	for name, c := range map[string]struct {
		st    *fleet.State
		event intake.SessionEvent
		want  error
	}{
		"this voter has no fleet yet":            {fleet.New(), intake.Asked{}, protocol.ErrBehind},
		"nobody knows who is heard":              {st, intake.Looked{Heard: true, Err: unheard}, unheard},
		"it was not committed":                   {st, intake.Applied{Err: protocol.ErrNoLeader}, protocol.ErrNoLeader},
		"State refuses it":                       {st, applied(fleet.Result{Err: fleet.ErrOldSession}), fleet.ErrOldSession},
		"the answer is not to this one":          {st, applied(), protocol.ErrUnknown},
		"the answer has no number":               {st, applied(fleet.Result{}), protocol.ErrUnknown},
		"the answer has something else in place": {st, applied(fleet.Result{IDs: []string{"x"}}), protocol.ErrUnknown},
	} {
		got, done := intake.NewOpening(ask("boot-1", 2)).Step(c.st, began, c.event).(intake.Opened)
		if !done || !errors.Is(got.Err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, done, got.Err, c.want)
		}
	}
}

func TestAnAgentThatIsTooOldIsRefusedAtOnce(t *testing.T) {
	st := hostIn(t)
	newer := ask("boot-1", 2)
	newer.Format = fleet.FormatVersion + 1
	apply(t, st, 0, newer)
	apply(t, st, 0, fleet.RaiseFormat{Format: newer.Format})
	for _, want := range []string{"propose", ""} { // its host's row says so, once
		if steps, end := open(t, st, began, ask("boot-2", 3)); steps != want || !errors.Is(end.Err, fleet.ErrAgentTooOld) {
			t.Errorf("%q ends with %v, want %q", steps, end.Err, want)
		}
	}
	other := ask("boot-2", 3)
	other.Version = "another"
	o, unknown := intake.NewOpening(other), protocol.ErrUnknown
	o.Step(st, began, intake.Asked{})
	if end, done := o.Step(st, began, intake.Applied{Err: unknown}).(intake.Opened); !done ||
		!errors.Is(end.Err, fleet.ErrAgentTooOld) || errors.Is(end.Err, unknown) || !errors.Is(end.Unnoted, unknown) {
		t.Errorf("where that could not be written: %+v", end)
	}
}

func TestAHostCannotSayThatItIsContested(t *testing.T) {
	asked := ask("boot-2", 2)
	asked.Contested, asked.TooOld = true, true
	steps, end := open(t, hostIn(t), began, asked, false)
	if steps != "look propose" || end.Err != nil {
		t.Errorf("%q ends with %v", steps, end.Err)
	}
}

func TestWhatBecomesOfAReport(t *testing.T) {
	st := hostIn(t)
	apply(t, st, 0, fleet.Report{Host: "h-1", Session: 1, Seq: 3,
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
	for _, c := range []struct {
		session, seq uint64
		known        bool
		want         error
	}{
		{1, 4, false, nil},
		{1, 3, true, nil},
		{1, 2, true, nil},
		{2, 1, false, protocol.ErrBehind},
		{0, 9, false, fleet.ErrOldSession},
	} {
		known, err := intake.Known(st, fleet.Report{Host: "h-1", Session: c.session, Seq: c.seq})
		if known != c.known || !errors.Is(err, c.want) {
			t.Errorf("session %d, report %d: known %v, %v", c.session, c.seq, known, err)
		}
	}
	if _, err := intake.Known(st, fleet.Report{Host: "h-2", Session: 1}); !errors.Is(err, protocol.ErrBehind) {
		t.Errorf("of a host that is not known here: %v", err)
	}
}
