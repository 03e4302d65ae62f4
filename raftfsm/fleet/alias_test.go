package fleet

import (
	"strings"
	"testing"
)

func aliasAt(listener ListenerName, name string, port int) PutListener {
	return PutListener{Name: listener, Alias: name, Port: port, Protocol: ListenHTTP,
		Default: forward("blue", TotalWeight)}
}

func TestAnAliasIsRefused(t *testing.T) {
	changed := func(change func(*PutListener)) PutListener {
		c := aliasAt("other", "c", 8080)
		change(&c)
		return c
	}
	for _, c := range []struct {
		name     string
		command  PutListener
		sentinel error
		text     string
	}{
		{"that is another's at the port", aliasAt("other", "b", 8080), ErrPortTaken, "alias b:8080 is that of listener b"},
		{"that is a service's at the port", aliasAt("other", "owned", 80), ErrPortTaken,
			"alias owned:80 is that of service web"},
		{"that is no name", aliasAt("other", "b_", 8080), nil, ""},
		{"with a space", aliasAt("other", "b c", 8080), ErrInvalid, "alias:"},
		{"with an empty part", aliasAt("other", "b..c", 8080), ErrInvalid, "alias:"},
		{"in upper case", aliasAt("other", "B", 8080), ErrInvalid, "alias:"},
		{"that is too long", aliasAt("other", strings.Repeat("a.", 127)+"a", 8080), ErrInvalid, "at most 253"},
		{"with a part that is too long", aliasAt("other", strings.Repeat("a", 64), 8080), ErrInvalid, "alias:"},
		{"that services have", aliasAt("other", "web.skein", 8080), ErrInvalid, "does not end in .skein"},
		{"of TLS", changed(func(c *PutListener) { c.Protocol = ListenTLS }), ErrInvalid, "HTTP or TCP"},
		{"with PROXY", changed(func(c *PutListener) { c.ProxyProtocol = true }), ErrInvalid, "proxyProtocol:"},
		{"at no port", aliasAt("other", "c", 0), ErrInvalid, "port:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 1)
			w.must(aliasAt("b", "b", 8080))
			owned := aliasAt("owned", "owned", 80)
			owned.Owner = "web"
			w.must(owned)
			if c.sentinel == nil {
				w.must(c.command)
				return
			}
			w.refused(c.command, c.sentinel, c.text)
		})
	}
}

// An alias takes no port of hosts, so whatever has the port there may.
func TestAnAliasTakesNoPortOfHosts(t *testing.T) {
	w := trafficOf(t, 1)
	for i, port := range []int{80, 7000, 50_000, 9090} { // of listener shop, the agent's, dynamic, free
		w.must(aliasAt(ListenerName([]string{"a", "b", "c", "d"}[i]), "b", port))
	}
	w.must(PutListener{Name: "real", Port: 9090, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)})
	if l := w.ListenerAt(9090); l == nil || l.Name != "real" || w.PortTaken(hostID(1), TCP, 7000) {
		t.Errorf("port 9090 is that of %+v", l)
	}
	w.checked()
}

func TestAliasesOfOneNameHaveOneNumberAndNumbersRest(t *testing.T) {
	w := trafficOf(t, 1)
	number := func(name ListenerName) int { return w.Listener(name).Alias.Number }
	w.must(aliasAt("b1", "b", 80))
	w.must(aliasAt("b2", "b", 81))
	w.must(aliasAt("c", "c", 80))
	if number("b1") != 1 || number("b2") != 1 || number("c") != 2 {
		t.Errorf("numbers %d %d %d", number("b1"), number("b2"), number("c"))
	}
	w.must(DeleteListener{Name: "c"})
	w.must(aliasAt("d", "d", 80))
	if number("d") != 3 {
		t.Errorf("the number of a name that has just gone is given out again: %d", number("d"))
	}
	was := w.Listener("d")
	w.must(PutListener{Name: "d", ExpectedModifyIndex: was.ModifyIndex, Alias: "e", Port: 80, Protocol: ListenHTTP})
	if number("d") != 4 || w.Listener("d").Alias.Name != "e" {
		t.Errorf("renamed: %+v", w.Listener("d").Alias)
	}
	f := *w.fleet
	f.LastAlias = MaxAliasNumber
	w.fleet = &f
	w.must(aliasAt("f", "f", 80))
	if number("f") != 2 {
		t.Errorf("after the last number comes %d, want the first that is free", number("f"))
	}
	w.checked()
}

func TestAServiceTakesItsAliasesWithIt(t *testing.T) {
	w := trafficOf(t, 1)
	blue, green := group("b-blue"), group("b-green")
	to := forward("b-blue", TotalWeight)
	alias := aliasAt("b-http", "b", 8080)
	alias.Default = to
	service := balanced(1)
	service.LoadBalancers = []LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "b-blue",
		AlternateGroup: "b-green", ProductionRule: "b-http/default", TestRule: "b-http/test"}}
	test := PutRule{ID: "b-http/test", Priority: 1, Action: *to,
		Conditions: []RuleCondition{{Field: FieldHeader, Name: "x-test", Values: []string{"*"}}}}
	nameless := alias
	nameless.Alias = ""
	w.refused(ExposeService{Service: service, Groups: []PutTargetGroup{blue, green}, Aliases: []PutListener{nameless}},
		ErrInvalid, "aliases[0].alias")
	w.must(ExposeService{Service: service, Groups: []PutTargetGroup{blue, green}, Aliases: []PutListener{alias},
		Rules: []PutRule{test}})
	if l := w.Listener("b-http"); l.Owner != "web" || l.Alias.Name != "b" {
		t.Errorf("made %+v", l)
	}
	again := service
	again.Name, again.LoadBalancers = "other", nil
	taken := alias
	taken.Name, taken.Default = "other-http", forward("red", TotalWeight)
	w.refused(ExposeService{Service: again, Groups: []PutTargetGroup{group("red")}, Aliases: []PutListener{taken}},
		ErrPortTaken, "alias b:8080 is that of service web")
	if w.TargetGroup("red") != nil || w.Service("other") != nil {
		t.Error("a refused service left something")
	}
	w.must(DeleteService{Name: "web", Force: true})
	if w.Listener("b-http") != nil || w.TargetGroup("b-blue") != nil || w.Rule("b-http/test") != nil {
		t.Error("the service is gone, and its alias is not")
	}
	w.checked()
}
