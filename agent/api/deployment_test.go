package api

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// shiftingFleet is a fleet whose service web has two target groups, and rules for
// production and test traffic.
func shiftingFleet(t *testing.T, x *testAPI) http.Handler {
	t.Helper()
	root := webFleet(t, x)
	want(t, 201, root, "POST", "/v1/services", `{"serviceName": "shop", "taskDefinition": "web", "desiredCount": 2,
		"expose": {"listen": 8080}, "deploymentConfiguration": {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0.5}}`)
	return root
}

func TestHowDeploymentsAreDoneIsReadAsItWasWritten(t *testing.T) {
	x := newTestAPI(t, nil)
	root := shiftingFleet(t, x)
	config := func(name string) any {
		return at(t, want(t, 200, root, "GET", "/v1/services/"+name, ""), "deploymentConfiguration")
	}
	web, shop := config("web"), config("shop")
	if at(t, web, "strategy") != "ROLLING" || at(t, web, "bakeTimeInMinutes") != 1.0 ||
		at(t, web, "deploymentCircuitBreaker", "threshold") != 3.0 || at(t, web, "progressDeadlineSeconds") != 600.0 {
		t.Errorf("web: %v", web)
	}
	if at(t, shop, "strategy") != "BLUE_GREEN" || at(t, shop, "bakeTimeInMinutes") != 0.5 ||
		at(t, shop, "analysis", "errorPercent") != 5.0 || at(t, shop, "analysis", "ratio") != 1.5 {
		t.Errorf("shop: %v", shop)
	}
	want(t, 201, root, "POST", "/v1/hook-targets", `{"target": "https://hooks.example"}`)
	want(t, 201, root, "POST", "/v1/hook-targets", `{"target": "task:web"}`)
	got := want(t, 200, root, "PATCH", "/v1/services/shop", `{"deploymentConfiguration": {"strategy": "CANARY",
		"probe": {"path": "/health"}, "lifecycleHooks": [
			{"hookTargetArn": "https://hooks.example/ok", "lifecycleStages": ["POST_SCALE_UP"]},
			{"hookTargetArn": "web", "lifecycleStages": ["BAKE_TIME"], "timeoutConfiguration": {"timeoutInMinutes": 5}}]}}`)
	shop = at(t, got, "service", "deploymentConfiguration")
	if at(t, shop, "canaryConfiguration", "canaryPercent") != 5.0 || at(t, shop, "bakeTimeInMinutes") != 0.5 ||
		at(t, shop, "probe", "count") != 10.0 || at(t, shop, "lifecycleHooks", 0, "targetType") != "WEBHOOK" ||
		at(t, shop, "lifecycleHooks", 1, "hookTargetArn") != "web:1" || got["deploymentId"] != nil {
		t.Errorf("shop: %v", got)
	}
	if at(t, got, "defaults", 0, "field") != "deploymentConfiguration.canaryConfiguration.canaryPercent" {
		t.Errorf("defaults of the new strategy: %v", got["defaults"])
	}
}

func TestADeploymentIsShownAndObeys(t *testing.T) {
	x := newTestAPI(t, nil)
	root := shiftingFleet(t, x)
	want(t, 200, root, "PATCH", "/v1/services/web", `{"desiredCount": 6}`)
	got := want(t, 200, root, "PATCH", "/v1/services/web", `{"forceNewDeployment": true}`)
	if got["deploymentId"] != "web.2" || at(t, got, "service", "liveDeployment", "deploymentId") != "web.2" {
		t.Fatalf("a new revision makes a deployment: %v", got)
	}
	got = want(t, 200, root, "GET", "/v1/deployments/web", "")
	if got["deploymentId"] != "web.2" || got["status"] != "PENDING" || got["strategy"] != "ROLLING" ||
		at(t, got, "targetServiceRevision", "revision") != "web/2" {
		t.Errorf("web.2 is %v", got)
	}
	list := want(t, 200, root, "GET", "/v1/deployments?service=web", "")
	if at(t, list, "deployments", 0, "deploymentId") != "web.2" || at(t, list, "deployments", 1, "status") != "STOPPED" {
		t.Errorf("the newest comes first: %v", list)
	}
	list = want(t, 200, root, "GET", "/v1/deployments?live=true", "")
	if ids := at(t, list, "deployments").([]any); len(ids) != 2 {
		t.Errorf("live are shop.1 and web.2: %v", ids)
	}
	first := want(t, 200, root, "GET", "/v1/deployments?limit=1", "")
	second := want(t, 200, root, "GET", "/v1/deployments?limit=1&next="+first["next"].(string), "")
	if at(t, first, "deployments", 0, "deploymentId") != "shop.1" ||
		at(t, second, "deployments", 0, "deploymentId") != "web.1" {
		t.Errorf("pages: %v, then %v", first, second)
	}
	got = want(t, 200, root, "POST", "/v1/deployments/web.2/orders", `{"order": "pause"}`)
	if at(t, got, "deployment", "pause") == nil {
		t.Errorf("not paused: %v", got)
	}
	want(t, 409, root, "POST", "/v1/deployments/web.2/orders", `{"order": "pause"}`)
	want(t, 200, root, "POST", "/v1/deployments/web/orders", `{"order": "continue"}`)
	got = want(t, 200, root, "POST", "/v1/deployments/web/orders", `{"order": "stop"}`)
	if at(t, got, "deployment", "status") != "STOPPED" {
		t.Errorf("not stopped: %v", got)
	}
	want(t, 404, root, "GET", "/v1/deployments/web.9", "")
}

