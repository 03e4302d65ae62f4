package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"skein/raftfsm/fleet"
)

const (
	webGroup    = `{"name": "web", "protocolVersion": "HTTP1", "healthCheck": {"path": "/health"}}`
	webListener = `{"name": "web", "port": 80, "protocol": "HTTP",
		"defaultAction": {"forward": {"targetGroups": [{"targetGroup": "web", "weight": 10000}]}}}`
	webRule = `{"name": "web", "priority": 10, "conditions": [{"field": "path-pattern", "values": ["/shop/*"]}],
		"action": {"fixedResponse": {"statusCode": 503, "messageBody": "closed"}}}`
)

// trafficOf makes a target group, a listener and a rule, all of the name web.
func trafficOf(t *testing.T, root http.Handler) {
	t.Helper()
	want(t, 201, root, "POST", "/v1/target-groups", webGroup)
	want(t, 201, root, "POST", "/v1/listeners", webListener)
	want(t, 201, root, "POST", "/v1/listeners/web/rules", webRule)
}

func TestTrafficIsReadAsItWasWritten(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	trafficOf(t, root)
	got := want(t, 200, root, "GET", "/v1/listeners/web", "")
	if at(t, got, "port") != 80.0 || at(t, got, "protocol") != "HTTP" || at(t, got, "rules", 0, "id") != "web/web" ||
		at(t, got, "rules", 0, "action", "fixedResponse", "messageBody") != "closed" ||
		at(t, got, "rules", 0, "conditions", 0, "values", 0) != "/shop/*" || at(t, got, "rules", 1, "id") != "web/default" ||
		at(t, got, "rules", 1, "action", "forward", "targetGroups", 0, "weight") != 10000.0 {
		t.Errorf("the listener is %v", got)
	}
	got = want(t, 200, root, "GET", "/v1/target-groups/web", "")
	if at(t, got, "healthCheck", "path") != "/health" || at(t, got, "healthCheck", "intervalSeconds") != 5.0 ||
		at(t, got, "deregistrationDelaySeconds") != 30.0 || at(t, got, "rules", 0) != "web/default" {
		t.Errorf("the target group is %v", got)
	}
}

func TestAChangeOfTrafficKeepsWhatItDoesNotName(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	trafficOf(t, root)
	want(t, 201, root, "POST", "/v1/target-groups", strings.ReplaceAll(webGroup, `"web"`, `"green"`))

	got := want(t, 200, root, "PATCH", "/v1/listeners/web", `{"idleTimeoutSeconds": 7}`)
	if at(t, got, "listener", "port") != 80.0 || at(t, got, "listener", "idleTimeoutSeconds") != 7.0 {
		t.Errorf("listener: %v", got)
	}
	want(t, 400, root, "PATCH", "/v1/listeners/web", `{"trustedProxies": ["10.0.0.0/8"]}`)
	want(t, 400, root, "PATCH", "/v1/listeners/web", `{"proxyProtocol": true, "trustedProxies": ["ten"]}`)
	want(t, 200, root, "PATCH", "/v1/listeners/web",
		`{"proxyProtocol": true, "trustedProxies": ["10.1.2.3/8", "192.0.2.1"]}`)
	got = want(t, 200, root, "PATCH", "/v1/listeners/web", `{"idleTimeoutSeconds": 7}`)
	if at(t, got, "listener", "trustedProxies", 0) != "10.0.0.0/8" ||
		at(t, got, "listener", "trustedProxies", 1) != "192.0.2.1/32" {
		t.Errorf("listener: %v", got)
	}
	got = want(t, 200, root, "PATCH", "/v1/listeners/web/rules/web", `{"priority": 20}`)
	if at(t, got, "rule", "priority") != 20.0 || at(t, got, "rule", "action", "fixedResponse", "statusCode") != 503.0 {
		t.Errorf("rule: %v", got)
	}
	got = want(t, 200, root, "PATCH", "/v1/target-groups/web", `{"healthCheck": {"intervalSeconds": 9}}`)
	if at(t, got, "targetGroup", "healthCheck", "path") != "/health" ||
		at(t, got, "targetGroup", "healthCheck", "intervalSeconds") != 9.0 {
		t.Errorf("target group: %v", got)
	}
	got = want(t, 200, root, "POST", "/v1/listeners/web/rules/default/weights",
		`{"targetGroups": [{"targetGroup": "web", "weight": 9500}, {"targetGroup": "green", "weight": 500}]}`)
	if at(t, got, "rule", "action", "forward", "targetGroups", 1, "weight") != 500.0 {
		t.Errorf("weights: %v", got)
	}
	got = want(t, 200, root, "PATCH", "/v1/listeners/web/rules/default", `{"action": {"forward":
		{"targetGroups": [{"targetGroup": "web", "weight": 10000}], "stickyHeader": "X-User"}}}`)
	if at(t, got, "rule", "action", "forward", "stickyHeader") != "X-User" {
		t.Errorf("rule: %v", got)
	}
	want(t, 200, root, "PATCH", "/v1/listeners/web/rules/default", `{"action": {"forward":
		{"targetGroups": [{"targetGroup": "web", "weight": 9500}, {"targetGroup": "green", "weight": 500}]}}}`)
	want(t, 409, root, "DELETE", "/v1/target-groups/green", "")
	want(t, 200, root, "DELETE", "/v1/listeners/web/rules/web", "")
	want(t, 200, root, "DELETE", "/v1/listeners/web", "")
	want(t, 200, root, "DELETE", "/v1/target-groups/green", "")
	want(t, 404, root, "GET", "/v1/listeners/web", "")
}

