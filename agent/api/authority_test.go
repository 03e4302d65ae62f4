package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWhoMayWrite(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	good := want(t, 201, root, "POST", "/v1/tokens", `{"kind": "operator"}`)["token"].(string)
	join := want(t, 201, root, "POST", "/v1/tokens", `{"kind": "join"}`)["token"].(string)
	short := want(t, 201, root, "POST", "/v1/tokens", `{"kind": "operator", "validSeconds": 1}`)["token"].(string)
	scale := func(trust Trust, header ...string) (int, map[string]any) {
		code, got, _ := do(t, x.Handler(trust), "POST", "/v1/services/web/scale", `{"desiredCount": 3}`, header...)
		return code, got
	}
	tests := map[string]struct {
		trust  Trust
		token  string
		status int
		code   string
	}{
		"root on a voter":               {TrustRoot, "", 200, ""},
		"a voter for somebody":          {TrustVoter, "", 200, ""},
		"a stranger with a token":       {TrustToken, good, 200, ""},
		"a stranger without one":        {TrustToken, "", 401, "token-needed"},
		"a stranger with a join token":  {TrustToken, join, 403, "token-refused"},
		"a stranger with a wrong one":   {TrustToken, "operator.t1.secret-x", 403, "token-refused"},
		"a stranger with rubbish":       {TrustToken, "rubbish", 403, "token-refused"},
		"the plain listener, any token": {TrustNone, good, 405, "read-only"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var header []string
			if tt.token != "" {
				header = []string{"Authorization", "Bearer " + tt.token}
			}
			code, got := scale(tt.trust, header...)
			if code != tt.status || tt.code != "" && at(t, got, "error", "code") != tt.code {
				t.Errorf("status %d: %v", code, got)
			}
		})
	}
	t.Run("a token that ended", func(t *testing.T) {
		x.API.Now = func() time.Time { return testNow.Add(2 * time.Second) }
		if code, got := scale(TrustToken, "Authorization", "Bearer "+short); code != 403 ||
			at(t, got, "error", "code") != "token-expired" {
			t.Errorf("status %d: %v", code, got)
		}
	})
	t.Run("the decision names the token, not its secret", func(t *testing.T) {
		scaleTo := func(n int) {
			want(t, 200, x.Handler(TrustToken), "POST", "/v1/services/web/scale", fmt.Sprintf(`{"desiredCount": %d}`, n),
				"Authorization", "Bearer "+good)
		}
		scaleTo(4)
		got := want(t, 200, root, "GET", "/v1/events?limit=1", "")
		if by := at(t, got, "events", 0, "by"); by != "operator t1" {
			t.Errorf("by %v", by)
		}
	})
}

func TestWritesReachTheLeaderFromAnywhere(t *testing.T) {
	leader := newTestAPI(t, nil)
	webFleet(t, leader)
	token := want(t, 201, leader.Handler(TrustRoot), "POST", "/v1/tokens", `{"kind": "operator"}`)["token"].(string)
	toLeader := &forwardTo{handler: leader.Handler(TrustVoter)}
	follower := newTestAPI(t, func(c *Config) { c.Forward, c.Host, c.Name = toLeader, hostID(2), "h2" })
	follower.voter.set(func(v *fakeVoter) { v.leads, v.st = false, leader.voter.State() })
	toFollower := &forwardTo{handler: follower.Handler(TrustToken)}
	worker := newTestAPI(t, func(c *Config) { c.Forward, c.Host, c.Name, c.Voter = toFollower, hostID(4), "h4", nil })
	scale := func(n int) string { return fmt.Sprintf(`{"desiredCount": %d}`, n) }

	t.Run("from another voter", func(t *testing.T) {
		got := want(t, 200, follower.Handler(TrustRoot), "POST", "/v1/services/web/scale", scale(1))
		if at(t, got, "service", "desiredCount") != 1.0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("from a voter that knows no leader, by way of one that does", func(t *testing.T) {
		follower.voter.set(func(v *fakeVoter) { v.leader = "" })
		defer follower.voter.set(func(v *fakeVoter) { v.leader = hostID(1) })
		want(t, 200, follower.Handler(TrustRoot), "POST", "/v1/services/web/scale", scale(1))
	})
	t.Run("from a worker with an operator token, by way of a voter", func(t *testing.T) {
		want(t, 200, worker.Handler(TrustRoot), "POST", "/v1/services/web/scale", scale(2), "Authorization", "Bearer "+token)
		got := want(t, 200, leader.Handler(TrustRoot), "GET", "/v1/events?limit=1", "")
		if at(t, got, "events", 0, "by") != "operator t1" {
			t.Errorf("decided by %v", got)
		}
	})
	t.Run("but not from a worker without one", func(t *testing.T) {
		asked := len(toFollower.seen)
		got := want(t, 401, worker.Handler(TrustRoot), "POST", "/v1/services/web/scale", scale(3))
		if at(t, got, "error", "code") != "token-needed" || len(toFollower.seen) != asked {
			t.Errorf("got %v", got)
		}
	})
	t.Run("nor with one that the voters refuse", func(t *testing.T) {
		got := want(t, 403, worker.Handler(TrustRoot), "POST", "/v1/services/web/scale", scale(3), "Authorization",
			"Bearer operator.t1.x")
		if at(t, got, "error", "code") != "token-refused" {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a stranger cannot claim to be a voter's friend", func(t *testing.T) {
		want(t, 401, follower.Handler(TrustToken), "POST", "/v1/services/web/scale", scale(3), headerBy, "operator",
			headerHops, "1")
	})
	t.Run("an answer that was lost is asked for again and is the first one", func(t *testing.T) {
		toLeader.mu.Lock()
		toLeader.lose = 1
		toLeader.mu.Unlock()
		before := leader.voter.State().TaskCount()
		got := want(t, 201, follower.Handler(TrustRoot), "POST", "/v1/tasks", `{"taskDefinition": "web"}`)
		if len(got["tasks"].([]any)) != 1 || leader.voter.State().TaskCount() != before+1 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("malformed ones are refused where they arrive", func(t *testing.T) {
		asked := len(toLeader.seen)
		want(t, 400, follower.Handler(TrustRoot), "POST", "/v1/services/web/scale", `{"desiredCount": "x"}`)
		if len(toLeader.seen) != asked {
			t.Error("it was sent on")
		}
	})
	t.Run("and never in circles", func(t *testing.T) {
		got := want(t, 503, follower.Handler(TrustVoter), "POST", "/v1/services/web/scale", scale(3), headerHops, "6")
		if !strings.Contains(at(t, got, "error", "message").(string), "from host to host") {
			t.Errorf("got %v", got)
		}
	})
}

func TestAHostThatIsAloneRefusesWritesAtOnce(t *testing.T) {
	worker := newTestAPI(t, func(c *Config) { c.Forward, c.Voter = &forwardTo{err: errors.New("no route to host")}, nil })
	worker.local.alone = testNow.Add(-time.Minute)
	begin := time.Now()
	code, got, h := do(t, worker.Handler(TrustRoot), "POST", "/v1/services/web/scale", `{"desiredCount": 1}`,
		"Authorization", "Bearer x")
	if code != http.StatusServiceUnavailable || at(t, got, "error", "code") != "cut-off" || h.Get("Retry-After") == "" ||
		time.Since(begin) > 2*time.Second {
		t.Errorf("status %d after %v: %v", code, time.Since(begin), got)
	}
}
