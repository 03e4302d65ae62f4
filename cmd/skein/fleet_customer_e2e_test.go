//go:build e2e

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
)

// TestE2ECustomer runs the files that people bring from ECS, and deployments with each kind
// of judge, side by side and by the commands alone.
func TestE2ECustomer(t *testing.T) {
	f := newFleet(t, lab.UpOptions{})
	image, err := f.lab.PushWeb(f.Context())
	f.must(err)
	f.image = image
	f.awaitReady("h1", 3, 3)
	w := f.startTwins()
	w.resolve()
	c := &customer{fleetUnderTest: f, twins: w, callers: f.startCallers()}
	f.register("h1", "judged", nil)
	t.Run("side by side", func(t *testing.T) {
		for _, part := range []struct {
			name string
			run  func(*customer)
		}{
			{"a blue/green definition with hooks", (*customer).blueGreen},
			{"a definition with Service Connect", (*customer).connect},
			{"a webhook that asks for time", (*customer).patientWebhook},
			{"webhooks that say nothing", (*customer).badWebhook},
			{"people who are asked", (*customer).pauses},
			{"an alarm", (*customer).alarmed},
			{"a probe", (*customer).probed},
		} {
			t.Run(part.name, func(t *testing.T) {
				t.Parallel()
				part.run(c.of(t))
			})
		}
	})
	if t.Failed() {
		return
	}
	t.Run("names and weights hold without a leader", func(t *testing.T) { c.of(t).withoutLeader() })
}

// customer is the fleet with others beside it.
type customer struct {
	*fleetUnderTest
	twins   *twins
	callers *callers
}

// of is c as a part of the test has it.
func (c *customer) of(t *testing.T) *customer {
	f := &fleetUnderTest{TB: t, lab: c.lab, dir: c.dir, image: c.image}
	return &customer{fleetUnderTest: f, twins: c.twins, callers: &callers{fleetUnderTest: f, urls: c.callers.urls}}
}

func (c *customer) deployments() *deployments { return &deployments{fleetUnderTest: c.fleetUnderTest} }

// brought is a file of a customer in which names stand where those of its old home stood.
func (c *customer) brought(name string, names ...string) (path string) {
	c.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "agent", "ecs", "testdata", name))
	c.must(err)
	path = filepath.Join(c.TempDir(), name)
	c.must(os.WriteFile(path, []byte(strings.NewReplacer(names...).Replace(string(text))), 0o600))
	return path
}

// file is a request in a file.
func (c *customer) file(content map[string]any) (path string) {
	c.Helper()
	text, err := json.Marshal(content)
	c.must(err)
	path = filepath.Join(c.TempDir(), "request.json")
	c.must(os.WriteFile(path, text, 0o600))
	return path
}

// deploy runs skein deploy and returns the id of the deployment that it began.
func (c *customer) deploy(args string) (id string) {
	c.Helper()
	out, complaints, exit := c.skein("h2", strings.Fields("deploy "+args)...)
	if exit != 0 {
		c.Fatalf("skein deploy %s ended with %d: %s%s", args, exit, out, complaints)
	}
	for line := range strings.Lines(out) {
		if before, _, began := strings.Cut(line, " deploys "); began {
			return before
		}
	}
	c.Fatalf("skein deploy %s began none: %s%s", args, out, complaints)
	return ""
}