// Nothing is refused: people may well send traffic away from what is broken.
func TestSharesForAGroupWithoutHealthyTargetsAreWarnedOf(t *testing.T) {
	const shares = "/v1/listeners/web-80/rules/default/weights"
	to := func(blue, green int) string {
		return fmt.Sprintf(`{"targetGroups": [{"targetGroup": "web-blue", "weight": %d},
			{"targetGroup": "web-green", "weight": %d}]}`, blue, green)
	}
	const all = "all traffic goes to web-green, without a healthy target, while web-blue has 2"
	tests := map[string]struct {
		method, path, body string
		healthy            bool
		want               string // empty: no warning
	}{
		"all to a group without targets": {"POST", shares, to(0, 10000), true, all},
		"some to it":                     {"POST", shares, to(9000, 1000), true, ""},
		"all to the group that has some": {"POST", shares, to(10000, 0), true, ""},
		"where no group has any":         {"POST", shares, to(0, 10000), false, ""},
		"all to it, by a change of the rule": {
			"PATCH",
			"/v1/listeners/web-80/rules/default",
			action(to(0, 10000)),
			true,
			all,
		},
		"all to it alone, as the rule's forward": {
			"POST",
			shares,
			`{"targetGroups": [{"targetGroup": "web-green", "weight": 10000}]}`,
			true,
			all,
		},
		"no forward any more": {"PATCH", "/v1/listeners/web-80/rules/web-test",
			`{"priority": 7}`, true, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			x := newTestAPI(t, nil)
			fleetOf(t, x.voter, 2)
			root := x.Handler(TrustRoot)
			want(t, 201, root, "POST", "/v1/taskdefs", webDef)
			want(t, 201, root, "POST", "/v1/services",
				`{"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "expose": {"listen": 80}}`)
			x.voter.must(t, fleet.FinishDeployment{ID: "web.1", Status: fleet.DeploymentStopped, Reason: "test",
				ExpectedModifyIndex: x.voter.State().LastDeployment("web").ModifyIndex})
			running(t, x.voter, "web", 2, 2)
			if tt.healthy {
				targetsHealthy(t, x.voter, "web")
			}
			got := want(t, 200, root, tt.method, tt.path, tt.body)
			list, _ := got["warnings"].([]any)
			if said := fmt.Sprint(list); tt.want == "" && len(list) > 0 || !strings.Contains(said, tt.want) {
				t.Errorf("warnings %s, want %q", said, tt.want)
			}
		})
	}
}

