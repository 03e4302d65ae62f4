package ingress_test

import (
	"net/netip"
	"testing"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress"
)

// Whoever may send a PROXY header says who it is: source rules, limits and logs believe it.
func TestOnlyTrustedProxiesSayWhoTheClientIs(t *testing.T) {
	r := newRig(t, ingress.Config{})
	r.listener(fleet.Listener{Name: "web", Port: 80, Protocol: fleet.ListenHTTP, ProxyProtocol: true},
		fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}})
	served := func() bool {
		c := r.dial(80)
		c.send("PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\nGET / HTTP/1.1\nHost: x\n\n")
		_, err := c.r.Peek(1)
		return err == nil
	}
	for _, step := range []struct {
		name   string
		trusts []netip.Prefix
		served bool
	}{
		{"who is in a private network, by default", nil, true},
		{"another network alone", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, false},
		{"this host among others", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"),
			netip.MustParsePrefix("127.0.0.1/32")}, true},
	} {
		r.routes.Listeners[0].TrustedProxies = step.trusts
		before := r.address(80)
		r.apply()
		if before != "" && r.address(80) != before {
			t.Errorf("%s: the port was closed for a change of whom it trusts", step.name)
		}
		if got := served(); got != step.served {
			t.Errorf("%s: a connection from this host is served: %v", step.name, got)
		}
	}
	if refused := r.engine.Status().Refused; refused != 1 {
		t.Errorf("%d connections count as refused", refused)
	}
	for public, trusted := range map[string]bool{"203.0.113.9": false, "2001:db8::1": false, "10.9.8.7": true, "::1": true,
		"fd00::1": true} {
		in := false
		for _, p := range fleet.DefaultTrustedProxies {
			in = in || p.Contains(netip.MustParseAddr(public))
		}
		if in != trusted {
			t.Errorf("by default %s is trusted: %v", public, in)
		}
	}
}
