package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"skein/agent/effects"
	"skein/agent/peer/detector"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// A worker with a good certificate tries every call there is for voters, as it
// stands in the table of routes, with bodies that would do harm.
func TestAJoinedWorkerTriesEveryVoterCallAndGets403(t *testing.T) {
	r, agents := three(t)
	worker := r.join("h4", agents[0])
	leader := agents[0].id()
	entry, err := wire.EncodeEntry(
		fleet.Entry{Items: []fleet.Item{{Command: fleet.ForgetHost{Host: agents[1].id(), Force: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := agents[0].identity.FleetKey()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]any{
		PathProbe:   probeRequest{Host: agents[1].id(), Addr: agents[1].addr()},
		PathAges:    detector.Ages{Seq: 1, Full: true, Gone: []detector.GoneAge{{Host: agents[1].id(), AgeMs: 60_000}}},
		PathHeard:   heardAsk{Host: agents[1].id(), Session: 1},
		PathPropose: entry,
		PathRelay:   relayed{Left: 1, Entry: entry},
		PathCommit:  nil,
		PathCurrent: nil,
		PathPrepare: handover{RaftID: fleet.MakeRaftID(leader, 9), FleetKey: key},
		PathRetire:  retirement{RaftID: fleet.MakeRaftID(leader, 1)},
		PathEffects: effects.Request{ID: "e", Attempt: 1, Session: 1},
	}
	tried := 0
	before := r.cluster.state().Index()
	for _, route := range table {
		if route.need != accessVoter {
			continue
		}
		tried++
		body, ok := bodies[route.path]
		if !ok {
			t.Errorf("%s is a voter call that this test does not try", route.path)
		}
		for _, a := range agents[:3] {
			err := worker.port.call(t.Context(), a.id(), route.path, body, nil)
			wantErr(t, err, trust.ErrNotVoter)
		}
		// The same from a voter is not refused for who it is.
		if err := agents[1].port.call(t.Context(), leader, route.path, body, nil); route.path == PathCommit && err != nil {
			t.Errorf("a voter's %s: %v", route.path, err)
		}
	}
	if tried < 7 {
		t.Errorf("only %d voter calls are in the table", tried)
	}
	for e := range r.cluster.state().EventsAfter(0) {
		if e.Code == "host-forgotten" && r.cluster.state().Index() == before {
			t.Error("the worker's proposal was committed")
		}
	}
	agents[0].lines.has(t, "peer call refused", string(worker.id()), "host is not a voter")
}

func (l *lines) has(t testing.TB, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a log line with %q", parts), l.String, func() bool {
		for line := range strings.Lines(l.String()) {
			all := true
			for _, part := range parts {
				all = all && strings.Contains(line, part)
			}
			if all {
				return true
			}
		}
		return false
	})
}

func TestAWorkerSpeaksOnlyOfItself(t *testing.T) {
	r := newRig(t)
	worker, other := r.join("h2", r.agents[0]), r.join("h3", r.agents[0])
	h := other.host().up()
	voter := r.agents[0].id()
	tests := map[string]struct {
		path string
		body any
		want error
	}{
		"another's session": {PathSession, fleet.OpenSession{Host: other.id(), Nonce: 99, Boot: "b", Addr: other.addr(),
			Zone: "a"}, ErrForbidden},
		"another's report":       {PathReports, fleet.Report{Host: other.id(), Session: h.session(), Seq: 99}, ErrForbidden},
		"a voter's report":       {PathReports, fleet.Report{Host: voter, Session: 1, Seq: 99}, ErrForbidden},
		"a report in no session": {PathReports, fleet.Report{Host: worker.id(), Session: 7, Seq: 1}, ErrBehind},
		"a body that is no CBOR": {PathSession, []byte("{}"), ErrMalformed},
		"an unknown field twice": {PathSession, []byte{0xa2, 0x18, 0x63, 0x01, 0x18, 0x63, 0x01}, ErrMalformed},
		"a report too large": {PathReports,
			fleet.Report{Host: worker.id(), Session: 1, Tasks: make([]fleet.TaskReport, maxReportTasks+1)}, ErrTooLarge},
		"a body too large": {PathSession, make([]byte, smallBody+1), ErrTooLarge},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			wantErr(t, worker.port.call(t.Context(), voter, tt.path, tt.body, nil), tt.want)
		})
	}
	t.Run("a capacity report of another ends the stream", func(t *testing.T) {
		forger := worker.hostWith(1)
		forger.stop()
		l := forger.link
		l.cfg.Capacity = func() (fleet.CapacityReport, bool) {
			return fleet.CapacityReport{Host: other.id(), Nonce: 1 << 50, Seq: 1}, true
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = l.Run(ctx) }()
		r.agents[0].lines.has(t, "host stream cut", string(worker.id()), "forbidden")
		cancel()
		<-done
	})
}