func action(forward string) string { return `{"action": {"forward": ` + forward + `}}` }

// targetsHealthy has hosts report that each task of a service is a healthy target.
func targetsHealthy(t *testing.T, v *fakeVoter, service string) {
	t.Helper()
	st := v.State()
	for task := range st.LiveTasksOfService(service) {
		report := fleet.TaskReport{Task: task.ID, Status: fleet.TaskRunning, Health: fleet.HealthHealthy, Attempt: 1}
		for _, target := range task.Targets {
			report.Targets = append(report.Targets, fleet.TargetReport{Group: target.Group, State: fleet.TargetHealthy})
		}
		h := v.State().Host(task.Host)
		v.must(t, fleet.Report{Host: h.ID, Session: h.Session.N, Seq: h.ReportSeq + 1, Tasks: []fleet.TaskReport{report}})
	}
}

func TestRefusedTrafficSaysWhatAndWhy(t *testing.T) {
	tests := map[string]struct {
		method, target, body string
		status               int
		want                 string
	}{
		"a listener with the name of an option": {
			"POST",
			"/v1/listeners",
			strings.Replace(webListener, `"web"`, `"-w"`, 1),
			400,
			`name: "-w" begins like an option`,
		},
		"a service with the name of an option": {
			"POST",
			"/v1/services",
			`{"serviceName": "-a", "taskDefinition": "web"}`,
			400,
			`serviceName: "-a" begins like an option`,
		},
		"no document at all": {"POST", "/v1/services", `null`, 400, "the document is null, must be an object"},
		"weights that are not all of the traffic": {"POST", "/v1/listeners/web/rules/default/weights",
			`{"targetGroups": [{"targetGroup": "web", "weight": 9999}]}`, 400, "10000 is all of the traffic"},
		"a target group that is not there": {"POST", "/v1/listeners/web/rules/default/weights",
			`{"targetGroups": [{"targetGroup": "red", "weight": 10000}]}`, 404, "red"},
		"two listeners of one port": {"POST", "/v1/listeners", strings.Replace(webListener, `"web"`, `"two"`, 1), 409,
			"port 80 is that of listener web"},
		"two rules of one priority": {"POST", "/v1/listeners/web/rules", strings.Replace(webRule, `"web"`, `"two"`, 1), 409,
			"priority 10 is that of rule web/web"},
		"the default rule deleted": {"DELETE", "/v1/listeners/web/rules/default", "", 409, "delete the listener"},
		"a rule of no listener":    {"POST", "/v1/listeners/nope/rules", webRule, 404, `listener "nope"`},
		"another name than the address says": {"PATCH", "/v1/listeners/web", `{"name": "api"}`, 400,
			`"api" differs from the address`},
		"a listener without a port":      {"POST", "/v1/listeners", `{"name": "x", "protocol": "TCP"}`, 400, "port"},
		"a default action of an old one": {"PATCH", "/v1/listeners/web", `{"defaultAction": {}}`, 400, "default rule"},
		"a change of what moved":         {"PATCH", "/v1/listeners/web?expect=1", `{"port": 81}`, 409, "it is at"},
		"a condition on nothing":         {"PATCH", "/v1/listeners/web/rules/web", `{"conditions": [{}]}`, 400, "field"},
		"a condition on what is not there": {
			"PATCH",
			"/v1/listeners/web/rules/web",
			`{"conditions": [{"field": "moon", "values": ["*"]}]}`,
			400,
			"moon",
		},
		"a protocol that is not there": {"PATCH", "/v1/target-groups/web", `{"protocolVersion": "HTTP9"}`, 400, "HTTP9"},
		"an action that is none":       {"PATCH", "/v1/listeners/web/rules/web", `{"action": {}}`, 400, "exactly one"},
		"a check by the name that was given": {"PATCH", "/v1/target-groups/web", `{"healthCheck": {"intervalSeconds": 999}}`,
			400, "healthCheck.intervalSeconds: is 999"},
		"a limit by the name that was given": {"POST", "/v1/listeners", `{"name": "x", "protocol": "TCP", "port": 81,
			"bodyLimitBytes": 5, "defaultAction": {"forward": {"targetGroups": [{"targetGroup": "web", "weight": 10000}]}}}`,
			400, "bodyLimitBytes: is of requests"},
		"a group by the name that was given": {"PATCH", "/v1/listeners/web/rules/web",
			`{"action": {"forward": {"targetGroups": [{"targetGroup": "red", "weight": 10000}]}}}`, 404,
			`action.forward.targetGroups[0].targetGroup: target group "red"`},
		"a certificate by the name that was given": {"PATCH", "/v1/listeners/web", `{"protocol": "HTTPS",
			"certificates": [{"certificateFile": "x", "keyFile": "/k"}]}`, 400, "certificates[0].certificateFile"},
		"clients kept by a cookie and a header": {"PATCH", "/v1/listeners/web/rules/default", `{"action": {"forward":
			{"targetGroups": [{"targetGroup": "web", "weight": 10000}], "stickySeconds": 60, "stickyHeader": "X-User"}}}`, 400,
			"action.forward.stickyHeader: clients are kept by a header or by a cookie"},
		"the port of a host's agent": {"PATCH", "/v1/listeners/web", `{"port": 7700}`, 409, "7700"},
		"the agents' port of gossip": {"PATCH", "/v1/listeners/web", `{"port": 7701}`, 409,
			"port 7701 is one of the agents' own"},
		"the agents' port of their status": {"POST", "/v1/listeners",
			strings.NewReplacer(`"web"`, `"two"`, "80", "7702").Replace(webListener), 409,
			"port 7702 is one of the agents' own"},
		"the agents' port of DNS": {"PATCH", "/v1/listeners/web", `{"port": 53}`, 409, "they answer DNS there"},
		"a service at the agents' port": {"POST", "/v1/services", `{"serviceName": "two", "taskDefinition": "web",
			"desiredCount": 1, "expose": {"listen": 7702}}`, 409, "expose.listen: port 7702 is one of the agents' own"},
		"the port of a task's dynamic range": {"PATCH", "/v1/listeners/web", `{"port": 50000}`, 400, "dynamic"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			x := newTestAPI(t, nil)
			root := webFleet(t, x)
			trafficOf(t, root)
			before := x.voter.State().Routes()
			got := want(t, tt.status, root, tt.method, tt.target, tt.body)
			message, _ := at(t, got, "error", "message").(string)
			if !strings.Contains(message, tt.want) || strings.HasPrefix(message, ":") {
				t.Errorf("got %v, want %s", got, tt.want)
			}
			if after := x.voter.State().Routes(); len(after.Rules) != len(before.Rules) {
				t.Error("something was changed")
			}
		})
	}
}

