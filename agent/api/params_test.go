package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"skein/agent/api/endpoint"
)

// Every parameter refuses what it cannot read, by name, whoever would answer: a
// voter, a worker, or a host that is cut off.
func TestNoParameterTakesGarbage(t *testing.T) {
	garbage := map[string][]string{
		"consistent": {"garbage", "2"},
		"limit":      {"garbage", "0", "-1", "1001", "1e3", "10 "},
		"next": {"garbage", "h-0000000000000001", "%00", endpoint.NewCursor("another list", "web"),
			endpoint.NewCursor("hosts", "")},
		"after":         {"garbage", "-1", "1.5", "18446744073709551616"},
		"strict":        {"garbage"},
		"expect":        {"", "garbage", "0", "-1", "1.5"},
		"force":         {"garbage"},
		"live":          {"garbage"},
		"with":          {"", "[]", "%7B", "null"},
		"service":       {"", "two words", "a%1b[2Jb", "web%3B", strings.Repeat("x", 256)},
		"family":        {"", "two words"},
		"host":          {"", "two words", "<script>"},
		"status":        {"", "SLEEPING", "RUNNING,", "RUNNING,SLEEPING"},
		"desiredStatus": {"", "PENDING", "running"},
	}
	unread := map[string]string{"reason": "free text for people; what is not printable is made so"}
	voter := newTestAPI(t, nil)
	webFleet(t, voter)
	worker := newTestAPI(t, func(c *Config) {
		c.Voter = func() Voter { return nil }
		c.Forward = &forwardTo{handler: voter.Handler(TrustVoter)}
	})
	cutOff := newTestAPI(t, func(c *Config) { c.Voter = func() Voter { return nil } })
	cutOff.local.alone = testNow.Add(-time.Minute)
	for _, rt := range voter.routes {
		for _, p := range rt.Query {
			values, ok := garbage[p.Name]
			if !ok && unread[p.Name] == "" {
				t.Errorf("%s %s: no garbage is tried for %s", rt.Method, rt.Pattern, p.Name)
			}
			for _, value := range values {
				target := strings.NewReplacer("{id}", "h1", "{name}", "web", "{listener}", "web",
					"{$}", "").Replace(rt.Pattern) + "?" + p.Name + "=" +
					strings.ReplaceAll(value, " ", "%20")
				for who, x := range map[string]*testAPI{"a voter": voter, "a worker": worker, "a host that is cut off": cutOff} {
					got := want(t, http.StatusBadRequest, x.Handler(TrustRoot), rt.Method, target, "")
					if field := at(t, got, "error", "field"); field != p.Name {
						t.Errorf("%s %s at %s: refuses %v, want %s", rt.Method, target, who, got, p.Name)
					}
				}
			}
		}
	}
}

func TestAParameterWithoutAValueIsNotGiven(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	x.voter.set(func(v *fakeVoter) { v.leads, v.leader = false, hostID(2) })
	for _, target := range []string{"/v1/hosts?next=", "/v1/tasks?limit=", "/v1/events?after=",
		"/v1/status?consistent=false"} {
		want(t, http.StatusOK, root, "GET", target, "")
	}
}

// A client that follows next until there is none must come to an end, also at a
// host that only remembers.
func TestAHostThatIsCutOffGivesOnePage(t *testing.T) {
	voter := newTestAPI(t, nil)
	webFleet(t, voter)
	link := &forwardTo{handler: voter.Handler(TrustVoter)}
	worker := newTestAPI(t, func(c *Config) {
		c.Voter = func() Voter { return nil }
		c.Forward = link
	})
	root := worker.Handler(TrustRoot)
	for _, list := range []string{"/v1/hosts", "/v1/tasks", "/v1/services", "/v1/taskdefs"} {
		want(t, http.StatusOK, root, "GET", list+"?limit=1", "")
	}
	link.mu.Lock()
	link.err = errNobody
	link.mu.Unlock()
	for _, list := range []string{"hosts", "tasks", "services", "taskdefs"} {
		if got := want(t, http.StatusOK, root, "GET", "/v1/"+list+"?limit=1", ""); got["next"] != nil {
			t.Errorf("%s: has a next: %v", list, got["next"])
		}
		want(t, http.StatusServiceUnavailable, root, "GET", "/v1/"+list+"?limit=1&next="+endpoint.NewCursor(list, "web"), "")
	}
}
