package route_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/ingress/route"
)

// header has fields for conditions, by their names in small letters.
type header map[string]string

func (h header) Values(name string, each func([]byte) bool) {
	if value, ok := h[name]; ok {
		each([]byte(value))
	}
}

func (h header) Cookie(name string) []byte {
	if value, ok := h[name]; ok {
		return []byte(value)
	}
	return nil
}

func memory(seed uint64) *route.Memory {
	return route.NewMemory("a", rand.New(rand.NewPCG(seed, 1)).Uint64, func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("nothing is dialled here")
	})
}

func compile(t testing.TB, routes fleet.Routes) *route.Table {
	t.Helper()
	table, err := memory(1).Compile(routes, 1, time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// condition reads "host a.example,b.example".
func condition(t testing.TB, text string) fleet.RuleCondition {
	t.Helper()
	words := strings.Fields(text)
	field, err := fleet.ParseConditionField(words[0])
	if err != nil {
		t.Fatal(err)
	}
	c := fleet.RuleCondition{Field: field, Values: strings.Split(words[len(words)-1], ",")}
	if len(words) == 3 {
		c.Name = words[1]
	}
	return c
}

func TestTheFirstRuleWhoseConditionsAllHoldTakesTheRequest(t *testing.T) {
	rules := []string{ // by priority; the conditions of one are parted by semicolons
		1:  "host-header shop.example;path-pattern /api/*",
		2:  "host-header *.wild.example,other.example",
		3:  "host-header shop.example",
		4:  "path-pattern /img/*.png",
		5:  "path-pattern /exact",
		6:  "path-pattern /a?c",
		7:  "http-header X-Test canary*",
		8:  "http-request-method PUT,PATCH",
		9:  "query-string version 2",
		10: "source-ip 192.0.2.0/24,2001:db8::/32",
		11: "path-pattern /pre*",
	}
	routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "web", Protocol: fleet.ListenHTTP}}}
	for priority, text := range rules {
		rule := fleet.Rule{
			ID: fleet.RuleID(fmt.Sprint(priority)), Listener: "web", Priority: priority,
			Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}},
		}
		for _, c := range strings.Split(text, ";") {
			if c != "" {
				rule.Conditions = append(rule.Conditions, condition(t, c))
			}
		}
		routes.Rules = append(routes.Rules, rule)
	}
	listener := compile(t, routes).Listeners["web"]
	tests := map[string]struct {
		host, path, query, method, source string
		header                            header
		want                              string
	}{
		"host and path":                          {host: "shop.example", path: "/api/x", want: "1"},
		"the host's case does not matter":        {host: "SHOP.Example", path: "/api/x", want: "1"},
		"host alone":                             {host: "shop.example", path: "/x", want: "3"},
		"the path's case matters":                {host: "shop.example", path: "/API/x", want: "3"},
		"a wildcard host":                        {host: "a.b.wild.example", path: "/", want: "2"},
		"one of several hosts":                   {host: "other.example", path: "/", want: "2"},
		"a host that only ends alike":            {host: "wild.example", path: "/", want: "0"},
		"a wildcard within the path":             {path: "/img/a/b.png", want: "4"},
		"a path that ends otherwise":             {path: "/img/a/b.jpg", want: "0"},
		"a whole path":                           {path: "/exact", want: "5"},
		"a path that goes on":                    {path: "/exact/x", want: "0"},
		"one character":                          {path: "/abc", want: "6"},
		"not two characters":                     {path: "/abbc", want: "0"},
		"a prefix that ends within a segment":    {path: "/prefix/x", want: "11"},
		"a header":                               {path: "/", header: header{"x-test": "Canary-7"}, want: "7"},
		"another value of the header":            {path: "/", header: header{"x-test": "stable"}, want: "0"},
		"a method":                               {path: "/", method: "PATCH", want: "8"},
		"a query":                                {path: "/", query: "a=1&version=2", want: "9"},
		"another key of the query":               {path: "/", query: "xversion=2", want: "0"},
		"a source":                               {path: "/", source: "192.0.2.9", want: "10"},
		"a source of the other family":           {path: "/", source: "2001:db8::1", want: "10"},
		"a source nearby":                        {path: "/", source: "192.0.3.9", want: "0"},
		"lower priority goes first across kinds": {host: "other.example", path: "/exact", want: "2"},
		"the default":                            {host: "x", path: "/x", want: "0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := route.Request{
				Host: []byte(tt.host), Path: []byte(tt.path), Query: []byte(tt.query), Method: []byte(tt.method),
				Fields: tt.header,
			}
			if tt.source != "" {
				r.Source = netip.MustParseAddr(tt.source)
			}
			if got := listener.Find(&r); got == nil || string(got.Noun.ID) != tt.want {
				t.Errorf("taken by %v, want %s", got.Noun.ID, tt.want)
			}
		})
	}
}