func TestAWorkerAnswersOnlyVotersAndForwards(t *testing.T) {
	r := newRig(t)
	a, b := r.join("h2", r.agents[0]), r.join("h3", r.agents[0])
	roster := trust.Roster{Epoch: 9, Voters: []trust.RosterVoter{{Host: a.id(), Addr: a.addr()}}}
	if err := b.identity.PutRoster(roster); err != nil { // only so that b knows where a is
		t.Fatal(err)
	}
	for _, route := range table {
		err := b.port.call(t.Context(), a.id(), route.path, nil, nil)
		switch {
		case route.path == PathPing:
			if err != nil {
				t.Errorf("ping: %v", err)
			}
		case route.need == accessVoter:
			wantErr(t, err, trust.ErrNotVoter)
		default:
			wantErr(t, err, ErrNotHere)
		}
	}
	var answer probeAnswer
	err := r.agents[0].port.call(t.Context(), a.id(), PathProbe, probeRequest{Host: b.id(), Addr: b.addr()}, &answer)
	if err != nil || answer.Outcome != detector.Connected {
		t.Errorf("a voter's probe of a worker: %v, %v", answer, err)
	}
}

func TestAForgottenHostIsCutAtOnceAndToldWhy(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	r.must(fleet.ForgetHost{Host: h.a.id(), Force: true})
	h.a.lines.has(t, "voter does not serve this host", fleet.ErrForgotten.Error())
	r.agents[0].lines.has(t, "host stream cut", string(h.a.id()), fleet.ErrForgotten.Error())
	for _, path := range []string{PathPing, PathSession, PathReports, PathRenew} {
		wantErr(t, h.a.port.call(t.Context(), r.agents[0].id(), path, nil, nil), fleet.ErrForgotten)
	}
}

func TestARevokedCertificateIsWorthNothing(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	r.must(fleet.RevokeCert{Host: h.a.id()})
	h.a.lines.has(t, "voter does not serve this host", trust.ErrRevoked.Error())
	for _, path := range []string{PathSession, PathRenew} {
		wantErr(t, h.a.port.call(t.Context(), r.agents[0].id(), path, nil, nil), trust.ErrRevoked)
	}
}

