package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPutListenerRefuses(t *testing.T) {
	whole := func(change func(*PutListener)) PutListener {
		c := PutListener{Name: "other", Port: 8080, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)}
		change(&c)
		return c
	}
	https := []CertificateFile{{Certificate: "/etc/tls/chain.pem", Key: "/etc/tls/key.pem"}}
	for _, c := range []struct {
		name     string
		command  PutListener
		sentinel error
		text     string
	}{
		{"a name that is there", whole(func(c *PutListener) { c.Name = "shop" }), ErrExists, "create listener shop"},
		{"an update of none", whole(func(c *PutListener) { c.ExpectedModifyIndex = 3 }), ErrNotFound, `"other"`},
		{"an update of a row that moved", whole(func(c *PutListener) { c.Name, c.ExpectedModifyIndex = "shop", 1 }), ErrMoved,
			"read it again"},
		{"a bad name", whole(func(c *PutListener) { c.Name = "a/b" }), ErrInvalid, "name:"},
		{"another's port", whole(func(c *PutListener) { c.Port = 80 }), ErrPortTaken, "listener shop"},
		{"another's port though the protocol differs", whole(func(c *PutListener) {
			c.Port, c.Protocol, c.Certificates = 80, ListenHTTPS, https
		}), ErrPortTaken, "listener shop"},
		{"the agent's port", whole(func(c *PutListener) { c.Port = 7000 }), ErrPortTaken, "the agent's own on h1"},
		{"a dynamic port", whole(func(c *PutListener) { c.Port = 50000 }), ErrInvalid, "range of dynamic ports"},
		{"port 0", whole(func(c *PutListener) { c.Port = 0 }), ErrInvalid, "port: is 0"},
		{"no protocol", whole(func(c *PutListener) { c.Protocol = 0 }), ErrInvalid, "protocol:"},
		{"HTTPS without a certificate", whole(func(c *PutListener) { c.Protocol = ListenHTTPS }), ErrInvalid,
			"certificates:"},
		{"a certificate without HTTPS", whole(func(c *PutListener) { c.Certificates = https }), ErrInvalid, "certificates:"},
		{"a relative certificate", whole(func(c *PutListener) {
			c.Protocol, c.Certificates = ListenHTTPS, []CertificateFile{{Certificate: "chain.pem", Key: "/k"}}
		}), ErrInvalid, "certificates[0].certificateFile:"},
		{"a body limit of TCP", whole(func(c *PutListener) { c.Protocol, c.BodyLimit = ListenTCP, 1 }), ErrInvalid,
			"bodyLimitBytes:"},
		{"no default action", whole(func(c *PutListener) { c.Default = nil }), ErrInvalid, "defaultAction: is missing"},
		{"an action of nothing", whole(func(c *PutListener) { c.Default = &Action{} }), ErrInvalid,
			"defaultAction: has 0 of"},
		{"a group that is not there", whole(func(c *PutListener) { c.Default = forward("red", TotalWeight) }), ErrNotFound,
			`target group "red"`},
		{"a group of another protocol", whole(func(c *PutListener) { c.Protocol = ListenTCP }), ErrInvalid,
			"which a TCP listener cannot forward to"},
		{"a header of TCP", whole(func(c *PutListener) {
			c.Protocol, c.Default = ListenTCP, forward("plain", TotalWeight)
			c.Default.Forward.StickyHeader = "X"
		}), ErrInvalid, "defaultAction.forward.stickyHeader:"},
		{"a fixed answer to TCP", whole(func(c *PutListener) {
			c.Protocol, c.Default = ListenTCP, &Action{Fixed: &FixedResponse{Status: 503}}
		}), ErrInvalid, "can only forward"},
	} {
		t.Run(c.name, func(t *testing.T) {
			trafficOf(t, 1).refused(c.command, c.sentinel, c.text)
		})
	}
}

func TestAPortThatATaskHoldsIsNoListeners(t *testing.T) {
	w := trafficOf(t, 1)
	def := webDef()
	def.Containers[0].PortMappings = []PortMapping{{ContainerPort: 8080, HostPort: 8080, Protocol: TCP}}
	w.must(RegisterTaskDef{Family: "fixed", Def: def})
	w.must(RunTasks{TaskDef: "fixed:1", Tasks: []TaskID{"t1"}})
	w.must(AssignTasks{Host: hostID(1), Tasks: []TaskID{"t1"},
		Ports: [][]PortBinding{{{Container: "app", ContainerPort: 8080, HostPort: 8080, Protocol: TCP}}}})
	w.refused(PutListener{Name: "other", Port: 8080, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)},
		ErrPortTaken, "held by task t1 (fixed (standalone)) on h1")
}