func TestRefusedDeploymentsSayWhatAndWhy(t *testing.T) {
	const shop, web = "/v1/services/shop", "/v1/services/web"
	config := func(fields string) string { return `{"deploymentConfiguration": {` + fields + `}}` }
	tests := map[string]struct {
		method, target, body string
		status               int
		field, want          string
	}{
		"a hook target that is not allowed": {"PATCH", shop, config(`"lifecycleHooks": [{"hookTargetArn": "https://a.example/x",
			"lifecycleStages": ["POST_SCALE_UP"]}]`), 400, "deploymentConfiguration.lifecycleHooks[0].hookTargetArn",
			"skein hook-target allow https://a.example/x"},
		"a task of nobody": {"PATCH", shop, config(`"lifecycleHooks": [{"hookTargetArn": "nope",
			"lifecycleStages": ["POST_SCALE_UP"]}]`), 400, "deploymentConfiguration.lifecycleHooks[0].hookTargetArn",
			`"nope" does not exist`},
		"a stage that the strategy has not": {"PATCH", web, config(`"lifecycleHooks": [{"targetType": "PAUSE",
			"lifecycleStages": ["POST_TEST_TRAFFIC_SHIFT"]}]`), 400,
			"deploymentConfiguration.lifecycleHooks[0].lifecycleStages[0]", "ROLLING"},
		"a canary of another strategy": {"PATCH", shop, config(`"canaryConfiguration": {"canaryPercent": 5}`), 400,
			"deploymentConfiguration.canaryConfiguration", "BLUE_GREEN"},
		"a breaker of a strategy that shifts": {"PATCH", shop, config(`"deploymentCircuitBreaker": {"enable": true}`), 400,
			"deploymentConfiguration.deploymentCircuitBreaker", "ROLLING"},
		"an alarm that there is not": {"PATCH", shop, config(`"alarms": {"alarmNames": ["nope"]}`), 404, "", "nope"},
		"a probe without a test rule": {"PATCH", web, config(`"strategy": "BLUE_GREEN", "probe": {"path": "/"}`), 400,
			"deploymentConfiguration.probe", "testListenerRule"},
		"an alarm of a server that is not allowed": {"PUT", "/v1/alarms/a",
			`{"url": "http://p.example", "query": "up", "threshold": 1}`, 400, "url", "skein hook-target allow"},
		"an alarm without a query": {"PUT", "/v1/alarms/a", `{"url": "http://p.example", "threshold": 1}`, 400, "query",
			"missing"},
		"a target that is none": {"POST", "/v1/hook-targets", `{"target": "ftp://a"}`, 400, "target", "https://"},
		"an order that nobody knows": {"POST", "/v1/deployments/shop/orders", `{"order": "abort"}`, 400, "order",
			"allowed are pause, continue, promote, rollback, stop"},
		"a hook of another order": {"POST", "/v1/deployments/shop/orders", `{"order": "stop", "hookId": "x"}`, 400, "hookId",
			"of the order continue alone"},
		"an image of no container": {"POST", "/v1/taskdefs/web/revisions", `{"image": "web:2", "containerName": "x"}`, 400,
			"containerName", `"x" is no container of web:1`},
		"no image": {"POST", "/v1/taskdefs/web/revisions", `{}`, 400, "image", "missing"},
	}
	x := newTestAPI(t, nil)
	root := shiftingFleet(t, x)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := want(t, tt.status, root, tt.method, tt.target, tt.body)
			if field, _ := at(t, got, "error", "field").(string); field != tt.field {
				t.Errorf("field %q, want %q: %v", field, tt.field, got)
			}
			if message := at(t, got, "error", "message").(string); !strings.Contains(message, tt.want) {
				t.Errorf("%q does not say %q", message, tt.want)
			}
		})
	}
}

