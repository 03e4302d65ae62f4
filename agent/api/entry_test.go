package api

import (
	"errors"
	"strings"
	"testing"
)

func TestEntryAddressesAreReadAsTheyWereWritten(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	got := want(t, 201, root, "POST", "/v1/entry-addresses", `{"address": "10.0.0.100/24"}`)
	if at(t, got, "entryAddress", "subnet") != "10.0.0.0/24" || at(t, got, "entryAddress", "holder") != nil {
		t.Errorf("added: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h1"}`)
	if at(t, got, "entryAddress", "holder", "name") != "h1" ||
		at(t, got, "entryAddress", "why") != "moved by an operator" {
		t.Errorf("given: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h2"}`)
	if at(t, got, "entryAddress", "holder", "name") != "h2" || at(t, got, "entryAddress", "former", "name") != "h1" {
		t.Errorf("moved: %v", got)
	}
	got = want(t, 200, root, "GET", "/v1/entry-addresses", "")
	if at(t, got, "entryAddresses", 0, "address") != "10.0.0.100" ||
		at(t, got, "entryAddresses", 0, "formerUntil") == nil {
		t.Errorf("listed: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h1", "cut": true}`)
	if at(t, got, "entryAddress", "holder", "name") != "h1" || at(t, got, "entryAddress", "former") != nil {
		t.Errorf("moved at once: %v", got)
	}
	want(t, 200, root, "GET", "/v1/entry-addresses/10.0.0.100", "")
	want(t, 200, root, "DELETE", "/v1/entry-addresses/10.0.0.100", "")
	want(t, 404, root, "GET", "/v1/entry-addresses/10.0.0.100", "")
}

func TestRefusedEntryAddressesSayWhatAndWhy(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	want(t, 201, root, "POST", "/v1/entry-addresses", `{"address": "10.0.0.100/24"}`)
	want(t, 200, root, "POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h1"}`)
	want(t, 200, root, "POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h2"}`)
	for name, tt := range map[string]struct {
		method, target, body string
		status               int
		why                  string
	}{
		"no length":                {"POST", "/v1/entry-addresses", `{"address": "10.0.0.101"}`, 400, "with the length of its subnet"},
		"no address":               {"POST", "/v1/entry-addresses", `{}`, 400, "with the length of its subnet"},
		"a subnet without a host":  {"POST", "/v1/entry-addresses", `{"address": "10.9.0.100/24"}`, 400, "no host is in 10.9.0.0/24"},
		"a host's own address":     {"POST", "/v1/entry-addresses", `{"address": "10.0.0.1/24"}`, 400, "is the address of host"},
		"the broadcast address":    {"POST", "/v1/entry-addresses", `{"address": "10.0.0.255/24"}`, 400, "broadcast"},
		"one that is not there":    {"DELETE", "/v1/entry-addresses/10.0.0.7", "", 404, "10.0.0.7"},
		"a host that is not there": {"POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "nobody"}`, 404, "nobody"},
		"while a move is relayed": {"POST", "/v1/entry-addresses/10.0.0.100/move", `{"host": "h1"}`, 409,
			"connections of the former move are still relayed"},
	} {
		t.Run(name, func(t *testing.T) {
			got := want(t, tt.status, root, tt.method, tt.target, tt.body)
			if message, _ := at(t, got, "error", "message").(string); !strings.Contains(message, tt.why) {
				t.Errorf("%q, want %q", message, tt.why)
			}
		})
	}
}

func TestABalancerIsToldWhetherTheHostServes(t *testing.T) {
	local := &fakeLocal{}
	x := newTestAPI(t, func(c *Config) { c.Local = local })
	want(t, 200, x.Handler(TrustNone), "GET", "/readyz/traffic", "")
	local.err = errors.New("the agent stops")
	want(t, 503, x.Handler(TrustNone), "GET", "/readyz/traffic", "")
	x = newTestAPI(t, func(c *Config) { c.Local = nil })
	want(t, 503, x.Handler(TrustNone), "GET", "/readyz/traffic", "")
}
