package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/peer/relay"
	"skein/raftfsm/fleet"
)

// cutOff cuts the link of two agents, with the connections that stand.
func (r *rig) cutOff(a, b *rigAgent) { r.memnet.cut(a.addr().Addr(), b.addr().Addr(), true) }

// proposes waits until an agent knows a way to the leader that is so long, and
// has it propose.
func (a *rigAgent) proposes(away int) {
	a.r.t.Helper()
	eventually(a.r.t, a.name+" knows a way to the leader",
		func() string { return fmt.Sprint(a.port.away(a.port.log(), "")) },
		func() bool { return a.port.away(a.port.log(), "") == away+1 })
	results, index, err := a.port.Propose(a.r.ctx,
		[]fleet.Item{setting(5), {Command: fleet.PutSetting{Name: "nonsense", Value: 1}}})
	if err != nil || len(results) != 2 || results[0].Err != nil || index != a.r.cluster.state().Index() {
		a.r.t.Fatalf("%s: %+v at %d: %v", a.name, results, index, err)
	}
	wantErr(a.r.t, results[1].Err, fleet.ErrInvalid)
}

func TestAVoterWithoutALinkToTheLeaderProposesThroughAnother(t *testing.T) {
	tests := map[string]struct {
		prepare func(*rig, *rigAgent)
		away    int
		by      string // whose API answers
	}{
		"its link to the leader is cut":      {func(r *rig, a *rigAgent) { r.cutOff(a, r.agents[0]) }, 2, "h3"},
		"its log stalls: it knows no leader": {func(_ *rig, a *rigAgent) { a.log.Load().stalled.Store(true) }, 1, "h1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := threeInMemory(t)
			a := r.agents[1]
			tt.prepare(r, a)
			a.proposes(tt.away)
			// So do questions that only the leader answers.
			if err := a.port.becomeCurrent(t.Context()); err != nil {
				t.Errorf("whether State is current: %v", err)
			}
			eventually(t, "the leader tells who is heard", func() string { return "" }, func() bool {
				heard, err := a.port.askHeard(t.Context(), heardAsk{Host: "h-nobody"}, relay.MaxAway)
				if err != nil && !errors.Is(err, ErrBusy) {
					t.Fatalf("whether a host is heard: %v", err)
				}
				return err == nil && !heard
			})
			// So do orders by the API, as a voter makes them.
			w := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/x", strings.NewReader("body"))
			if err := a.port.Forward(w, request, true); err != nil {
				t.Fatal(err)
			}
			if got := w.Body.String(); !strings.HasPrefix(got, tt.by+" POST") {
				t.Errorf("answered by %q, want %s", got, tt.by)
			}
		})
	}
}

func TestWhatIsUnderWayOverACutLinkGoesThroughAnotherVoter(t *testing.T) {
	for name, send := range map[string]func(context.Context, *rigAgent) error{
		"a write by the API": func(ctx context.Context, a *rigAgent) error {
			request := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/x", strings.NewReader("body"))
			return a.port.Forward(httptest.NewRecorder(), request, true)
		},
		"a proposal": func(ctx context.Context, a *rigAgent) error {
			_, _, err := a.port.Propose(ctx, []fleet.Item{setting(5)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// A write that finds no idle connection dials, is surely not sent, and goes through
			// another at once: then nothing was under way, and the link is cut anew.
			for range 5 {
				if sendOverACutLink(t, send) {
					return
				}
			}
			t.Error("nothing was under way over five links that were cut")
		})
	}
}

// sendOverACutLink reports whether something was under way over the link when it was cut.
func sendOverACutLink(t *testing.T, send func(context.Context, *rigAgent) error) bool {
	t.Helper()
	r, _ := threeInMemory(t)
	a := r.agents[1]
	ctx, cancel := context.WithTimeout(t.Context(), 2*protocol.GoneAfter)
	defer cancel()
	if err := send(ctx, a); err != nil { // leaves a connection to use again, in a moment
		t.Fatal(err)
	}
	t.Cleanup(r.memnet.heal) // whoever dials over the cut comes to an end
	r.cutOff(a, r.agents[0])
	began := time.Now()
	err := send(ctx, a)
	if err != nil && !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v, want %v", err, ErrUnknown)
	}
	if took := time.Since(began); took > protocol.GoneAfter {
		t.Errorf("given up only after %s", took)
	}
	if again := send(ctx, a); again != nil {
		t.Errorf("through another: %v", again)
	}
	return err != nil
}

