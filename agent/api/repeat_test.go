package api

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func TestARepeatedWriteChangesNothing(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	run := `{"taskDefinition": "web", "count": 2, "clientToken": "once"}`
	first := want(t, 201, root, "POST", "/v1/tasks", run)
	index := x.voter.State().Index()
	again := want(t, 201, root, "POST", "/v1/tasks", run)
	if at(t, again, "tasks", 1, "taskId") != at(t, first, "tasks", 1, "taskId") ||
		at(t, again, "index") != at(t, first, "index") {
		t.Errorf("first %v\nagain %v", first, again)
	}
	if x.voter.State().Index() != index {
		t.Error("the repetition was proposed")
	}
	got := want(t, 409, root, "POST", "/v1/tasks", `{"taskDefinition": "web", "count": 3, "clientToken": "once"}`)
	if at(t, got, "error", "code") != "token-reused" {
		t.Errorf("another request with the same token: %v", got)
	}

	t.Run("the token may come as a header", func(t *testing.T) {
		create := `{"serviceName": "api", "taskDefinition": "web", "desiredCount": 1}`
		want(t, 201, root, "POST", "/v1/services", create, types.HeaderToken, "t-2")
		want(t, 201, root, "POST", "/v1/services", create, types.HeaderToken, "t-2")
		want(t, 409, root, "POST", "/v1/services", create)
		want(t, 400, root, "POST", "/v1/services", create, types.HeaderToken, "a b")
		want(t, 400, root, "POST", "/v1/tasks", run, types.HeaderToken, "another")
	})
	t.Run("a token's text is shown once", func(t *testing.T) {
		body := `{"kind": "join", "clientToken": "t-3"}`
		made := want(t, 201, root, "POST", "/v1/tokens", body)
		again := want(t, 201, root, "POST", "/v1/tokens", body)
		if !strings.HasPrefix(made["token"].(string), "join.") || again["token"] != nil ||
			at(t, again, "id") != at(t, made, "id") || len(again["warnings"].([]any)) != 1 {
			t.Errorf("made %v\nagain %v", made, again)
		}
		if row := x.voter.State().Token(fleet.TokenID(made["id"].(string))); row == nil ||
			strings.Contains(string(row.Hash), "secret") {
			t.Errorf("stored: %v", row)
		}
	})
}

func TestAnUnknownOutcomeIsAskedAgainWithTheSameReceipt(t *testing.T) {
	for name, applied := range map[string]bool{"when the first was made": true, "when the first was not made": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTestAPI(t, nil)
				root := webFleet(t, x)
				x.voter.set(func(v *fakeVoter) { v.lose, v.before = 2, applied })
				want(t, 201, root, "POST", "/v1/tasks", `{"taskDefinition": "web"}`)
				n := 0
				for task := range x.voter.State().Tasks() {
					if task.Standalone() {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d tasks were made", n)
				}
			})
		})
	}
}

// takenForEachOther are two voters that take each other for the leader, until the other one leads.
func takenForEachOther(t *testing.T, until time.Duration) (root http.Handler, one, other *testAPI) {
	there, back := &forwardTo{}, &forwardTo{}
	one = newTestAPI(t, func(c *Config) { c.Forward = there })
	root = webFleet(t, one)
	other = newTestAPI(t, func(c *Config) { c.Forward, c.Host, c.Name = back, hostID(2), "h2" })
	other.voter.set(func(v *fakeVoter) { v.leads, v.leader, v.st = false, hostID(1), one.voter.State() })
	one.voter.set(func(v *fakeVoter) { v.leads, v.leader = false, hostID(2) })
	there.handler, back.handler = other.Handler(TrustVoter), one.Handler(TrustVoter)
	time.AfterFunc(until, func() { other.voter.set(func(v *fakeVoter) { v.leads = true }) })
	return root, one, other
}

func TestDuringAnElectionWritesWaitBounded(t *testing.T) {
	t.Run("and are made when there is a leader again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newTestAPI(t, nil)
			root := webFleet(t, x)
			x.voter.set(func(v *fakeVoter) { v.leads, v.leader = false, "" })
			time.AfterFunc(4*time.Second, func() { x.voter.set(func(v *fakeVoter) { v.leads, v.leader = true, hostID(1) }) })
			begin := time.Now()
			want(t, 200, root, "POST", "/v1/services/web/scale", `{"desiredCount": 1}`)
			if took := time.Since(begin); took < 4*time.Second || took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	})
	t.Run("also while two voters take each other for the leader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			root, one, other := takenForEachOther(t, 3*time.Second)
			begin := time.Now()
			_, _, h := do(t, root, "POST", "/v1/services/web/scale", `{"desiredCount": 1}`)
			if got := other.voter.State(); h.Get(headerAstray) != "" || got.Index() == one.voter.State().Index() {
				t.Errorf("the change was not made: %v", h)
			}
			if took := time.Since(begin); took < 3*time.Second || took > 4*time.Second {
				t.Errorf("took %v", took)
			}
		})
	})
	t.Run("and a refusal is none the less one, though another answer was kept back before it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			root, _, _ := takenForEachOther(t, time.Second)
			want(t, 404, root, "POST", "/v1/services/none/scale", `{"desiredCount": 1}`)
		})
	})
	t.Run("and are refused with words when there is none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			x := newTestAPI(t, nil)
			root := webFleet(t, x)
			x.voter.set(func(v *fakeVoter) { v.leads, v.leader = false, "" })
			begin := time.Now()
			code, got, h := do(t, root, "POST", "/v1/services/web/scale", `{"desiredCount": 1}`)
			if took := time.Since(begin); took != electionWait {
				t.Errorf("waited %v", took)
			}
			if code != 503 || h.Get("Retry-After") == "" || at(t, got, "error", "code") != "no-leader" ||
				!strings.Contains(at(t, got, "error", "hint").(string), "client token") {
				t.Errorf("status %d: %v", code, got)
			}
		})
	})
	t.Run("and a busy leader says so at once", func(t *testing.T) {
		x := newTestAPI(t, nil)
		root := webFleet(t, x)
		x.voter.set(func(v *fakeVoter) { v.busy = true })
		code, got, h := do(t, root, "POST", "/v1/services/web/scale", `{"desiredCount": 1}`)
		if code != 503 || h.Get("Retry-After") != "1" || at(t, got, "error", "code") != "busy" {
			t.Errorf("status %d: %v", code, got)
		}
	})
}

func TestAChangeOfARowThatMovedIsMadeAgain(t *testing.T) {
	x := newTestAPI(t, nil)
	moves := 0
	x.API.Images = fakeImages(func(context.Context, string) (string, error) {
		// Somebody scales while the registry is asked.
		if moves++; moves <= 2 {
			x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 10 + moves})
		}
		return sha, nil
	})
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	moves = 9
	want(t, 201, root, "POST", "/v1/services", webService)
	moves = 0
	got := want(t, 200, root, "PATCH", "/v1/services/web", `{"forceNewDeployment": true}`)
	if at(t, got, "service", "desiredCount") != 12.0 {
		t.Errorf("the other's change was lost: %v", got)
	}
	x.API.Images = fakeImages(func(context.Context, string) (string, error) {
		moves++
		x.voter.must(t, fleet.ScaleService{Name: "web", Desired: 10 + moves})
		return sha, nil
	})
	if got = want(t, 409, root, "PATCH", "/v1/services/web", `{"forceNewDeployment": true}`); at(t, got, "error",
		"code") != "moved" {
		t.Errorf("got %v", got)
	}
}