func TestAListenersPortIsNoTasks(t *testing.T) {
	w := trafficOf(t, 1)
	def := webDef()
	def.Containers[0].PortMappings = []PortMapping{{ContainerPort: 8080, HostPort: 80, Protocol: TCP}}
	w.must(RegisterTaskDef{Family: "fixed", Def: def})
	w.must(RunTasks{TaskDef: "fixed:1", Tasks: []TaskID{"t1"}})
	w.refused(AssignTasks{Host: hostID(1), Tasks: []TaskID{"t1"},
		Ports: [][]PortBinding{{{Container: "app", ContainerPort: 8080, HostPort: 80, Protocol: TCP}}}}, ErrPortTaken,
		"port 80 is that of listener shop")
	if !w.PortTaken(hostID(1), TCP, 80) || w.PortTaken(hostID(1), UDP, 80) || w.PortTaken(hostID(1), TCP, 81) {
		t.Error("placement is told otherwise")
	}
}

func TestAListenerComesWithItsDefaultRuleAndGoesWithAllRules(t *testing.T) {
	w := trafficOf(t, 1)
	if r := w.Rule("shop/default"); r == nil || r.Listener != "shop" || r.Priority != 0 {
		t.Fatalf("default rule %+v", r)
	}
	w.must(PutRule{ID: "shop/api", Priority: 10, Conditions: host("api.example"), Action: *forward("green", TotalWeight)})
	w.must(PutListener{Name: "shop", ExpectedModifyIndex: w.Listener("shop").ModifyIndex, Port: 81, Protocol: ListenHTTP})
	if l := w.Listener("shop"); l.Port != 81 {
		t.Errorf("port %d", l.Port)
	}
	w.refused(PutListener{Name: "shop", ExpectedModifyIndex: w.Listener("shop").ModifyIndex, Port: 81,
		Protocol: ListenHTTP, Default: forward("green", TotalWeight)}, ErrInvalid, "change rule shop/default")
	w.refused(PutListener{Name: "shop", ExpectedModifyIndex: w.Listener("shop").ModifyIndex, Port: 81,
		Protocol: ListenTLS}, ErrInvalid, "rule shop/api")
	w.refused(DeleteRule{ID: "shop/default"}, ErrConflict, "delete the listener")
	w.refused(DeleteListener{Name: "shop", ExpectedModifyIndex: 1}, ErrMoved, "read it again")
	w.refused(DeleteListener{Name: "none"}, ErrNotFound, `"none"`)
	w.must(DeleteListener{Name: "shop"})
	if n := len(slices.Collect(w.Rules())); n != 0 || w.Listener("shop") != nil {
		t.Errorf("%d rules are left", n)
	}
	if e := w.lastEvent(); e.Code != "listener-deleted" || e.Subject.String() != "listener:shop" {
		t.Errorf("event %+v", e)
	}
	w.checked()
}