func TestAnExpiredCertificateOnlyRenews(t *testing.T) {
	r := newRig(t)
	worker := r.join("h2", r.agents[0])
	r.clock.offset.Store(int64(trust.CertLifetime + 24*time.Hour))
	// Voters renew themselves first, without a network.
	if err := r.agents[0].port.Issuer().RenewSelf(r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	voter := r.agents[0].id()
	for _, path := range []string{PathPing, PathSession, PathReports, PathJoin} {
		wantErr(t, worker.port.call(t.Context(), voter, path, nil, nil), trust.ErrExpired)
	}
	r.agents[0].lines.has(t, "peer call refused", string(worker.id()), "expired")
	h := worker.host().up()
	worker.lines.has(t, "own certificate renewed")
	r.agents[0].lines.has(t, "certificate renewed", "expired=true")
	if worker.identity.Certificate().Leaf.NotAfter.Before(r.clock.Now()) {
		t.Error("the certificate is not renewed")
	}
	_ = h
}

func TestAStreamEndsWithItsCertificateAndGoesOnWithTheNext(t *testing.T) {
	r := newRig(t)
	h := r.join("h2", r.agents[0]).host().up()
	old := h.a.identity.Certificate().Leaf.NotAfter
	// Half of life passes for the voter at once; the host looks once a minute, so
	// it is helped along.
	r.clock.offset.Store(int64(trust.CertLifetime * 7 / 10))
	if err := r.agents[0].port.Issuer().RenewSelf(r.clock.Now()); err != nil {
		t.Fatal(err)
	}
	if err := h.link.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !h.a.identity.Certificate().Leaf.NotAfter.After(old) {
		t.Fatal("not renewed")
	}
	r.clock.offset.Store(int64(trust.CertLifetime + time.Hour)) // the first one is over
	h.is("cut with its old certificate", func() (ok bool) {
		h.note(func() { ok = len(h.lost) > 0 })
		return ok
	})
	h.up()
}

func TestJoinsAreRefusedAndBothSidesLogWhy(t *testing.T) {
	r := newRig(t)
	worker := r.join("h2", r.agents[0])
	foreign := newRig(t)
	tests := map[string]struct {
		through *rigAgent
		name    string
		token   func() trust.Token
		want    error
		why     string
	}{
		"a used-up token": {r.agents[0], "h3", func() trust.Token {
			token := r.token(1)
			if _, err := r.tryJoin(r.agent("first"), r.agents[0], token); err != nil {
				t.Fatal(err)
			}
			return token
		}, fleet.ErrTokenRefused, "used up"},
		"a used-up token at a worker": {worker, "h3", func() trust.Token {
			token := r.token(1)
			if _, err := r.tryJoin(r.agent("second"), worker, token); err != nil {
				t.Fatal(err)
			}
			return token
		}, fleet.ErrTokenRefused, "used up"},
		"an expired token": {r.agents[0], "h4", func() trust.Token {
			token := r.token(1)
			r.clock.offset.Add(int64(2 * time.Hour))
			return token
		}, fleet.ErrTokenRefused, "expired"},
		"a name already taken": {r.agents[0], "h2", func() trust.Token { return r.token(1) }, fleet.ErrNameTaken, "h2"},
		"an unknown token": {r.agents[0], "h5", func() trust.Token {
			token := r.token(1)
			r.must(fleet.DeleteToken{ID: token.ID})
			return token
		}, fleet.ErrTokenRefused, "unknown"},
		"another fleet's token": {r.agents[0], "h6", func() trust.Token { return foreign.token(1) },
			trust.ErrForeignAuthority, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := r.agent(tt.name)
			_, err := r.tryJoin(a, tt.through, tt.token())
			wantErr(t, err, tt.want)
			wantText(t, err.Error(), tt.why) // the caller prints it: that is its log
			if tt.why != "" {
				tt.through.lines.has(t, "join refused", tt.why)
			} else {
				tt.through.lines.has(t, "peer connection refused", "bad certificate")
			}
		})
	}
}

func TestAForeignFleetsHostGetsNowhere(t *testing.T) {
	r, foreign := newRig(t), newRig(t)
	stranger := foreign.join("h2", foreign.agents[0])
	// It believes that our voter is one of its own.
	target := r.agents[0]
	for _, protocol := range []string{trust.ProtocolRPC, trust.ProtocolRaft, trust.ProtocolBlob} {
		raw, err := stranger.port.dialer.DialAddr(t.Context(), target.addr())
		if err != nil {
			t.Fatal(err)
		}
		config := stranger.identity.ClientConfig(target.id(), protocol, r.clock.Now, stranger.port.authority)
		_, err = trust.Handshake(t.Context(), raw, config)
		wantErr(t, err, trust.ErrForeignAuthority)
		// Even when it does not look whom it talks to.
		raw, err = stranger.port.dialer.DialAddr(t.Context(), target.addr())
		if err != nil {
			t.Fatal(err)
		}
		config.VerifyConnection = nil
		conn, err := trust.Handshake(t.Context(), raw, config)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: let in (%v)", protocol, err)
		}
	}
	target.lines.has(t, "peer connection refused", "reason=foreign-authority")
}