func TestADeploymentThatTheFleetCannotHoldIsRefusedByName(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	big := strings.Replace(strings.Replace(webDef, `"family": "web"`, `"family": "big"`, 1), `"memory": 64`, `"memory": 8000`, 1)
	want(t, 201, root, "POST", "/v1/taskdefs", big)
	got := want(t, 409, root, "PATCH", "/v1/services/web",
		`{"taskDefinition": "big", "desiredCount": 7, "deploymentConfiguration": {"strategy": "BLUE_GREEN"}}`)
	message := at(t, got, "error", "message").(string)
	if !strings.Contains(message, "1 of 7 tasks of big:1 find no host") ||
		!strings.Contains(message, "deploy with ROLLING") {
		t.Errorf("refused with %q", message)
	}
	plan := want(t, 200, root, "GET", planOf(`{"taskDefinition": "big", "deploymentConfiguration": {"strategy": "BLUE_GREEN"}}`), "")
	if plan["missing"] != nil || at(t, plan, "now", "tasks") != 6.0 || at(t, plan, "most", "tasks") != 12.0 ||
		at(t, plan, "most", "memory") != 6.0*64+6*8000 || len(plan["hosts"].([]any)) != 6 ||
		len(plan["stages"].([]any)) != 11 {
		t.Errorf("six of them fit: %v", plan)
	}
	linear := want(t, 200, root, "GET", planOf(`{"deploymentConfiguration": {"strategy": "LINEAR"}}`), "")
	if stages := linear["stages"].([]any); len(stages) != 6+2*10+3 || at(t, stages[7], "productionPercent") != 10.0 ||
		at(t, stages[7], "expectedSeconds") != 361.0 {
		t.Errorf("ten steps of ten percent: %v", linear)
	}
	canary := want(t, 200, root, "GET", planOf(`{"desiredCount": 2, "deploymentConfiguration": {"strategy": "CANARY",
		"bakeTimeInMinutes": 0.05, "canaryConfiguration": {"canaryPercent": 20, "canaryBakeTimeInMinutes": 0.1}}}`), "")
	stages := canary["stages"].([]any)
	if at(t, stages[7], "productionPercent") != 20.0 || at(t, stages[7], "expectedSeconds") != 7.0 ||
		at(t, stages[11], "expectedSeconds") != 3.0 || at(t, canary, "new", "tasks") != 2.0 {
		t.Errorf("a fifth, as it is asked for: %v", canary)
	}
	got = want(t, 400, root, "GET", planOf(`{"deploymentConfiguration": {"bakeTimeInMinutes": 0.02}}`), "")
	if message := at(t, got, "error", "message").(string); !strings.Contains(message, "1.2 seconds") {
		t.Errorf("a bad field: %q", message)
	}
	want(t, 400, root, "GET", planOf(`[]`), "")
}

// Placement itself is asked, so that what keeps tasks from a host is what does later.
func TestAPlanNamesHostsAsPlacementHasThem(t *testing.T) {
	x := newTestAPI(t, nil)
	root := webFleet(t, x)
	fixed := strings.Replace(strings.Replace(webDef, `"family": "web"`, `"family": "fixed"`, 1), `"containerPort": 8080`,
		`"containerPort": 8080, "hostPort": 8099`, 1)
	want(t, 201, root, "POST", "/v1/taskdefs", fixed)
	with := `{"taskDefinition": "fixed", "desiredCount": 6, "deploymentConfiguration": {"strategy": "BLUE_GREEN"}}`
	plan := want(t, 200, root, "GET", planOf(with), "")
	hosts := plan["hosts"].([]any)
	if plan["missing"] != nil || len(hosts) != 6 || at(t, hosts[0], "tasks") != 1.0 {
		t.Fatalf("one a host: %v", plan)
	}
	name := at(t, hosts[2], "host").(string)
	want(t, 200, root, "POST", "/v1/hosts/"+name+"/cordon", `{"why": "look"}`)
	plan = want(t, 200, root, "GET", planOf(with), "")
	if why := plan["why"].(string); plan["missing"] != 1.0 || !strings.Contains(why, "host port 8099") ||
		!strings.Contains(why, "cordoned") {
		t.Errorf("a host is cordoned: %v, %q", plan["missing"], why)
	}
	want(t, 201, root, "POST", "/v1/listeners", `{"name": "edge", "port": 8099, "protocol": "HTTP",
		"defaultAction": {"fixedResponse": {"statusCode": 404}}}`)
	if plan = want(t, 200, root, "GET", planOf(with), ""); plan["missing"] != 6.0 {
		t.Errorf("a listener has the port on every host: %v", plan)
	}
}

// planOf is the path of web's plan with fields of an update.
func planOf(with string) string { return "/v1/services/web/plan?with=" + url.QueryEscape(with) }