func (c *customer) blueGreen() {
	d := c.deployments()
	approve := c.twins.always("approve", `{"hookStatus": "SUCCEEDED", "hookDetails": {"seen": "yes"}}`)
	def := c.brought("shop-taskdef.json", "registry.shop.example/shop:1.4.2", c.image)
	service := c.brought("shop-service.json", "https://hooks.shop.example/approve", approve)
	smoke := c.file(map[string]any{"family": "shop-smoke", "networkMode": "host", "containerDefinitions": []any{
		map[string]any{"name": "smoke", "image": c.image, "memory": 64, "command": []string{"hook", "smoke",
			"http://127.0.0.1:8088/", "--header", "x-preview=yes"}}}})
	c.steps("h1",
		step{"taskdef register " + smoke, 0, []string{"shop-smoke:1"}},
		step{"taskdef register " + def, 0, []string{"shop:1", "networkMode: awsvpc is run as bridge",
			"executionRoleArn: ignored", "logs go to a file"}},
		step{"service create -f " + service, 1, []string{"shop-blue", "not found"}},
		step{"target-group create shop-blue --health-path /healthz", 0, nil},
		step{"target-group create shop-green --health-path /healthz", 0, nil},
		step{"listener create shop --port 8088 --to shop-blue", 0, nil},
		step{"rule create shop/production --priority 20 --path /* --to shop-blue", 0, nil},
		step{"rule create shop/test --priority 10 --header x-preview=yes --to shop-blue", 0, nil},
		step{"service create -f " + service, 1, []string{"skein hook-target allow task:shop-smoke"}},
		step{"hook-target allow task:shop-smoke", 0, nil},
		step{"service create -f " + service, 0, []string{"created shop/1", "networkConfiguration: ignored",
			"AWS_LAMBDA is taken for a task", "roleArn: ignored", "launchType: ignored"}},
	)
	d.awaitStage("shop.1", "BAKE_TIME")
	c.steps("h2", step{"deployment promote shop", 0, nil}, step{"deployment watch shop", 0, []string{"SUCCESSFUL"}})
	d.answersAre("shop/1")
	was := c.written("shop")

	l := c.startLoad(8088)
	id := c.deploy("shop --image " + c.otherImage() + " -f " + c.looking(service))
	hook := c.awaitPerson(id)
	for _, host := range []string{"h1", "h2", "h3"} {
		test, err := revisionOfURL(c.ingressURL(host, 8088), "x-preview", "yes")
		if err != nil || test != "shop/2" {
			c.Errorf("%s: test traffic reaches %s: %v", host, test, err)
		}
	}
	d.answersAre("shop/1")
	c.steps("h1", step{"deployment continue " + id + " --hook " + hook, 0, nil})
	baking := d.awaitStage(id, "BAKE_TIME")
	d.answersAre("shop/2")
	if baking.Source == nil || baking.Source.Running != 3 || baking.Target.Healthy != 3 {
		c.Errorf("both are not whole in the bake: %+v, %+v", baking.Source, baking.Target)
	}
	c.steps("h3",
		step{"deployment show " + id, 0, []string{"BLUE_GREEN", "left", "shop-smoke at POST_TEST_TRAFFIC_SHIFT: SUCCEEDED",
			"10 requests to http://127.0.0.1:8088/ were well", "approve at POST_PRODUCTION_TRAFFIC_SHIFT: SUCCEEDED"}},
		step{"deployment promote " + id, 0, nil},
		step{"deployment watch " + id, 0, []string{"SUCCESSFUL"}},
		step{"service list", 0, []string{"shop/2"}},
	)
	d.answersAre("shop/2")
	l.stop(c.fleetUnderTest)
	c.approvals()
	if is := c.written("shop"); is != was {
		c.Errorf("the listener reads otherwise than it was written:\n%s\n%s", was, is)
	}
}

// written is all that people may have written of a listener and its rules.
func (c *customer) written(listener string) string {
	c.Helper()
	l, err := get[types.Listener](c.fleetUnderTest, "h1", "/v1/listeners/"+listener)
	c.must(err)
	for i := range l.Rules {
		l.Rules[i].ModifyIndex = 0
	}
	text, err := json.Marshal(l)
	c.must(err)
	return string(text)
}

// looking is an update that adds a hook to those of a service's file: a person looks while
// test traffic reaches green.
func (c *customer) looking(service string) (path string) {
	c.Helper()
	text, err := os.ReadFile(service)
	c.must(err)
	var brought struct {
		Deployment struct {
			Hooks []any `json:"lifecycleHooks"`
		} `json:"deploymentConfiguration"`
	}
	c.must(json.Unmarshal(text, &brought))
	look := map[string]any{"targetType": "PAUSE", "lifecycleStages": []string{"POST_TEST_TRAFFIC_SHIFT"}}
	return c.file(map[string]any{"deploymentConfiguration": map[string]any{
		"lifecycleHooks": append(brought.Deployment.Hooks, look)}})
}