func TestPutRuleRefuses(t *testing.T) {
	whole := func(change func(*PutRule)) PutRule {
		c := PutRule{ID: "shop/new", Priority: 20, Conditions: host("a.example"), Action: *forward("blue", TotalWeight)}
		change(&c)
		return c
	}
	condition := func(c RuleCondition) PutRule {
		return whole(func(r *PutRule) { r.Conditions = []RuleCondition{c} })
	}
	for _, c := range []struct {
		name     string
		command  PutRule
		sentinel error
		text     string
	}{
		{"an id that is none", whole(func(c *PutRule) { c.ID = "shop" }), ErrInvalid, "id:"},
		{"an id that is there", whole(func(c *PutRule) { c.ID = "shop/api" }), ErrExists, "shop/api"},
		{"a listener that is not there", whole(func(c *PutRule) { c.ID = "none/new" }), ErrNotFound, "listener none"},
		{"a rule of TCP", whole(func(c *PutRule) { c.ID = "wire/new" }), ErrInvalid, "default rule alone"},
		{"a priority that is taken", whole(func(c *PutRule) { c.Priority = 10 }), ErrConflict, "that of rule shop/api"},
		{"conditions of a rule that comes first", whole(func(c *PutRule) { c.Conditions = host("api.example") }),
			ErrConflict, "shop/new would never take a request: all that fits it fits rule shop/api"},
		{"conditions of a rule that comes later", whole(func(c *PutRule) {
			c.Priority, c.Conditions = 5, host("API.example")
		}), ErrConflict, "shop/api would never take a request: all that fits it fits rule shop/new"},
		{"narrower conditions behind those of another", whole(func(c *PutRule) {
			c.Conditions = append(host("api.example"), RuleCondition{Field: FieldPath, Values: []string{"/x"}})
		}), ErrConflict, "shop/new would never take a request"},
		{"no priority", whole(func(c *PutRule) { c.Priority = 0 }), ErrInvalid, "priority: is 0"},
		{"a priority of the default rule", PutRule{ID: "shop/default", ExpectedModifyIndex: 1, Priority: 1}, ErrMoved, ""},
		{"no conditions", whole(func(c *PutRule) { c.Conditions = nil }), ErrInvalid, "conditions: is 0"},
		{"an unknown field", condition(RuleCondition{Field: 99, Values: []string{"x"}}), ErrInvalid, "conditions[0].field:"},
		{"a header without a name", condition(RuleCondition{Field: FieldHeader, Values: []string{"x"}}), ErrInvalid,
			"conditions[0].name:"},
		{"a name of a path", condition(RuleCondition{Field: FieldPath, Name: "x", Values: []string{"/"}}), ErrInvalid,
			"conditions[0].name:"},
		{"no values", condition(RuleCondition{Field: FieldHost}), ErrInvalid, "conditions[0].values: is 0"},
		{"a path without a slash", condition(RuleCondition{Field: FieldPath, Values: []string{"x"}}), ErrInvalid,
			"conditions[0].values[0]:"},
		{"a method in small letters", condition(RuleCondition{Field: FieldMethod, Values: []string{"get"}}), ErrInvalid,
			"conditions[0].values[0]:"},
		{"a source with bits beyond its prefix", condition(RuleCondition{Field: FieldSource, Values: []string{"10.0.0.1/8"}}),
			ErrInvalid, "conditions[0].values[0]:"},
		{"too many values", whole(func(c *PutRule) {
			c.Conditions = append(host(slices.Repeat([]string{"a"}, 20)...), host(slices.Repeat([]string{"b"}, 20)...)...)
		}), ErrInvalid, "have 40 values together"},
		{"weights that sum to less", whole(func(c *PutRule) { c.Action = *forward("blue", 9_999) }), ErrInvalid,
			"action.forward.targetGroups: have weights that sum to 9999"},
		{"a group twice", whole(func(c *PutRule) { c.Action = *forward("blue", 5_000, "blue") }), ErrInvalid, "named twice"},
		{"more groups than a forward has", whole(func(c *PutRule) {
			c.Action.Forward = &Forward{Groups: make([]GroupWeight, 6)}
		}), ErrInvalid, "action.forward.targetGroups: is 6"},
		{"a cookie and a header", whole(func(c *PutRule) {
			c.Action.Forward = &Forward{Groups: []GroupWeight{{"blue", TotalWeight}}, StickyS: 60, StickyHeader: "X-User"}
		}), ErrInvalid, "action.forward.stickyHeader: clients are kept by a header or by a cookie"},
		{"a header that is none", whole(func(c *PutRule) {
			c.Action.Forward = &Forward{Groups: []GroupWeight{{"blue", TotalWeight}}, StickyHeader: "X User"}
		}), ErrInvalid, "action.forward.stickyHeader:"},
		{"a cookie that is kept for too long", whole(func(c *PutRule) {
			c.Action.Forward = &Forward{Groups: []GroupWeight{{"blue", TotalWeight}}, StickyS: 604_801}
		}), ErrInvalid, "action.forward.stickySeconds:"},
		{"two actions", whole(func(c *PutRule) { c.Action.Fixed = &FixedResponse{Status: 200} }), ErrInvalid, "has 2 of"},
		{"a redirect to the same", whole(func(c *PutRule) { c.Action = Action{Redirect: &Redirect{Status: 301}} }),
			ErrInvalid, "action.redirect:"},
		{"a redirect that is none", whole(func(c *PutRule) { c.Action = Action{Redirect: &Redirect{Status: 200, Port: 1}} }),
			ErrInvalid, "action.redirect.statusCode:"},
		{"a fixed answer that is none", whole(func(c *PutRule) { c.Action = Action{Fixed: &FixedResponse{Status: 100}} }),
			ErrInvalid, "action.fixedResponse.statusCode:"},
		{"a body of a status that has none", whole(func(c *PutRule) {
			c.Action = Action{Fixed: &FixedResponse{Status: 204, Body: "x"}}
		}), ErrInvalid, "action.fixedResponse.statusCode: is 204"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 1)
			w.must(PutTargetGroup{Name: "plain", Protocol: GroupTCP,
				Check: TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}})
			w.must(PutListener{Name: "wire", Port: 5432, Protocol: ListenTCP, Default: forward("plain", TotalWeight)})
			w.must(PutRule{ID: "shop/api", Priority: 10, Conditions: host("api.example"),
				Action: *forward("green", TotalWeight)})
			w.refused(c.command, c.sentinel, c.text)
		})
	}
}

