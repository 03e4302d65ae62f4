package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
)

const sha = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// testAPI is an agent with everything faked, on a voter that leads.
type testAPI struct {
	*API
	voter   *fakeVoter
	local   *fakeLocal
	members *fakeMembers
}

var testNow = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func newTestAPI(t testing.TB, change func(*Config)) *testAPI {
	t.Helper()
	now := func() time.Time { return testNow }
	x := &testAPI{voter: newFakeVoter(now), local: &fakeLocal{}, members: &fakeMembers{}}
	cfg := Config{
		Host: hostID(1), Name: "h1", Zone: "a", Version: "test", Log: slog.New(slog.DiscardHandler),
		Voter: func() Voter { return x.voter }, Members: x.members, Local: x.local, Tokens: &fakeTokens{}, Now: now,
		Images:        fakeImages(func(context.Context, string) (string, error) { return sha, nil }),
		ReservedPorts: []int{7700, 7701, 7702},
	}
	if change != nil {
		change(&cfg)
	}
	x.API = New(cfg)
	return x
}

// fleetOf fills a voter with n ready hosts h1, h2, ... in zones a, b, c in turn;
// up to three of them vote.
func fleetOf(t testing.TB, v *fakeVoter, n int) {
	t.Helper()
	blob := make([]byte, 32)
	v.must(t, fleet.InitFleet{ID: "f-1", Name: "test", CABundle: blob,
		SealedKeys: fleet.SealedKeys{Version: 1, CA: blob, Gossip: blob},
		Host:       admission(1), RaftID: fleet.MakeRaftID(hostID(1), 1), Format: fleet.FormatVersion})
	v.must(t, fleet.PutToken{ID: "join", TokenKind: fleet.TokenJoin, Hash: blob, Uses: 1000,
		NotAfter: fleet.TimeOf(v.at()).Add(time.Hour)})
	for i := 1; i <= n; i++ {
		if i > 1 {
			v.must(t, fleet.AdmitHost{Token: "join", SecretHash: blob, Host: admission(i)})
		}
		openSession(t, v, i, 1)
		if i > 1 && i <= 3 && n >= 3 {
			for _, phase := range []fleet.VoterPhase{fleet.VoterPreparing, fleet.VoterLearning, fleet.VoterVoting} {
				v.must(t, fleet.SetVoter{ID: fleet.MakeRaftID(hostID(i), 1), Phase: phase})
			}
		}
	}
}

func openSession(t testing.TB, v *fakeVoter, i int, nonce uint64) {
	t.Helper()
	a := admission(i)
	ids := v.must(t, fleet.OpenSession{Host: a.ID, Boot: fmt.Sprintf("boot-%d", i), Nonce: nonce, Addr: a.Addr,
		Gossip: a.Addr, Zone: a.Zone,
		Status: fmt.Sprintf("http://10.0.0.%d:7780/", i), Capacity: fleet.Resources{CPU: 4096, Memory: 8192},
		Version: "0.1.0", OSImage: "debian-12", Format: fleet.FormatVersion})
	n := uint64(1)
	fmt.Sscan(ids[0], &n)
	v.must(t, fleet.Report{Host: a.ID, Session: n, Seq: 1,
		SelfCheck: []fleet.Check{{Name: "disk", OK: true, Required: true}}})
}

func admission(n int) fleet.Admission {
	return fleet.Admission{ID: hostID(n), Name: fmt.Sprintf("h%d", n), Zone: string("abc"[(n-1)%3]),
		Addr:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 7700),
		PublicKey: fmt.Sprintf("key%d", n)}
}

// webDef is a definition as a client sends it.
const webDef = `{"family": "web", "containerDefinitions": [{"name": "app", "image": "registry:5000/web:1", "cpu": 128, "memory": 64,
  "environment": [{"name": "PASSWORD", "value": "hunter2"}], "portMappings": [{"containerPort": 8080}],
  "healthCheck": {"httpGet": {"port": 8080, "path": "/"}}}]}`

const webService = `{"serviceName": "web", "taskDefinition": "web", "desiredCount": 6}`

// running makes tasks of a service run on hosts 1 to hosts, in turn.
func running(t testing.TB, v *fakeVoter, service string, n, hosts int) {
	t.Helper()
	st := v.State()
	revision := st.Service(service).Revision
	def := st.TaskDef(st.Revision(revision).TaskDef)
	byHost := map[int][]fleet.TaskReport{}
	for i := range n {
		id := fleet.TaskID(fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprint(revision, i)))))[:32]
		v.must(t, fleet.CreateTasks{Revision: revision, Tasks: []fleet.TaskID{id}})
		h := i%hosts + 1
		var bindings []fleet.PortBinding
		for j, m := range def.Containers[0].PortMappings {
			bindings = append(bindings, fleet.PortBinding{Container: def.Containers[0].Name, ContainerPort: m.ContainerPort,
				HostPort: 49200 + int(st.Index())%5000 + i*7 + j, Protocol: m.Protocol})
		}
		v.must(t, fleet.AssignTasks{Host: hostID(h), Tasks: []fleet.TaskID{id}, Ports: [][]fleet.PortBinding{bindings}})
		byHost[h] = append(byHost[h], fleet.TaskReport{Task: id, Status: fleet.TaskRunning, Health: fleet.HealthHealthy,
			Attempt: 1, StartedAt: fleet.TimeOf(v.at())})
	}
	for h := 1; h <= hosts; h++ {
		if len(byHost[h]) > 0 {
			host := v.State().Host(hostID(h))
			v.must(t, fleet.Report{Host: hostID(h), Session: host.Session.N, Seq: host.ReportSeq + 1, Tasks: byHost[h]})
		}
	}
}

// do sends a request and returns the status and the decoded body.
func do(
	t testing.TB, h http.Handler, method, target, body string, header ...string,
) (int, map[string]any, http.Header) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:7780"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var got map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s %s: %v in %s", method, target, err, w.Body)
		}
	}
	return w.Code, got, w.Header()
}

// want sends a request that must answer with a status.
func want(t testing.TB, status int, h http.Handler, method, target, body string, header ...string) map[string]any {
	t.Helper()
	code, got, _ := do(t, h, method, target, body, header...)
	if code != status {
		t.Fatalf("%s %s: status %d, want %d: %v", method, target, code, status, got)
	}
	return got
}

// at walks into a decoded answer: at(got, "services", 0, "runningCount").
func at(t testing.TB, v any, path ...any) any {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				t.Fatalf("no object at %v in %v", step, v)
			}
			v = m[step]
		case int:
			l, ok := v.([]any)
			if !ok || step >= len(l) {
				t.Fatalf("no entry %d in %v", step, v)
			}
			v = l[step]
		}
	}
	return v
}

// webFleet is a fleet of six hosts that runs the service web with six tasks.
func webFleet(t testing.TB, x *testAPI) http.Handler {
	t.Helper()
	fleetOf(t, x.voter, 6)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	want(t, 201, root, "POST", "/v1/services", webService)
	running(t, x.voter, "web", 6, 6)
	return root
}

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

func capacityReport(i int) fleet.CapacityReport {
	return fleet.CapacityReport{Host: hostID(i), At: fleet.TimeOf(testNow),
		Capacity: fleet.Resources{CPU: 4096, Memory: 8192},
		Used:     fleet.Resources{CPU: 100, Memory: 200}, Protected: "yes", Runtime: "containerd 2.0",
		Pressure: fleet.Pressure{CPU: -1, Memory: -1, IO: -1}}
}