func TestAProposalPassesTwoVotersOnItsWay(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	r.promote(r.join("h4", r.agents[0]), r.agents[0])
	h1, h2, h3, h4 := r.agents[0], r.agents[1], r.agents[2], r.agents[3]
	for _, pair := range [][2]*rigAgent{{h4, h1}, {h4, h2}, {h3, h1}} {
		r.cutOff(pair[0], pair[1])
	}
	h3.proposes(2)
	h4.proposes(3)
}

func TestARelayedProposalEnds(t *testing.T) {
	r, agents := three(t)
	send := func(left int) error {
		return agents[0].port.call(t.Context(), agents[1].id(), PathRelay,
			relayed{Left: left, Entry: mustEntry(t, setting(5))}, nil)
	}
	wantErr(t, send(relay.MaxAway+1), ErrMalformed)
	wantErr(t, send(-1), ErrMalformed)
	eventually(t, "h2 has heard the leader", func() string { return "" }, func() bool {
		return agents[1].port.away(agents[1].port.log(), "") == 2
	})
	before := r.cluster.state().Index()
	wantErr(t, send(0), ErrNotLeader)
	if got := r.cluster.state().Index(); got != before {
		t.Error("it was committed")
	}
	if err := send(1); err != nil {
		t.Error(err)
	}
}

func TestAQuestionToTheLeaderEnds(t *testing.T) {
	r, agents := three(t)
	ask := func(left int) []error {
		var index currentAnswer
		return []error{
			agents[0].port.call(t.Context(), agents[1].id(), PathCurrent, currentAsk{Left: left}, &index),
			agents[0].port.call(t.Context(), agents[1].id(), PathHeard, heardAsk{Host: r.agents[2].id(), Left: left}, nil),
		}
	}
	for left, want := range map[int]error{relay.MaxAway + 1: ErrMalformed, -1: ErrMalformed, 0: ErrNotLeader} {
		for _, err := range ask(left) {
			wantErr(t, err, want)
		}
	}
	if err := ask(1)[0]; err != nil {
		t.Error(err)
	}
	if err := agents[1].port.call(t.Context(), agents[0].id(), PathCurrent, nil, nil); err != nil {
		t.Errorf("a question without a body: %v", err)
	}
}

func TestAVoterThatKnowsNoWayToTheLeaderAsksNobody(t *testing.T) {
	p := &Port{self: "h-b", cfg: Config{Clock: &rigClock{Clock: fixedClock(5 * time.Second)}}}
	for name, leader := range map[string]fleet.HostID{"nobody leads": "", "it leads itself": "h-b"} {
		log := &voterLog{c: &cluster{leader: leader}, self: "h-b"}
		asked := false
		err := p.askLeader(t.Context(), log, PathCurrent, relay.MaxAway, func(int) any { asked = true; return nil }, nil)
		if !errors.Is(err, ErrNoLeader) || asked {
			t.Errorf("%s: asked %v, %v", name, asked, err)
		}
	}
}

// fixedClock stands still.
type fixedClock time.Duration

func (c fixedClock) Now() time.Time      { return time.Unix(0, 0) }
func (c fixedClock) Mono() time.Duration { return time.Duration(c) }

func TestAProposalWithoutAnyWayWaitsForOne(t *testing.T) {
	t.Parallel()
	r, _ := threeInMemory(t)
	for _, a := range r.agents {
		a.log.Load().stalled.Store(true)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*intake.ProposePause)
	defer cancel()
	_, _, err := r.agents[1].port.Propose(ctx, []fleet.Item{setting(5)})
	wantErr(t, err, ErrNoLeader)
}