func TestRulesThatEachTakeSomethingMayHaveConditionsInCommon(t *testing.T) {
	w := trafficOf(t, 1)
	put := func(name string, priority int, conditions ...RuleCondition) PutRule {
		return PutRule{ID: MakeRuleID("shop", name), Priority: priority, Conditions: conditions,
			Action: *forward("blue", TotalWeight)}
	}
	api := host("api.example", "www.example")[0]
	header := RuleCondition{Field: FieldHeader, Name: "X-Test", Values: []string{"*"}}
	w.must(put("api", 10, api))
	w.must(put("narrower-first", 5, api, header))
	w.must(put("another-header", 6, api, RuleCondition{Field: FieldHeader, Name: "X-Other", Values: []string{"*"}}))
	w.must(put("wider-last", 20, host("api.example", "other.example")...))
	w.must(put("header-alone", 30, header))
	r := w.State.Rule("shop/narrower-first")
	again := put("narrower-first", 40, api, header)
	again.ExpectedModifyIndex = r.ModifyIndex
	w.refused(again, ErrConflict, "shop/narrower-first would never take a request")
}

func TestALimitOfTrafficIsKept(t *testing.T) {
	w := trafficOf(t, 1)
	for i := range MaxListenerRules {
		w.must(PutRule{ID: MakeRuleID("shop", fmt.Sprint("r", i)), Priority: i + 1, Conditions: host(fmt.Sprint("a", i)),
			Action: *forward("blue", TotalWeight)})
	}
	w.refused(PutRule{ID: "shop/more", Priority: MaxPriority, Conditions: host("a"),
		Action: *forward("blue", TotalWeight)}, ErrLimit, "its listener has 101 rules")
	for i := range MaxListeners - 1 {
		w.must(PutListener{Name: ListenerName(fmt.Sprint("l", i)), Port: 1000 + i, Protocol: ListenHTTP,
			Default: forward("blue", TotalWeight)})
	}
	w.refused(PutListener{Name: "more", Port: 90, Protocol: ListenHTTP, Default: forward("blue", TotalWeight)}, ErrLimit,
		"the fleet has 100 listeners")
}

func TestSetWeightsShiftsTraffic(t *testing.T) {
	w := trafficOf(t, 1)
	at := w.Rule("shop/default").ModifyIndex
	shift := SetWeights{Rule: "shop/default", ExpectedModifyIndex: at,
		Weights: []GroupWeight{{"blue", 9_450}, {"green", 550}}}
	kept := w.Rule("shop/default").Action
	kept.Forward = &Forward{Groups: kept.Forward.Groups, StickyHeader: "X-User"}
	w.must(PutRule{ID: "shop/default", ExpectedModifyIndex: at, Action: kept})
	shift.ExpectedModifyIndex = w.Rule("shop/default").ModifyIndex
	w.must(shift)
	if e := w.lastEvent(); e.Code != "weights-set" || e.Message != "shop/default: blue 94.5 %, green 5.5 %" {
		t.Errorf("event %+v", e)
	}
	if f := w.Rule("shop/default").Action.Forward; !slices.Equal(f.Groups, shift.Weights) || f.StickyHeader != "X-User" {
		t.Errorf("forwards to %+v", f)
	}
	w.refused(shift, ErrMoved, "read it again")
	shift.ExpectedModifyIndex = w.Rule("shop/default").ModifyIndex
	w.noop(shift)
	shift.Weights = []GroupWeight{{"blue", 1}, {"green", 2}}
	w.refused(shift, ErrInvalid, "targetGroups: have weights that sum to 3")
	shift.Weights = []GroupWeight{{"red", TotalWeight}}
	w.refused(shift, ErrNotFound, `target group "red"`)
	w.refused(SetWeights{Rule: "shop/none"}, ErrNotFound, "shop/none")
	w.must(PutRule{ID: "shop/off", Priority: 1, Conditions: host("x"), Action: Action{Fixed: &FixedResponse{Status: 503}}})
	w.refused(SetWeights{Rule: "shop/off", ExpectedModifyIndex: w.Rule("shop/off").ModifyIndex}, ErrConflict,
		"does not forward")
}

