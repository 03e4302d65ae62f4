package ingress_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// freePort is a port that nothing has on any address.
func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestAnAliasAndAListenerOfTheHostShareAPort(t *testing.T) {
	addrOf := func(number int) netip.Addr { return netip.AddrFrom4([4]byte{127, 9, 0, byte(number)}) }
	fixed := func(text string) fleet.Action {
		return fleet.Action{Fixed: &fleet.FixedResponse{Status: 200, Body: text}}
	}
	port := freePort(t)
	host := fleet.Listener{Name: "a-host", Port: port, Protocol: fleet.ListenHTTP}
	alias, early := host, host
	alias.Name, alias.Alias = "b-alias", &fleet.ListenerAlias{Name: "b", Number: 2}
	early.Name, early.Alias = "0-alias", &fleet.ListenerAlias{Name: "c", Number: 3}
	rules := []fleet.Rule{
		{ID: "a", Listener: "a-host", Action: fixed("host")}, {ID: "b", Listener: "b-alias", Action: fixed("alias")},
		{ID: "c", Listener: "0-alias", Action: fixed("early")},
	}
	r := newRig(t, ingress.Config{
		Listen:    func(address string) (net.Listener, error) { return net.Listen("tcp", address) },
		AliasAddr: addrOf, Aliases: netip.MustParsePrefix("127.9.0.0/24"),
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(addr string) string {
		response, err := client.Get(fmt.Sprintf("http://%s:%d/", addr, port))
		if err != nil {
			return "refused"
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for _, step := range []struct {
		name      string
		listeners []fleet.Listener
		want      map[string]string
	}{
		{"an alias alone", []fleet.Listener{alias},
			map[string]string{"127.9.0.2": "alias", "127.0.0.1": "refused", "127.9.0.3": "refused"}},
		{"a listener comes to its port", []fleet.Listener{alias, host},
			map[string]string{"127.9.0.2": "alias", "127.0.0.1": "host", "127.9.0.3": "refused"}},
		{"an alias comes to the listener's port", []fleet.Listener{early, alias, host},
			map[string]string{"127.9.0.2": "alias", "127.0.0.1": "host", "127.9.0.3": "early"}},
		{"the listener goes", []fleet.Listener{early, alias},
			map[string]string{"127.9.0.2": "alias", "127.0.0.1": "refused", "127.9.0.3": "early"}},
		{"one alias goes", []fleet.Listener{early},
			map[string]string{"127.9.0.2": "refused", "127.9.0.3": "early"}},
	} {
		r.routes = fleet.Routes{Listeners: step.listeners, Rules: rules}
		r.apply()
		for _, status := range r.engine.Status().Listeners {
			if !status.Bound {
				t.Errorf("%s: %s is not open: %s", step.name, status.Name, status.Failed)
			}
		}
		for addr, want := range step.want {
			if got := ask(addr); got != want {
				t.Errorf("%s: %s answers %q, want %q", step.name, addr, got, want)
			}
		}
	}
}

func TestWhoeverSendsAPROXYHeaderCountsUntilItHasSaidWhoAsks(t *testing.T) {
	r := newRig(t, ingress.Config{Limits: ingress.Limits{PerSource: 2}})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, ProxyProtocol: true},
		fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}})
	r.apply()
	for i := range 5 { // of five clients: more than two of the balancer's address
		c := r.dial(80)
		c.send(fmt.Sprintf("PROXY TCP4 192.0.2.%d 192.0.2.9 1234 80\nGET / HTTP/1.1\nHost: x\n\n", i+1))
		_ = c.receive("GET").Body.Close()
	}
	silent := []*raw{r.dial(80), r.dial(80)}
	until(t, "two connections wait for a header", func() bool { return r.engine.Status().Connections == 7 })
	c := r.dial(80)
	if _, err := c.r.ReadByte(); err == nil {
		t.Error("a third connection without a header was served")
	}
	for _, c := range silent {
		_ = c.Close()
	}
}