func TestAServiceIsExposedByAPortAlone(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	want(
		t,
		201,
		root,
		"POST",
		"/v1/services",
		`{"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "expose": {"listen": 80, "healthCheckPath": "/h"}}`,
	)
	got := want(t, 200, root, "GET", "/v1/services/web", "")
	if at(t, got, "loadBalancers", 0, "targetGroupArn") != "web-blue" ||
		at(t, got, "loadBalancers", 0, "advancedConfiguration", "alternateTargetGroupArn") != "web-green" ||
		at(t, got, "loadBalancers", 0, "advancedConfiguration", "productionListenerRule") != "web-80/default" ||
		at(t, got, "loadBalancers", 0, "advancedConfiguration", "testListenerRule") != "web-80/web-test" {
		t.Errorf("the service is %v", got)
	}
	got = want(t, 200, root, "GET", "/v1/listeners/web-80", "")
	if at(t, got, "owner") != "web" || at(t, got, "rules", 0, "conditions", 0, "name") != "x-amzn-ecs-blue-green-test" ||
		at(t, got, "rules", 1, "service") != "web" {
		t.Errorf("the listener is %v", got)
	}
	if v := x.voter.State().Service("web"); v.LoadBalancers[0].ContainerPort != 8080 {
		t.Errorf("bound to %+v", v.LoadBalancers)
	}
	want(t, 200, root, "DELETE", "/v1/services/web", `{"force": true}`)
	if r := x.voter.State().Routes(); len(r.Listeners)+len(r.Rules)+len(r.Groups) != 0 {
		t.Errorf("the service is gone and left %+v", r)
	}
}