func TestPutTargetGroupRefuses(t *testing.T) {
	whole := func(change func(*PutTargetGroup)) PutTargetGroup {
		c := group("new")
		change(&c)
		return c
	}
	for _, c := range []struct {
		name    string
		command PutTargetGroup
		text    string
	}{
		{"no protocol", whole(func(c *PutTargetGroup) { c.Protocol = 0 }), "protocolVersion:"},
		{"no interval", whole(func(c *PutTargetGroup) { c.Check.IntervalS, c.Check.TimeoutS = 0, 0 }),
			"healthCheck.intervalSeconds:"},
		{"a time-out above the interval", whole(func(c *PutTargetGroup) { c.Check.TimeoutS = 6 }),
			"healthCheck.timeoutSeconds:"},
		{"a path without a slash", whole(func(c *PutTargetGroup) { c.Check.Path = "x" }), "healthCheck.path:"},
		{"a matcher without a path", whole(func(c *PutTargetGroup) { c.Check.Path, c.Check.Matcher = "", "200" }),
			"healthCheck.matcher:"},
		{"a matcher that is none", whole(func(c *PutTargetGroup) { c.Check.Matcher = "200-" }), "healthCheck.matcher:"},
		{"a matcher of other codes", whole(func(c *PutTargetGroup) { c.Check.Matcher = "200,700" }), "healthCheck.matcher:"},
		{"a threshold of none", whole(func(c *PutTargetGroup) { c.Check.Healthy = 0 }), "healthCheck.healthyThresholdCount:"},
		{"a long delay", whole(func(c *PutTargetGroup) { c.DeregistrationDelayS = 3_601 }), "deregistrationDelaySeconds:"},
		{"a PROXY header before requests", whole(func(c *PutTargetGroup) { c.ProxyProtocol = true }),
			"proxyProtocol: is of connections"},
		{"a short slow start", whole(func(c *PutTargetGroup) { c.SlowStartS = 1 }), "slowStartSeconds:"},
		{"a cookie of TCP", whole(func(c *PutTargetGroup) {
			c.Protocol, c.Check.Path, c.StickyS = GroupTCP, "", 60
		}), "stickySeconds:"},
	} {
		t.Run(c.name, func(t *testing.T) { trafficOf(t, 1).refused(c.command, ErrInvalid, c.text) })
	}
	w := trafficOf(t, 1)
	blue := group("blue")
	blue.ExpectedModifyIndex, blue.Protocol, blue.Check.Path = w.TargetGroup("blue").ModifyIndex, GroupTCP, ""
	w.refused(blue, ErrConflict, "rule shop/default forwards to it")
	w.must(balanced(1))
	blue.Protocol = GroupHTTP2
	w.refused(blue, ErrConflict, "other group of service web")
}

func TestWhatIsUsedIsNotDeleted(t *testing.T) {
	w := trafficOf(t, 1)
	ids := w.serves(1)
	w.refused(DeleteTargetGroup{Name: "green"}, ErrConflict, "service web names it")
	w.refused(DeleteTargetGroup{Name: "none"}, ErrNotFound, `"none"`)
	w.refused(DeleteListener{Name: "shop"}, ErrConflict, "service web names its rule shop/default")
	w.refused(PutRule{ID: "shop/default", ExpectedModifyIndex: w.Rule("shop/default").ModifyIndex,
		Action: Action{Fixed: &FixedResponse{Status: 503}}}, ErrInvalid, "service web names the rule")
	unbound := balanced(1)
	unbound.ExpectedModifyIndex, unbound.LoadBalancers = w.Service("web").ModifyIndex, nil
	w.must(unbound)
	if got := w.Service("web").Revision; got != "web/2" {
		t.Errorf("revision %s: what binds a service is of its revision", got)
	}
	w.must(DeleteTargetGroup{Name: "green"})
	w.refused(DeleteTargetGroup{Name: "blue"}, ErrConflict, "rule shop/default forwards to it")
	w.must(DeleteListener{Name: "shop"})
	w.refused(DeleteTargetGroup{Name: "blue"}, ErrConflict, "task web-1 of web/1 is in it until it has stopped")
	w.must(StopTasks{Tasks: ids, Cause: CauseOperator, Reason: "x"})
	w.report(1, stopped(ids[0], 0))
	w.must(DeleteTargetGroup{Name: "blue"})
	w.must(PutGoals{Service: "web", ServiceModifyIndex: w.Service("web").ModifyIndex, Max: 2,
		Revisions: []RevisionGoal{{Revision: "web/1", Desired: 1, Max: 1}}})
	w.refused(CreateTasks{Revision: "web/1", Tasks: []TaskID{"web-9"}}, ErrConflict, "target group blue was deleted")
	w.checked()
}

