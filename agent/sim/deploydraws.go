package sim

import (
	"strings"
	"time"

	"skein/agent/sim/virtual"
)

// What a life's deployments are drawn of.
var (
	drawnStrategies = []string{
		"strategy=ROLLING", "strategy=ROLLING breaker=3", "strategy=ROLLING breaker=3/stop", "strategy=ROLLING early=50",
		"strategy=ROLLING early=50/deferred", "strategy=BLUE_GREEN", "strategy=BLUE_GREEN", "strategy=BLUE_GREEN",
		"strategy=LINEAR step=25 every=20s", "strategy=LINEAR step=40 every=5s", "strategy=CANARY canary=10 every=40s",
		"strategy=CANARY canary=50 every=10s",
	}
	drawnStages = []string{
		"RECONCILE_SERVICE", "PRE_SCALE_UP", "POST_SCALE_UP", "TEST_TRAFFIC_SHIFT", "POST_TEST_TRAFFIC_SHIFT",
		"PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME",
		"ROLLBACK_STARTED", "ROLLBACK_ENDED",
	}
	drawnRollingStages = []string{"PRE_SCALE_UP", "POST_SCALE_UP", "BAKE_TIME", "ROLLBACK_STARTED", "ROLLBACK_ENDED"}
	drawnPauses        = []string{"PRE_SCALE_UP", "POST_SCALE_UP"}
	drawnHooks         = []string{
		"webhook.ok", "webhook.ok", "webhook.progress", "webhook.flaky", "webhook.twice", "webhook.moody", "webhook.hang",
		"webhook.down", "webhook.liar", "webhook.junk", "webhook.fail", "task.ok", "task.slow", "task.fail", "task.hang",
		"pause",
	}
)

// deploys draws how services are deployed, and what people, alarms and leaders do
// meanwhile, from a stream of its own: what else happens in the life of a seed does not
// depend on it.
func (d *drawing) deploys(seed uint64) {
	c := virtual.NewChance(seed, "deployments")
	if !c.Is(0.4) {
		return
	}
	for i, name := range d.family {
		if c.Is(0.6) {
			d.operation(time.Duration(6+i)*time.Second, "expose %s", name)
		}
	}
	every := virtual.Pick(c, 30*time.Second, time.Minute, 3*time.Minute)
	for at := 15 * time.Second; at < d.run.For; at += c.Between(every/4, 2*every) {
		name := d.family[c.IntN(len(d.family))]
		switch c.IntN(10) {
		case 0:
			d.operation(at, "alarm %s %s", virtual.Pick(c, "cpu", "errors"), virtual.Pick(c, "0", "0", "7", "none", "down"))
		case 1, 2:
			d.operation(at, "order %s %s", name, virtual.Pick(c, "pause", "continue", "continue", "continue no", "promote",
				"rollback", "stop"))
		default:
			d.operation(at, "deploy %s %s", name, drawDeployment(c))
			d.after(c, at, name)
		}
	}
}

// after draws what comes soon after a deployment began.
func (d *drawing) after(c *virtual.Chance, at time.Duration, name string) {
	soon := func() time.Duration {
		return at + c.Between(0, virtual.Pick(c, 2*time.Second, 20*time.Second, 2*time.Minute))
	}
	if c.Is(0.4) {
		d.operation(soon(), "restart-agent leader")
	}
	if c.Is(0.2) {
		d.operation(soon(), "scale %s %d", name, c.IntN(7))
	}
	if c.Is(0.2) {
		d.operation(soon(), "order %s %s", name, virtual.Pick(c, "pause", "promote", "rollback", "stop"))
	}
	if c.Is(0.1) {
		d.operation(soon(), "replace %s", name)
	}
}

// drawDeployment draws a way to deploy. Each has a bound on how long it waits for tasks,
// since there may be no room for both revisions, and hooks that hang have little time.
func drawDeployment(c *virtual.Chance) string {
	words := []string{drawnStrategies[c.IntN(len(drawnStrategies))], "progress=" + virtual.Pick(c, "1m", "3m")}
	shifts := !strings.Contains(words[0], "ROLLING")
	words = append(words, virtual.Pick(c, "bake=0s", "bake=5s", "bake=30s", "bake=90s"))
	if c.Is(0.5) {
		stages := drawnRollingStages
		if shifts {
			stages = drawnStages
		}
		words = append(words, drawHooks(c, stages))
	}
	if c.Is(0.3) {
		words = append(words, "alarms="+virtual.Pick(c, "cpu", "cpu+errors", "errors/stop", "cpu/despite"))
	}
	if c.Is(0.2) {
		words = append(words, "analysis=5/10")
	}
	if shifts && c.Is(0.1) {
		words = append(words, "probe="+virtual.Pick(c, "ok", "ok", "bad"))
	}
	if c.Is(0.3) {
		words = append(
			words,
			virtual.Pick(c, "cpu=96", "mem=96", "check=5", "command=exit_1", "command=for_25s", "image=nobody:1"),
		)
	}
	return strings.Join(words, " ")
}

func drawHooks(c *virtual.Chance, stages []string) string {
	hooks := make([]string, 1+c.IntN(2))
	for i := range hooks {
		hook := drawnHooks[c.IntN(len(drawnHooks))]
		if hook == "pause" {
			stages = drawnPauses
		}
		hooks[i] = hook + "@" + stages[c.IntN(len(stages))]
		if at := stages[c.IntN(len(stages))]; c.Is(0.3) && !strings.HasSuffix(hooks[i], at) {
			hooks[i] += "+" + at
		}
		hooks[i] += "/" + virtual.Pick(c, "20s", "1m", "2m") + virtual.Pick(c, "", "", "/continue")
	}
	return "hooks=" + strings.Join(hooks, ",")
}