func TestServicesShareAListenerByHostAndPath(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", webDef)
	expose := func(name, how string, status int) map[string]any {
		t.Helper()
		return want(t, status, root, "POST", "/v1/services", `{"serviceName": "`+name+
			`", "taskDefinition": "web", "desiredCount": 1, "expose": {"listen": 80`+how+`}}`)
	}
	expose("shop", `, "host": "Shop.example"`, 201)
	expose("cart", `, "host": "shop.example", "path": "/cart"`, 201)
	expose("all", `, "path": "/"`, 201)
	again := expose("cart2", `, "host": "SHOP.example", "path": "/cart"`, 409)
	message, _ := at(t, again, "error", "message").(string)
	if !strings.Contains(message, "all that fits it fits rule shop-80/cart") {
		t.Errorf("of a service that no request would reach: %v", again)
	}
	if x.voter.State().Service("cart2") != nil {
		t.Error("a service that no request would reach was made")
	}
	got := expose("none", ``, 400)
	if at(t, got, "error", "field") != "expose.listen" {
		t.Errorf("a second default is refused by %v", got)
	}
	expose("raw", `, "protocol": "TCP"`, 400)
	if x.voter.State().Service("raw") != nil || x.voter.State().TargetGroup("raw-blue") != nil {
		t.Error("a refused service left something")
	}
	var order []string
	for _, r := range x.voter.State().Routes().Rules {
		order = append(order, string(r.ID))
	}
	if got, want := strings.Join(order, " "), "shop-80/cart-test shop-80/cart shop-80/shop-test shop-80/shop "+
		"shop-80/all-test shop-80/all shop-80/default"; got != want {
		t.Errorf("rules in the order %s, want %s", got, want)
	}
	want(t, 200, root, "DELETE", "/v1/services/shop", `{"force": true}`)
	l := x.voter.State().Listener("shop-80")
	if l == nil || l.Owner != "" || x.voter.State().Rule("shop-80/cart") == nil ||
		x.voter.State().Rule("shop-80/shop") != nil || x.voter.State().TargetGroup("shop-blue") != nil {
		t.Errorf("deleting shop left %+v", x.voter.State().Routes())
	}
	if broken := x.voter.State().Check(); broken != nil {
		t.Error(broken)
	}
}

// connected is a service's JSON as for ECS, with an alias.
const connected = `{"serviceName": "b", "taskDefinition": "b", "desiredCount": 1,
	"serviceConnectConfiguration": {"enabled": true, "namespace": "shop.internal", "services": [
		{"portName": "http", "discoveryName": "b", "clientAliases": [{"port": 8080, "dnsName": "B",
			"testTrafficRules": {"header": {"name": "x-try", "value": {"exact": "green"}}}}]}, {"portName": "raw"}]}}`

const connectedDef = `{"family": "b", "containerDefinitions": [{"name": "app", "image": "b:1", "memory": 64, "portMappings": [
	{"name": "http", "containerPort": 8080, "appProtocol": "http"}, {"name": "raw", "containerPort": 6379}]}]}`

