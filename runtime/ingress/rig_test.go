package ingress_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// rig is an engine whose ports are any that are free on the loopback.
type rig struct {
	t      testing.TB
	engine *ingress.Engine
	routes fleet.Routes
	index  uint64

	mu        sync.Mutex
	addresses map[string]string // by the address that the engine asked for
}

func newRig(t testing.TB, config ingress.Config) *rig {
	r := &rig{t: t, addresses: map[string]string{}}
	if config.Listen == nil {
		config.Listen = r.listen
	}
	if config.Zone == "" {
		config.Zone = "a"
	}
	r.engine = ingress.New(config)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.engine.Close(ctx)
	})
	return r
}

func (r *rig) listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		r.mu.Lock()
		r.addresses[address] = l.Addr().String()
		r.mu.Unlock()
	}
	return l, err
}

// address is where the listener of the port is.
func (r *rig) address(port int) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addresses[fmt.Sprintf(":%d", port)]
}

func (r *rig) apply() {
	r.t.Helper()
	r.index++
	if err := r.engine.Apply(r.routes, r.index); err != nil {
		r.t.Fatalf("apply: %v", err)
	}
}

// listener adds a listener with a default rule.
func (r *rig) listener(noun fleet.Listener, action fleet.Action) *rig {
	r.routes.Listeners = append(r.routes.Listeners, noun)
	return r.rule(noun.Name, 0, action)
}

func (r *rig) rule(
	listener fleet.ListenerName, priority int, action fleet.Action, conditions ...fleet.RuleCondition,
) *rig {
	id := fleet.RuleID(fmt.Sprintf("%s/%d", listener, priority))
	r.routes.Rules = append(r.routes.Rules, fleet.Rule{
		ID: id, Listener: listener, Priority: priority, Action: action, Conditions: conditions,
	})
	return r
}

// group adds a group whose targets are at these addresses, all healthy and in zone a.
func (r *rig) group(noun fleet.TargetGroup, addresses ...string) *rig {
	g := fleet.GroupTargets{TargetGroup: noun}
	for i, address := range addresses {
		g.Targets = append(g.Targets, fleet.Target{
			Task: fleet.TaskID(fmt.Sprintf("%s-%d", noun.Name, i)), Addr: netip.MustParseAddrPort(address),
			Revision: fleet.RevisionID(noun.Name), Zone: "a", State: fleet.TargetHealthy,
		})
	}
	r.routes.Groups = append(r.routes.Groups, g)
	return r
}

func to(groups ...fleet.GroupWeight) fleet.Action {
	return fleet.Action{Forward: &fleet.Forward{Groups: groups}}
}

func all(group fleet.TargetGroupName) fleet.Action {
	return to(fleet.GroupWeight{Group: group, Weight: fleet.TotalWeight})
}

// simple is a listener of HTTP on port 80 and a group "blue" of HTTP/1.1 behind it.
func simple(t testing.TB, addresses ...string) *rig {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP}, all("blue"))
	r.group(fleet.TargetGroup{Name: "blue", Protocol: fleet.GroupHTTP1}, addresses...)
	r.apply()
	return r
}

// backend serves HTTP/1.1 and says its name where the handler says nothing.
func backend(t testing.TB, name string, handler http.HandlerFunc) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Backend", name)
		if handler != nil {
			handler(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// raw is a connection of a client that says what it likes.
type raw struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (r *rig) dial(port int) *raw {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.address(port))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	if err = conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	return &raw{t: r.t, Conn: conn, r: bufio.NewReader(conn)}
}

func (c *raw) send(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads the next answer; the caller closes its body.
func (c *raw) receive(method string) *http.Response {
	c.t.Helper()
	response, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return response
}

// until waits for a state by its name.
func until(t testing.TB, state string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !reached(); {
		if time.Now().After(deadline) {
			t.Fatalf("not reached in 10 s: %s", state)
		}
		time.Sleep(time.Millisecond)
	}
}