func TestForwardedAPIRequests(t *testing.T) {
	r, agents := three(t)
	worker := r.join("h4", agents[0])
	send := func(from, to *rigAgent, method, auth string) (string, error) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://local/v1/services/web%2F3?x=1",
			strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		if auth != "" {
			request.Header.Set("Authorization", "Bearer "+auth)
		}
		response, err := from.port.API(to.id(), request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	join := r.token(1)
	stale, err := trust.NewOperatorToken(worker.identity.Identity().Fleet, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		from, to *rigAgent
		method   string
		auth     string
		want     error
		caller   Caller
	}{
		"a worker reads":                  {worker, agents[0], "GET", "", nil, Caller{Host: worker.id()}},
		"a worker writes without a token": {worker, agents[0], "POST", "", ErrForbidden, Caller{}},
		"a worker writes with an operator token": {worker, agents[0], "POST", r.op, nil,
			Caller{Host: worker.id(), Operator: operatorID(t, r.op)}},
		"a worker deletes without a token":  {worker, agents[0], "DELETE", "", ErrForbidden, Caller{}},
		"a worker writes with a join token": {worker, agents[0], "POST", join.Text(), fleet.ErrTokenRefused, Caller{}},
		"a worker writes with a token nobody made": {worker, agents[0], "POST", stale.Text(), fleet.ErrTokenRefused,
			Caller{}},
		"a worker writes with garbage":            {worker, agents[0], "POST", "x", fleet.ErrTokenRefused, Caller{}},
		"a worker reads with garbage for a token": {worker, agents[0], "GET", "x", fleet.ErrTokenRefused, Caller{}},
		"a voter writes": {agents[1], agents[0], "POST", "", nil,
			Caller{Host: agents[1].id(), Voter: true}},
		"a worker is no place to forward to": {agents[1], worker, "GET", "", ErrNotHere, Caller{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.to.note(func() { tt.to.api = nil })
			text, err := send(tt.from, tt.to, tt.method, tt.auth)
			if tt.want != nil {
				wantErr(t, err, tt.want)
				tt.to.note(func() {
					if len(tt.to.api) != 0 {
						t.Errorf("the API was reached by %+v", tt.to.api)
					}
				})
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("%s %s /v1/services/web%%2F3?x=1 body", tt.to.name, tt.method); text != want {
				t.Errorf("answered %q, want %q", text, want)
			}
			tt.to.note(func() {
				if len(tt.to.api) != 1 || tt.to.api[0] != tt.caller {
					t.Errorf("callers %+v, want %+v", tt.to.api, tt.caller)
				}
			})
		})
	}
	r.must(fleet.ForgetHost{Host: worker.id(), Force: true})
	for _, method := range []string{"GET", "POST"} {
		text, err := send(worker, agents[0], method, r.op)
		wantErr(t, err, fleet.ErrForgotten)
		if text != "" {
			t.Errorf("a forgotten host is answered %q", text)
		}
	}
}

func operatorID(t *testing.T, text string) fleet.TokenID {
	t.Helper()
	token, err := trust.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	return token.ID
}

func (a *rigAgent) note(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func TestAHostAsksOneThatVotesNoMoreWhoDoes(t *testing.T) {
	r, agents := three(t)
	worker := r.join("h4", agents[0])
	later := r.join("h5", agents[0])
	r.promote(later, agents[0])
	knows := func() bool {
		return slices.ContainsFunc(worker.identity.Roster().Voters, func(v trust.RosterVoter) bool {
			return v.Host == later.id() && v.Voting
		})
	}
	if knows() {
		t.Fatal("it knows the new voter before it asks")
	}
	l := NewLink(LinkConfig{Port: worker.port, Clock: worker.clock, Logs: worker.lines.logger()})
	l.askRoster(t.Context(), agents[1].id())
	if !knows() {
		t.Errorf("it knows only %+v", worker.identity.Roster())
	}
}