func TestTasksReachAServiceByItsAliases(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	got := want(t, 201, root, "POST", "/v1/taskdefs", connectedDef)
	want(t, 201, root, "POST", "/v1/services", connected)
	got = want(t, 200, root, "GET", "/v1/services/b", "")
	is := func(path ...any) any {
		return at(t, got, append([]any{"serviceConnectConfiguration", "services"}, path...)...)
	}
	if is(0, "portName") != "http" || is(0, "clientAliases", 0, "dnsName") != "b" ||
		is(0, "clientAliases", 0, "testTrafficRules", "header", "value", "exact") != "green" ||
		is(1, "clientAliases", 0, "dnsName") != "raw.shop.internal" || is(1, "clientAliases", 0, "port") != float64(6379) {
		t.Errorf("the service is %v", got)
	}
	if _, shown := got["loadBalancers"]; shown {
		t.Errorf("what nobody wrote is shown: %v", got["loadBalancers"])
	}
	got = want(t, 200, root, "GET", "/v1/listeners/b-http", "")
	if at(t, got, "alias") != "b" || at(t, got, "owner") != "b" ||
		at(t, got, "rules", 0, "conditions", 0, "name") != "x-try" {
		t.Errorf("the listener is %v", got)
	}

	update := func(status int, body string) {
		t.Helper()
		want(t, status, root, "PATCH", "/v1/services/b", body)
	}
	update(200, `{"serviceConnectConfiguration": {"enabled": true, "services": [{"portName": "http",
		"clientAliases": [{"port": 8080, "dnsName": "b"}]}, {"portName": "raw", "clientAliases": [
		{"port": 6379, "dnsName": "raw.shop.internal"}]}]}}`)
	update(400, `{"serviceConnectConfiguration": {"enabled": true, "services": [{"portName": "http",
		"clientAliases": [{"port": 81, "dnsName": "b"}]}]}}`)
	update(200, `{"loadBalancers": []}`)
	if v := x.voter.State().Service("b"); len(v.LoadBalancers) != 2 || v.LastRevision != 1 {
		t.Errorf("updates that change no alias left %+v", v)
	}
	want(t, 200, root, "DELETE", "/v1/services/b", `{"force": true}`)
	if r := x.voter.State().Routes(); len(r.Listeners)+len(r.Rules)+len(r.Groups) != 0 {
		t.Errorf("the service is gone and left %+v", r)
	}
}

func TestAnAliasIsRefusedByName(t *testing.T) {
	x := newTestAPI(t, nil)
	fleetOf(t, x.voter, 3)
	root := x.Handler(TrustRoot)
	want(t, 201, root, "POST", "/v1/taskdefs", connectedDef)
	want(t, 201, root, "POST", "/v1/services", connected)
	for sentence, c := range map[string]struct{ services, says string }{
		"a port that has no such name": {`{"portName": "ftp"}`, "services[0].portName"},
		"a header of TCP": {`{"portName": "raw", "clientAliases": [{"port": 1,
			"testTrafficRules": {"header": {"name": "x"}}}]}`, "testTrafficRules"},
		"an alias that another service has": {`{"portName": "http", "clientAliases": [{"port": 8080, "dnsName": "b"}]}`,
			"alias b:8080 is that of service b"},
		"a name that services have": {`{"portName": "http", "clientAliases": [{"port": 1, "dnsName": "x.skein"}]}`, "alias"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, got, _ := do(t, root, "POST", "/v1/services", `{"serviceName": "other", "taskDefinition": "b",
				"desiredCount": 1, "serviceConnectConfiguration": {"enabled": true, "services": [`+c.services+`]}}`)
			if text := fmt.Sprint(got["error"]); !strings.Contains(text, c.says) || x.voter.State().Service("other") != nil {
				t.Errorf("refused by %s, want %s", text, c.says)
			}
		})
	}
}