// awaitPerson waits until a deployment waits for a person, and returns the call of the hook.
func (c *customer) awaitPerson(id string) (hook string) {
	c.Helper()
	c.deployments().awaitThat(id, "a person is waited for", func(one types.Deployment) bool {
		at := slices.IndexFunc(one.Hooks, func(h types.HookRun) bool { return h.Status == "AWAITING_ACTION" })
		if at >= 0 {
			hook = one.Hooks[at].ID
		}
		return at >= 0
	})
	return hook
}

// approvals: the webhook was called at its stages of both deployments, with what ECS says.
func (c *customer) approvals() {
	var stages []string
	for _, call := range c.twins.called("approve") {
		p := call.payload
		stages = append(stages, p.ResourceARN+" "+p.LifecycleStage)
		if p.ExecutionDetails.ServiceARN != "shop" || !strings.Contains(string(p.HookDetails), `"team":"shop"`) {
			c.Errorf("called with %+v", p)
		}
	}
	want := []string{"shop.1 PRE_SCALE_UP", "shop.1 POST_PRODUCTION_TRAFFIC_SHIFT", "shop.2 PRE_SCALE_UP",
		"shop.2 POST_PRODUCTION_TRAFFIC_SHIFT"}
	if !slices.Equal(stages, want) {
		c.Errorf("called at %q, not %q", stages, want)
	}
}

// otherImage is the web image under another tag and of another digest.
func (c *customer) otherImage() (reference string) {
	c.Helper()
	image, err := lab.BuildImage(os.Getenv("SKEIN_BINARY"))
	c.must(err)
	config, err := image.ConfigFile()
	c.must(err)
	config = config.DeepCopy()
	config.Config.Labels = map[string]string{"version": "2"}
	image, err = mutate.ConfigFile(image, config)
	c.must(err)
	reference = strings.TrimSuffix(c.image, "1") + "2"
	c.must(lab.Push(c.Context(), image, reference))
	return reference
}

func (c *customer) connect() {
	d := c.deployments()
	c.steps("h1",
		step{"taskdef register " + c.brought("cart-taskdef.json", "registry.shop.example/cart:2.0.1", c.image), 0,
			[]string{"cart:1", "awsvpc is run as bridge"}},
		step{"service create -f " + c.brought("cart-service.json"), 0, []string{"created cart/1",
			"networkConfiguration: ignored", "serviceConnectConfiguration.logConfiguration: ignored",
			"deploymentConfiguration.analysis"}},
	)
	d.awaitStage("cart.1", "BAKE_TIME")
	c.steps("h2", step{"deployment promote cart", 0, nil}, step{"deployment watch cart", 0, []string{"SUCCESSFUL"}})
	for _, host := range []string{"h1", "h2", "h3"} {
		c.callers.answer(host, "http://cart/", "", "cart/1")
		c.callers.answer(host, "http://cart/", "x-preview=yes", "cart/1")
		c.callers.looksUp(host, "ip4", outside, outsideAddress)
		c.callers.looksUp(host, "ip4", "nothing.skein", "no such host")
		c.callers.looksUp(host, "ip4", "nothing.example", "no such host")
	}
	c.names("cart", "cart/1")

	id := c.deploy("cart -f " + c.file(map[string]any{"forceNewDeployment": true,
		"deploymentConfiguration": map[string]any{"lifecycleHooks": []any{map[string]any{"targetType": "PAUSE",
			"name": "look", "lifecycleStages": []string{"POST_TEST_TRAFFIC_SHIFT"}}}}}))
	hook := c.awaitPerson(id)
	for _, host := range []string{"h1", "h2", "h3"} {
		c.callers.answer(host, "http://cart/", "", "cart/1")
		c.callers.answer(host, "http://cart/", "x-preview=no", "cart/1")
		c.callers.answer(host, "http://cart/", "x-preview=yes", "cart/2")
	}
	c.names("cart", "cart/1")
	c.steps("h1", step{"deployment continue " + id + " --hook " + hook, 0, nil})
	d.awaitStage(id, "BAKE_TIME")
	c.callers.answer("h3", "http://cart/", "", "cart/2")
	c.steps("h1", step{"deployment promote " + id, 0, nil}, step{"deployment watch " + id, 0, []string{"SUCCESSFUL"}})
	c.callers.answer("h2", "http://cart/", "", "cart/2")
	c.names("cart", "cart/2")
}

