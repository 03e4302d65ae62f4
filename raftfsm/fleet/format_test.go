package fleet

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// reading is a session of an agent that reads a format.
func reading(n int, nonce uint64, format int) OpenSession {
	c := session(n, nonce)
	c.Format = format
	return c
}

func TestTheFormatIsRaised(t *testing.T) {
	upgraded := func(t *testing.T, hosts int) *world {
		w := fleetOf(t, hosts)
		for n := 1; n <= hosts; n++ {
			w.must(reading(n, 2, 2))
		}
		return w
	}
	t.Run("once every host with a session reads it, and hosts behind are named", func(t *testing.T) {
		w := fleetOf(t, 3)
		w.refused(RaiseFormat{Format: 1}, ErrConflict, "it is 1")
		w.must(reading(1, 2, 2))
		w.refused(RaiseFormat{Format: 2}, ErrConflict, "upgrade skein first on h2 (reads 1), h3 (reads 1)")
		w.refused(RaiseFormat{Format: 2, At: w.at + 1000}, ErrConflict, "h2")
		w.must(reading(2, 2, 2))
		w.must(reading(3, 2, 2))
		w.must(RaiseFormat{Format: 2})
		if w.Fleet().Format != 2 || !w.outcome.ChangeSet.Has(FleetSubject()) {
			t.Errorf("fleet %+v", w.Fleet())
		}
		w.checked()
	})
	t.Run("a refusal names eight hosts and counts the others", func(t *testing.T) {
		w := fleetOf(t, 12)
		err := w.do(RaiseFormat{Format: 2}).Err
		if err == nil || !strings.Contains(err.Error(), "and 4 more") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a lost host does not hold it back, and is refused when it is back with the old agent", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(reading(1, 2, 2))
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.refused(RaiseFormat{Format: 2}, ErrConflict, "h2")
		w.wait(600_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.must(RaiseFormat{Format: 2})
		w.refused(session(2, 3), ErrAgentTooOld, "reads format 1, the fleet is at 2")
		w.must(reading(2, 3, 2))
		w.checked()
	})
	t.Run("a lost host that votes holds it back", func(t *testing.T) {
		w := fleetOf(t, 2)
		w.must(reading(1, 2, 2))
		w.must(SetVoter{ID: MakeRaftID(hostID(2), 1), Phase: VoterPreparing})
		w.must(SilenceHost{Host: hostID(2), Session: 1})
		w.wait(600_000)
		w.must(LoseHost{Host: hostID(2), Session: 1})
		w.refused(RaiseFormat{Format: 2}, ErrConflict, "h2")
	})
	t.Run("a host that joins later shows what it reads when it opens a session", func(t *testing.T) {
		w := upgraded(t, 1)
		w.must(AdmitHost{Token: "tok", SecretHash: blob(32), Host: admission(2)})
		w.must(RaiseFormat{Format: 2})
		w.refused(session(2, 1), ErrAgentTooOld, "reads format 1")
		w.refused(SetVoter{ID: MakeRaftID(hostID(2), 1), Phase: VoterPreparing}, ErrAgentTooOld, "reads format 1")
		w.must(reading(2, 1, 3))
		w.checked()
	})
	t.Run("by force a worker does not hold it back: it keeps its session, and no other", func(t *testing.T) {
		w := fleetOf(t, 3)
		w.must(reading(1, 2, 2))
		w.must(reading(3, 2, 2))
		w.refused(RaiseFormat{Format: 2, Force: true, At: w.at + 1000}, ErrInvalid, "force")
		w.refused(RaiseFormat{Format: 3, Force: true}, ErrConflict, "h1 (reads 2)")
		w.must(RaiseFormat{Format: 2, Force: true})
		if event := w.lastEvent(); !strings.Contains(event.Message, "by force") ||
			!strings.Contains(event.Message, "h2 (reads 1)") {
			t.Errorf("event %+v", event)
		}
		w.checked()
		w.service("web", 1)
		w.assign(2, w.create("web", 1, 1)...) // it needs nothing new
		w.refused(SetVoter{ID: MakeRaftID(hostID(2), 1), Phase: VoterPreparing}, ErrAgentTooOld, "reads format 1")
		w.refused(session(2, 2), ErrAgentTooOld, "reads format 1")
		w.must(reading(2, 2, 2))
		w.checked()
	})
	t.Run("a plan waits, and an older agent ends it", func(t *testing.T) {
		w := upgraded(t, 2)
		at := w.at + 86_400_000
		w.must(RaiseFormat{Format: 2, At: at})
		if f := w.Fleet(); f.Format != 1 || f.NextFormat != 2 || f.NextFormatAt != at {
			t.Fatalf("fleet %+v", f)
		}
		w.refused(RaiseFormat{Format: 2, At: at + 1}, ErrConflict, "it is planned for")
		w.must(reading(2, 3, 2)) // an upgraded agent restarts
		if w.Fleet().NextFormat != 2 {
			t.Fatal("a restart ended the plan")
		}
		w.must(session(2, 4))
		if f := w.Fleet(); f.NextFormat != 0 || f.NextFormatAt != 0 {
			t.Errorf("fleet %+v", f)
		}
		w.refused(RaiseFormat{Format: 2}, ErrConflict, "h2")
		w.must(reading(2, 5, 2))
		w.must(RaiseFormat{Format: 2, At: w.at + 5})
		w.wait(5)
		w.must(RaiseFormat{Format: 2, At: w.at})
		if f := w.Fleet(); f.Format != 2 || f.NextFormat != 0 || f.NextFormatAt != 0 {
			t.Errorf("fleet %+v", f)
		}
	})
	t.Run("an agent that is too old is noted once, and forgotten with the next session", func(t *testing.T) {
		w := upgraded(t, 2)
		w.service("web", 2)
		ids := w.create("web", 1, 2)
		w.assign(2, ids[0])
		w.must(RaiseFormat{Format: 2})
		old := session(2, 3)
		old.Version, old.TooOld = "v1", true
		before := *w.Host(hostID(2))
		if got := w.must(old); len(got) != 0 {
			t.Fatalf("it got the session %v", got)
		}
		h := w.Host(hostID(2))
		if version, reads := h.Agent(); version != "v1" || reads != 1 || h.Refused.Since != w.at {
			t.Errorf("its agent is %s and reads %d: %+v", version, reads, h.Refused)
		}
		if h.Session != before.Session || h.Version != before.Version || h.State != before.State {
			t.Errorf("host %+v, was %+v", h, before)
		}
		if event := w.lastEvent(); event.Code != "agent-too-old" || !strings.Contains(event.Message, "reads format 1") {
			t.Errorf("event %+v", event)
		}
		w.refused(AssignTasks{Host: hostID(2), Tasks: ids[1:]}, ErrAgentTooOld,
			"the agent of h2 (v1) reads format 1 and gets no session, the fleet is at 2")
		if !h.Refuses(old) {
			t.Error("any voter would note it again")
		}
		events := w.lastEvent().Seq
		w.wait(1000)
		w.must(old)
		if w.lastEvent().Seq != events || w.Host(hostID(2)).Refused.Since != h.Refused.Since {
			t.Error("it is noted again")
		}
		w.checked()

		w.must(reading(2, 4, 2))
		if h := w.Host(hostID(2)); h.Refused != nil || h.Version == "v1" {
			t.Errorf("host %+v", h)
		}
		w.assign(2, ids[1])
		said := reading(2, 5, 2) // whatever it says, it is not too old
		said.TooOld = true
		if got := w.must(said); len(got) != 1 {
			t.Errorf("it got no session")
		}
		w.checked()
	})
	t.Run("any voter tells whether an agent is too old", func(t *testing.T) {
		w := upgraded(t, 2)
		old := session(2, 3)
		if err := old.CheckFormat(w.State); err != nil {
			t.Errorf("before the format is raised: %v", err)
		}
		w.must(RaiseFormat{Format: 2})
		err := old.CheckFormat(w.State)
		if !errors.Is(err, ErrAgentTooOld) || !strings.Contains(err.Error(), "reads format 1, the fleet is at 2") {
			t.Errorf("after it: %v", err)
		}
		if err := reading(2, 3, 2).CheckFormat(w.State); err != nil {
			t.Errorf("of an agent that reads it: %v", err)
		}
	})
	t.Run("a new fleet begins with the format of the agent that makes it", func(t *testing.T) {
		w := newWorld(t)
		c := initFleet()
		c.Format = 2
		w.must(c)
		if w.Fleet().Format != 2 {
			t.Errorf("fleet %+v", w.Fleet())
		}
		w.refused(session(1, 1), ErrAgentTooOld, "reads format 1")
	})
}

// cordonV2 is CordonHost with fields that a second format might bring.
type cordonV2 struct {
	CordonHost
	Until Time       `since:"2"`
	Rows  []cordonV3 //
	ByKey map[string]*cordonV3
}

type cordonV3 struct {
	Name string
	Note string `since:"3"`
	Hue  hue
}

// hue is a closed set that got a member with the fourth format.
type hue uint8

const newHue hue = 9

func init() {
	growing[reflect.TypeFor[hue]()] = func(v reflect.Value) int {
		if hue(v.Uint()) == newHue {
			return 4
		}
		return 0
	}
}

// sessionV2 is OpenSession with one.
type sessionV2 struct {
	OpenSession
	Cores int `since:"2"`
	Disks []cordonV3
}

func TestACommandNeedsTheFormatOfItsNewestField(t *testing.T) {
	for name, tt := range map[string]struct {
		gate Gate
		c    Command
		want int
	}{
		"a command of the first format":  {Gate{}, CordonHost{Host: "h"}, 1},
		"new fields that are not set":    {Gate{}, cordonV2{Rows: []cordonV3{{Name: "x"}}}, 1},
		"a new field":                    {Gate{}, cordonV2{Until: 1}, 2},
		"one in a list":                  {Gate{}, cordonV2{Until: 1, Rows: []cordonV3{{}, {Note: "x"}}}, 3},
		"one in a map, behind a pointer": {Gate{}, cordonV2{ByKey: map[string]*cordonV3{"a": nil, "b": {Note: "x"}}}, 3},
		"a new value of a closed set":    {Gate{}, cordonV2{Rows: []cordonV3{{Hue: 1}, {Hue: newHue}}}, 4},
		"an old value":                   {Gate{}, cordonV2{Rows: []cordonV3{{Hue: 1}}}, 1},
		"a subject of a kind as of old":  {Gate{}, PutCondition{Subject: TaskSubject("x")}, 1},
		"a new kind":                     {Gate{Kinds: map[Kind]int{KindCordonHost: 4}}, CordonHost{}, 4},
		"an old kind with a newer field": {Gate{Kinds: map[Kind]int{KindCordonHost: 2}},
			cordonV2{Rows: []cordonV3{{Note: "x"}}}, 3},
		"a kind that is older than the field": {Gate{Kinds: map[Kind]int{}}, cordonV2{Until: 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.gate.Needs(tt.c); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestWhatIsProposedEarlyIsRefusedByName(t *testing.T) {
	gate := Gate{Kinds: map[Kind]int{KindPrune: 2}}
	old := Item{Command: CordonHost{Host: "h"}}
	for name, tt := range map[string]struct {
		c      Command
		format int
		want   string // of the refusal
	}{
		"a kind":                        {Prune{}, 1, "prune needs format 2, the fleet is at 1"},
		"the kind when it may":          {Prune{}, 2, ""},
		"a field":                       {cordonV2{Until: 1}, 1, "cordon-host needs format 2, the fleet is at 1"},
		"the field when it may":         {cordonV2{Until: 1}, 2, ""},
		"the field when it is not set":  {cordonV2{}, 1, ""},
		"two formats ahead":             {cordonV2{Rows: []cordonV3{{Note: "x"}}}, 1, "needs format 3"},
		"a fleet ahead of the proposer": {cordonV2{Until: 1}, 7, ""},
	} {
		t.Run(name, func(t *testing.T) {
			items := []Item{old, {Command: tt.c, By: "me"}}
			got, err := gate.Fit(items, tt.format)
			switch {
			case tt.want == "" && (err != nil || !reflect.DeepEqual(got, items)):
				t.Errorf("got %+v, %v", got, err)
			case tt.want != "" && (!errors.Is(err, ErrFormatAhead) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What an upgraded agent says of itself is noted as far as the fleet may note it:
// it must get a session while others are not upgraded yet.
func TestWhatHostsSayLosesFieldsThatAreAhead(t *testing.T) {
	said := sessionV2{OpenSession: session(1, 2), Cores: 8, Disks: []cordonV3{{Name: "a", Note: "b"}}}
	before := sessionV2{OpenSession: session(1, 2), Cores: 8, Disks: []cordonV3{{Name: "a", Note: "b"}}}
	gate := Gate{Kinds: map[Kind]int{}}
	for format, want := range map[int]sessionV2{
		1: {OpenSession: session(1, 2), Disks: []cordonV3{{Name: "a"}}},
		2: {OpenSession: session(1, 2), Cores: 8, Disks: []cordonV3{{Name: "a"}}},
		3: before,
	} {
		got, err := gate.Fit([]Item{{Command: said}}, format)
		if err != nil || !reflect.DeepEqual(got[0].Command, Command(want)) {
			t.Errorf("at format %d: %+v, %v", format, got, err)
		}
	}
	if !reflect.DeepEqual(said, before) {
		t.Error("what was proposed has changed")
	}
}

// Apply asks the State's format, whatever this build could do.
func TestApplyRefusesWhatTheFormatDoesNotHaveYet(t *testing.T) {
	w := fleetOf(t, 1)
	early := cordonV2{CordonHost: CordonHost{Host: hostID(1)}, Until: 1}
	w.refused(early, ErrFormatAhead, "cordon-host needs format 2, the fleet is at 1")
	w.must(reading(1, 2, 2))
	w.must(RaiseFormat{Format: 2})
	w.must(early)
}

// An agent of an older build in the same process sees what it would have decoded.
func TestAnOlderAgentSeesNoNewerFields(t *testing.T) {
	said := cordonV2{Until: 7, Rows: []cordonV3{{Name: "a", Note: "b"}},
		ByKey: map[string]*cordonV3{"x": {Name: "c", Note: "d"}}}
	for reads, want := range map[int]cordonV2{
		1: {Rows: []cordonV3{{Name: "a"}}, ByKey: map[string]*cordonV3{"x": {Name: "c"}}},
		2: {Until: 7, Rows: []cordonV3{{Name: "a"}}, ByKey: map[string]*cordonV3{"x": {Name: "c"}}},
		3: said,
	} {
		if got := AsRead(said, reads); !reflect.DeepEqual(got, want) {
			t.Errorf("reading format %d: %+v, want %+v", reads, got, want)
		}
	}
	if got := AsRead(cordonV3{Name: "a", Note: "b"}, 2); got.Note != "" {
		t.Errorf("a value by itself: %+v", got)
	}
	var none *cordonV2
	if got := AsRead(none, 1); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
}

// Whether an entry takes the fleet beyond a build depends on what reads it, and on
// whether the entry raises the format indeed.
func TestAnEntryThatOutgrowsAnAgentIsKnownBeforeItIsApplied(t *testing.T) {
	w := fleetOf(t, 1)
	raise := Entry{At: w.at, Items: []Item{{Command: RaiseFormat{Format: 2}}}}
	if got := w.Outgrown(w.Index()+1, raise, 1); got != 0 {
		t.Errorf("an entry that is refused raises nothing: %d", got)
	}
	w.must(reading(1, 2, 3))
	for reads, want := range map[int]int{1: 2, 2: 0, 3: 0} {
		if got := w.Outgrown(w.Index()+1, raise, reads); got != want {
			t.Errorf("reading format %d: %d, want %d", reads, got, want)
		}
	}
	if w.Fleet().Format != 1 {
		t.Error("asking has raised the format")
	}
}

// wantedV2 is what a host might be sent later: a field that it may skip, and one that
// it must obey.
type wantedV2 struct {
	WantedTask
	Note  string `since:"2,skip"`
	Limit int    `since:"3"`
}

func TestWhatAHostMaySkipNeedsNoNewerAgent(t *testing.T) {
	for name, tt := range map[string]struct {
		v          wantedV2
		host, want int // the format that a host needs, and that the log needs
	}{
		"nothing new":                 {wantedV2{}, 0, 0},
		"a field that may be skipped": {wantedV2{Note: "x"}, 0, 2},
		"one that must be obeyed":     {wantedV2{Note: "x", Limit: 1}, 3, 3},
	} {
		t.Run(name, func(t *testing.T) {
			v := reflect.ValueOf(tt.v)
			if host, log := fieldsNeed(v, true), fieldsNeed(v, false); max(1, host) != max(1, tt.host) ||
				max(1, log) != max(1, tt.want) {
				t.Errorf("a host needs %d, the log %d", host, log)
			}
		})
	}
}