func TestPutServiceRefusesToBeBound(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*LoadBalancer)
		sentinel error
		text     string
	}{
		{"a container that is not there", func(l *LoadBalancer) { l.Container = "x" }, ErrInvalid,
			"loadBalancers[0].containerName:"},
		{"a port that is not mapped", func(l *LoadBalancer) { l.ContainerPort = 1 }, ErrInvalid,
			"loadBalancers[0].containerPort:"},
		{"a group that is not there", func(l *LoadBalancer) { l.Group = "red" }, ErrNotFound, `target group "red"`},
		{"one group twice", func(l *LoadBalancer) { l.AlternateGroup = "blue" }, ErrInvalid, "named twice"},
		{"a rule that is not there", func(l *LoadBalancer) { l.ProductionRule = "shop/none" }, ErrNotFound, "shop/none"},
		{"one rule twice", func(l *LoadBalancer) { l.TestRule = "shop/default" }, ErrInvalid, "named twice"},
		{"a rule that does not forward", func(l *LoadBalancer) { l.TestRule = "shop/off" }, ErrInvalid, "does not forward"},
		{"another's group", func(l *LoadBalancer) { l.Group = "taken" }, ErrConflict, "is that of service other"},
		{"another's rule", func(l *LoadBalancer) { l.TestRule = "shop/taken" }, ErrConflict, "is that of service other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 1)
			w.must(group("taken"))
			w.must(PutRule{ID: "shop/off", Priority: 1, Conditions: host("x"),
				Action: Action{Fixed: &FixedResponse{Status: 503}}})
			w.must(PutRule{ID: "shop/taken", Priority: 2, Conditions: host("y"), Action: *forward("taken", TotalWeight)})
			other := balanced(1)
			other.Name, other.LoadBalancers = "other", []LoadBalancer{{Container: "app", ContainerPort: 8080, Group: "taken",
				ProductionRule: "shop/taken"}}
			w.must(other)
			web := balanced(1)
			c.change(&web.LoadBalancers[0])
			w.refused(web, c.sentinel, c.text)
		})
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world, TaskID)
		want   string // of task web-1; empty: it is none
	}{
		{"a task that runs is one of its host's address and the port given out", func(*world, TaskID) {},
			"10.0.0.1:49153 healthy"},
		{"its host says that it is not well", func(w *world, id TaskID) { w.report(1, target(id, TargetUnhealthy)) },
			"10.0.0.1:49153 unhealthy"},
		{"a report that says nothing of it changes nothing", func(w *world, id TaskID) {
			r := running(id)
			r.Health = HealthHealthy
			w.report(1, r)
		}, "10.0.0.1:49153 healthy"},
		{"it was started again, and not checked since", func(w *world, id TaskID) {
			r := running(id)
			r.Attempt = 2
			w.report(1, r)
		}, "10.0.0.1:49153 initial"},
		{"it is to stop", func(w *world, id TaskID) {
			w.must(StopTasks{Tasks: []TaskID{id}, Cause: CauseOperator, Reason: "bye"})
		}, "10.0.0.1:49153 draining bye"},
		{"it has stopped", func(w *world, id TaskID) { w.report(1, stopped(id, 1)) }, ""},
		{"its host is silent", func(w *world, _ TaskID) { w.must(SilenceHost{Host: hostID(1), Session: 1}) },
			"10.0.0.1:49153 unhealthy host h1 is silent"},
		{"its host is back", func(w *world, _ TaskID) {
			w.must(SilenceHost{Host: hostID(1), Session: 1})
			w.must(ReturnHost{Host: hostID(1), Session: 1})
		}, "10.0.0.1:49153 healthy"},
		{"its host is lost", func(w *world, _ TaskID) {
			w.must(SilenceHost{Host: hostID(1), Session: 1})
			w.at += Time(DefaultSettings().LostAfterMs)
			w.must(LoseHost{Host: hostID(1), Session: 1})
		}, ""},
		{"its agent was started anew", func(w *world, _ TaskID) {
			s := session(1, 2)
			s.Format = formatOfRoutes
			w.must(s)
		}, "10.0.0.1:49153 healthy"},
		{"its machine was restarted", func(w *world, _ TaskID) {
			s := session(1, 2)
			s.Format, s.Boot = formatOfRoutes, "another"
			w.must(s)
		}, ""},
		{"its host has another address", func(w *world, _ TaskID) {
			s := session(1, 2)
			s.Format, s.Addr = formatOfRoutes, addr(9)
			w.must(s)
		}, "10.0.0.9:49153 healthy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 2)
			ids := w.serves(2)
			before := w.routesSent(1)
			c.change(w, ids[0])
			got := ""
			for _, v := range w.Targets("blue") {
				if v.Task == ids[0] {
					got = strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Addr, v.State, v.Reason))
				}
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			w.sameRoutes(before, 2)
			w.checked()
		})
	}
}