// The index of rules finds what a walk through all of them finds.
func TestManyRulesAreFoundAsOneByOne(t *testing.T) {
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	hosts := []string{"a", "b", "c.d", "*.d", "?", "*"}
	paths := []string{"/", "/x", "/x/*", "/x/y", "/*/y", "/y*", "/z/?", "*"}
	for round := range 200 {
		routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}}}
		for i := range 1 + r.IntN(12) {
			rule := fleet.Rule{ID: fleet.RuleID(fmt.Sprint(i)), Listener: "l", Priority: i + 1,
				Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}}}
			if r.IntN(3) > 0 {
				rule.Conditions = append(rule.Conditions, fleet.RuleCondition{
					Field: fleet.FieldHost, Values: []string{pick(hosts...), pick(hosts...)}})
			}
			if r.IntN(3) > 0 {
				rule.Conditions = append(rule.Conditions, fleet.RuleCondition{
					Field: fleet.FieldPath, Values: []string{pick(paths...), pick(paths...)}})
			}
			routes.Rules = append(routes.Rules, rule)
		}
		listener := compile(t, routes).Listeners["l"]
		for range 50 {
			request := route.Request{
				Host: []byte(pick("a", "b", "C.d", "x", "")), Path: []byte(pick("/", "/x", "/x/y", "/y/1", "/z/1")),
			}
			got, want := "none", "none"
			if rule := listener.Find(&request); rule != nil {
				got = string(rule.Noun.ID)
			}
			for _, rule := range routes.Rules {
				one := fleet.Routes{Listeners: routes.Listeners, Rules: []fleet.Rule{rule}}
				if compile(t, one).Listeners["l"].Find(&request) != nil {
					want = string(rule.ID)
					break
				}
			}
			if got != want {
				t.Fatalf("seed %d, round %d: %s%s is taken by rule %s, want %s", seed, round, request.Host,
					request.Path, got, want)
			}
		}
	}
}

func TestARuleThatCannotBeAskedTakesNothingAndIsNamed(t *testing.T) {
	routes := fleet.Routes{
		Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}},
		Rules: []fleet.Rule{
			{ID: "l/new", Listener: "l", Priority: 1, Conditions: []fleet.RuleCondition{{Field: 99, Values: []string{"x"}}},
				Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}}},
			{ID: "l/default", Listener: "l", Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 404}}},
		},
	}
	table, err := memory(1).Compile(routes, 1, time.Time{}, 0)
	if err == nil || !strings.Contains(err.Error(), "l/new") {
		t.Errorf("error %v does not name the rule", err)
	}
	if got := table.Listeners["l"].Find(&route.Request{Path: []byte("/")}); got == nil || got.Noun.ID != "l/default" {
		t.Errorf("%v takes the request", got)
	}
}

func BenchmarkRulesAreFound(b *testing.B) {
	for _, n := range []int{1, 1000} {
		routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}}}
		for i := range n {
			routes.Rules = append(routes.Rules, fleet.Rule{
				ID: fleet.RuleID(fmt.Sprint(i)), Listener: "l", Priority: i + 1,
				Conditions: []fleet.RuleCondition{
					{Field: fleet.FieldHost, Values: []string{fmt.Sprintf("s%d.example", i)}},
					{Field: fleet.FieldPath, Values: []string{"/api/*"}},
				},
				Action: fleet.Action{Fixed: &fleet.FixedResponse{Status: 200}},
			})
		}
		listener := compile(b, routes).Listeners["l"]
		r := route.Request{Host: fmt.Appendf(nil, "s%d.example", n-1), Path: []byte("/api/x")}
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if listener.Find(&r) == nil {
					b.Fatal("not found")
				}
			}
		})
	}
}

// A table of 1,000 services, two groups each, of which ten have ten targets and the others two.
func BenchmarkTablesAreCompiled(b *testing.B) {
	routes := fleet.Routes{Listeners: []fleet.Listener{{Name: "l", Protocol: fleet.ListenHTTP}}}
	for i := range 1000 {
		var weights []fleet.GroupWeight
		for _, colour := range []string{"blue", "green"} {
			name := fleet.TargetGroupName(fmt.Sprintf("s%d-%s", i, colour))
			weights = append(weights, fleet.GroupWeight{Group: name, Weight: fleet.TotalWeight / 2})
			group := fleet.GroupTargets{TargetGroup: fleet.TargetGroup{Name: name}}
			for j := range 2 + 8*min(1, 1-min(1, i/10)) {
				group.Targets = append(group.Targets, fleet.Target{
					Task: fleet.TaskID(fmt.Sprintf("%s-%d", name, j)), Zone: "a", State: fleet.TargetHealthy,
					Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), byte(j)}), 80),
				})
			}
			routes.Groups = append(routes.Groups, group)
		}
		routes.Rules = append(routes.Rules, fleet.Rule{
			ID: fleet.RuleID(fmt.Sprint(i)), Listener: "l", Priority: i + 1,
			Conditions: []fleet.RuleCondition{{Field: fleet.FieldHost, Values: []string{fmt.Sprintf("s%d.example", i)}}},
			Action:     fleet.Action{Forward: &fleet.Forward{Groups: weights}},
		})
	}
	m := memory(1)
	b.ReportAllocs()
	for b.Loop() {
		table, err := m.Compile(routes, 1, time.Time{}, 0)
		if err != nil {
			b.Fatal(err)
		}
		m.Retire(table)
	}
}