// names: a service's name leads to the ready tasks of the revision that has production
// traffic, on whichever host it is asked for.
func (c *customer) names(service, revision string) {
	c.Helper()
	view, err := c.lab.List(c.Context())
	c.must(err)
	var hosts, ports []string
	for _, t := range c.tasks("h1", service) {
		for _, h := range view.Hosts {
			if t.Revision == revision && h.Name == t.Host.Name {
				hosts = append(hosts, h.Address)
				ports = append(ports, fmt.Sprintf("%s.%s.skein.:%d", t.ID, service, t.Ports[0].HostPort))
			}
		}
	}
	if len(ports) == 0 {
		c.Fatalf("no task is of %s", revision)
	}
	for _, host := range []string{"h1", "h2", "h3"} {
		c.callers.looksUp(host, "ip4", service+".skein", hosts...)
		c.callers.looksUp(host, "SRV", service+".skein", ports...)
		c.callers.looksUp(host, "SRV", "_http._tcp."+service+".skein", ports...)
		c.callers.looksUp(host, "ip6", service+".skein", "no such host")
	}
}

// withoutLeader: a canary waits at its half while nobody leads. Names and weights stay as
// they were, also on a host whose agent is killed and back.
func (c *customer) withoutLeader() {
	d := c.deployments()
	id := c.deploy("cart --canary 50 --every 1s --bake 1s -f " + c.file(map[string]any{"forceNewDeployment": true,
		"deploymentConfiguration": map[string]any{"lifecycleHooks": []any{map[string]any{"targetType": "PAUSE",
			"lifecycleStages": []string{"PRE_PRODUCTION_TRAFFIC_SHIFT"}}}}}))
	c.steps("h1", step{"deployment continue " + id + " --hook " + c.awaitPerson(id), 0, nil})
	d.awaitThat(id, "half is shifted", func(one types.Deployment) bool { return one.Target.Production == 5_000 })
	hook := c.awaitPerson(id)
	c.must(c.lab.KillAgent(c.Context(), "h2"))
	c.must(c.lab.KillAgent(c.Context(), "h3"))
	c.eventually("nobody leads", func() (string, bool) {
		s, err := get[types.Status](c.fleetUnderTest, "h1", "/v1/status")
		return fmt.Sprint(s.Leader, err), err == nil && s.Leader == nil
	})
	c.half("cart/2", "cart/3")
	c.must(c.lab.CrashAgent(c.Context(), "h1"))
	c.eventually("the agent is back", func() (string, bool) {
		seen := c.callers.call("h1", "http://cart/", "", 1)
		return fmt.Sprintf("%+v", seen), len(seen.Failed) == 0
	})
	c.half("cart/2", "cart/3")
	c.must(c.lab.Start(c.Context(), "h2"))
	c.must(c.lab.Start(c.Context(), "h3"))
	c.awaitReady("h1", 3, 3)
	c.steps("h1", step{"deployment continue " + id + " --hook " + hook, 0, nil},
		step{"deployment watch " + id, 0, []string{"SUCCESSFUL"}})
	c.callers.answer("h1", "http://cart/", "", "cart/3")
}

// half: on the host whose agent runs, tasks find both revisions, and green by its header.
func (c *customer) half(blue, green string) {
	c.Helper()
	const n = 200
	seen := c.callers.call("h1", "http://cart/", "", n)
	if len(seen.Failed) > 0 || seen.Answers[blue]+seen.Answers[green] != n || seen.Answers[green] < n/2-30 ||
		seen.Answers[green] > n/2+30 {
		c.Errorf("%d calls: %+v", n, seen)
	}
	c.callers.answer("h1", "http://cart/", "x-preview=yes", green)
	c.callers.looksUp("h1", "ip4", outside, outsideAddress)
}