// sentRoutes is what a host has of routes, and up to which mark.
type sentRoutes struct {
	routes Routes
	mark   uint64
}

func (w *world) routesSent(n int) sentRoutes {
	h := w.Host(hostID(n))
	return sentRoutes{Routes{}.With(w.Wanted(h.ID).Routes), w.WantedMarks(h)[WantedRouting]}
}

// sameRoutes proves that what a host is sent since it had something makes the same as
// all of it.
func (w *world) sameRoutes(was sentRoutes, n int) {
	w.t.Helper()
	now := w.routesSent(n)
	got := was.routes
	if now.mark != was.mark {
		got = got.With(w.wantedRoutesSince(was.mark))
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", now.routes) {
		w.t.Errorf("with what changed a host has\n%+v, want\n%+v", got, now.routes)
	}
}

func TestHostsAreSentWhatChangedOfRoutes(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*world, TaskID)
		want   string
	}{
		{"nothing", func(*world, TaskID) {}, "rules false, groups [], keep []"},
		{"the health of a target", func(w *world, id TaskID) { w.report(1, target(id, TargetUnhealthy)) },
			"rules false, groups [blue], keep []"},
		{"weights", func(w *world, _ TaskID) {
			w.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: w.Rule("shop/default").ModifyIndex,
				Weights: []GroupWeight{{"blue", 5_000}, {"green", 5_000}}})
		}, "rules true, groups [], keep []"},
		{"a group's row", func(w *world, _ TaskID) {
			c := group("green")
			c.ExpectedModifyIndex, c.DeregistrationDelayS = w.TargetGroup("green").ModifyIndex, 5
			w.must(c)
		}, "rules false, groups [green], keep []"},
		{"a group less and one more", func(w *world, _ TaskID) {
			w.must(DeleteTargetGroup{Name: "spare"})
			w.must(group("red"))
		}, "rules false, groups [red], keep [blue green red]"},
		{"nothing of a task that is in no group", func(w *world, _ TaskID) {
			w.must(RunTasks{TaskDef: "web:1", Tasks: []TaskID{"alone"}})
			w.must(AssignTasks{Host: hostID(1), Tasks: []TaskID{"alone"}, Ports: [][]PortBinding{{
				{Container: "app", ContainerPort: 8080, HostPort: 49155, Protocol: TCP}}}})
			w.report(1, running("alone"))
		}, "rules false, groups [], keep []"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 2)
			w.must(group("spare"))
			ids := w.serves(2)
			before := w.routesSent(2)
			c.change(w, ids[0])
			since := w.wantedRoutesSince(before.mark)
			var groups []TargetGroupName
			for _, g := range since.Groups {
				groups = append(groups, g.TargetGroup.Name)
			}
			if got := fmt.Sprintf("rules %v, groups %v, keep %v", since.Rules != nil, groups, since.Keep); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
			w.sameRoutes(before, 2)
		})
	}
}

func TestRoutesAreInOrder(t *testing.T) {
	w := trafficOf(t, 1)
	for i, name := range []string{"z", "a", "m"} {
		w.must(PutRule{ID: MakeRuleID("shop", name), Priority: 30 - i, Conditions: host(name),
			Action: *forward("blue", TotalWeight)})
	}
	var ids []RuleID
	for _, r := range w.Routes().Rules {
		ids = append(ids, r.ID)
	}
	if want := []RuleID{"shop/m", "shop/a", "shop/z", "shop/default"}; !slices.Equal(ids, want) {
		t.Errorf("rules %v, want %v", ids, want)
	}
}

func TestAHostThatDoesNotReadRoutesIsSentNone(t *testing.T) {
	w := trafficOf(t, 1)
	old := *w.Host(hostID(1))
	old.Format = 1
	w.hosts.Set(old.ID, &old)
	if got := w.Wanted(old.ID); got.Routes != nil {
		t.Errorf("it is sent %+v", got.Routes)
	}
	if mark := w.WantedMarks(&old)[WantedRouting]; mark != 0 {
		t.Errorf("mark %d would wake its stream", mark)
	}
	one := fleetOf(t, 1)
	if got := one.Wanted(hostID(1)); got.Routes != nil {
		t.Errorf("a fleet of format 1 sends %+v", got.Routes)
	}
}

// Source: ECS API, DeploymentConfiguration.
func TestATaskWithALoadBalancerIsHealthyAsATarget(t *testing.T) {
	for _, c := range []struct {
		name    string
		checked bool // the definition has a health check
		health  Health
		target  TargetState
		serving int
		failing int
	}{
		{"healthy as a target", false, HealthUnknown, TargetHealthy, 1, 0},
		{"not checked as a target yet, however long it runs", false, HealthUnknown, TargetInitial, 0, 0},
		{"unhealthy as a target", false, HealthUnknown, TargetUnhealthy, 0, 1},
		{"healthy as both", true, HealthHealthy, TargetHealthy, 1, 0},
		{"healthy as a target alone", true, HealthUnknown, TargetHealthy, 0, 0},
		{"healthy as containers alone", true, HealthHealthy, TargetUnhealthy, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := trafficOf(t, 1)
			if c.checked {
				def := *w.TaskDef("web:1")
				def.Containers = slices.Clone(def.Containers)
				def.Containers[0].HealthCheck = &HealthCheck{Command: []string{"x"}, IntervalS: 5, TimeoutS: 2, Retries: 1}
				w.defs.Set(itemOfDef(&def))
			}
			ids := w.serves(1)
			r := target(ids[0], c.target)
			r.Health = c.health
			w.report(1, r)
			w.at = w.at.Add(2 * HealthySettle)
			w.must(PutSetting{Name: SettingVoters, Value: 5})
			if n := w.counts("web"); n.Serving != c.serving || n.Failing != c.failing {
				t.Errorf("%d serving, %d failing, want %d and %d", n.Serving, n.Failing, c.serving, c.failing)
			}
			if got := w.Healthy(w.task(ids[0]), w.Now()); got != (c.serving == 1) {
				t.Errorf("healthy: %v", got)
			}
			w.checked()
		})
	}
}

func TestATargetIsReportedAsItMay(t *testing.T) {
	w := trafficOf(t, 1)
	ids := w.serves(1)
	bad := target(ids[0], TargetDraining)
	err := w.report(1, bad).Err
	if err == nil || !strings.Contains(err.Error(), "tasks[0].targets[0].state: is draining") {
		t.Errorf("%v", err)
	}
	other := running(ids[0])
	other.Targets = []TargetReport{{Group: "green", State: TargetUnhealthy}}
	w.report(1, other)
	if got := w.task(ids[0]).Targets; len(got) != 1 || got[0].State != TargetHealthy {
		t.Errorf("a group that the task is not in counts: %+v", got)
	}
	since := w.task(ids[0]).Targets[0].Since
	w.at += 1000
	again := target(ids[0], TargetHealthy)
	again.Health = HealthHealthy
	w.report(1, again)
	if got := w.task(ids[0]).Targets[0].Since; got != since {
		t.Errorf("since %s, was %s", got, since)
	}
}

func TestTrafficNeedsItsFormat(t *testing.T) {
	w := fleetOf(t, 1)
	w.refused(group("blue"), ErrFormatAhead, "put-target-group needs format 2")
	w.service("web", 1)
	web := balanced(1)
	web.ExpectedModifyIndex = w.Service("web").ModifyIndex
	w.refused(web, ErrFormatAhead, "put-service needs format 2")
}
