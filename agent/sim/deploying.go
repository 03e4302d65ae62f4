package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/agent/lead"
	"skein/raftfsm/fleet"
)

// deployOptions are how a service's deployments are done. See deploymentConfig.
var deployOptions = []string{"strategy", "bake", "canary", "step", "every", "progress", "breaker", "early", "alarms",
	"analysis", "probe", "hooks"}

func init() {
	maps.Copy(verbs, map[string]verb{
		"expose": {use: "NAME: it gets a listener, a test rule and two target groups", least: 1, most: 1,
			options: []string{"via"}, do: (*World).exposeService},
		"deploy": {
			use:     "NAME: a new revision of it",
			least:   1,
			most:    1,
			options: slices.Concat(serviceOptions, deployOptions),
			do: func(w *World, d words) error {
				if !d.changesDefinition() {
					d.options["force"] = "1"
				}
				return w.updateService(d)
			},
		},
		"order": {use: "SERVICE pause|continue|promote|rollback|stop [no]: what a person asks of its deployment", least: 2,
			most: 3, options: []string{"via"}, do: (*World).orderDeployment},
		"alarm": {use: "NAME NUMBER|none: what questions for it are answered from now on", least: 2, most: 2,
			do: func(w *World, d words) error {
				w.numbers[d.objects[0]] = d.objects[1]
				return nil
			}},
	})
}

// hookURL is where webhooks and the server of alarms are. A webhook is called at
// hookURL/BEHAVIOUR: see runWebhook.
const hookURL = "https://hooks.example/"

// hookCommands are what the containers of hooks that are tasks do, by behaviour.
var hookCommands = map[string]string{"ok": "exit_0", "fail": "exit_1", "slow": "for_20s", "hang": "stay"}

func hookFamily(behaviour string) string { return "hook-" + behaviour }

// deploymentConfig reads how deployments are done: strategy=CANARY canary=10 (percent)
// step=25 (percent) every=1m bake=5m progress=5m breaker=3 or 3/stop early=50 or 50/deferred
// alarms=cpu+mem or cpu/stop or cpu/despite analysis=5/10 (percent of errors, least requests)
// probe=ok hooks=webhook.BEHAVIOUR@STAGE+STAGE,task.BEHAVIOUR@STAGE/2m,pause@STAGE/2m/continue.
// A strategy begins anew: what stood before is forgotten.
func (d words) deploymentConfig(c *fleet.DeploymentConfig) (err error) {
	if text, ok := d.options["strategy"]; ok {
		*c = fleet.DeploymentConfig{}
		if c.Strategy, err = fleet.ParseStrategy(text); err != nil {
			return err
		}
	}
	for key, into := range map[string]*int{"bake": &c.BakeS, "every": &c.StepBakeS, "progress": &c.ProgressS} {
		if text, ok := d.options[key]; ok {
			if *into, err = wholeSeconds(key, text); err != nil {
				return err
			}
		}
	}
	for key, into := range map[string]*int{"canary": &c.CanaryShare, "step": &c.StepShare} {
		percent, err := d.number(key, int64(*into/100))
		if err != nil {
			return err
		}
		*into = int(percent) * 100
	}
	return d.judges(c)
}

// judges reads what may fail a deployment.
func (d words) judges(c *fleet.DeploymentConfig) (err error) {
	split := func(key string) (value, option string, given bool) {
		text, given := d.options[key]
		value, option, _ = strings.Cut(text, "/")
		return value, option, given
	}
	if value, option, given := split("breaker"); given {
		c.Breaker = fleet.Breaker{Enable: true, Rollback: option != "stop", Type: fleet.ThresholdCount}
		if c.Breaker.Value, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("breaker: %w", err)
		}
	}
	if value, option, given := split("early"); given {
		c.EarlySuccess = &fleet.EarlySuccess{Deferred: option == "deferred"}
		if c.EarlySuccess.HealthyPercent, err = strconv.Atoi(value); err != nil {
			return fmt.Errorf("early: %w", err)
		}
	}
	if value, option, given := split("alarms"); given {
		c.Alarms = fleet.Alarms{Names: strings.Split(value, "+"), Rollback: option != "stop", Despite: option == "despite"}
	}
	if value, option, given := split("analysis"); given {
		c.Analysis = &fleet.Analysis{WindowS: 30}
		if _, err = fmt.Sscan(value+" "+option, &c.Analysis.ErrorShare, &c.Analysis.MinRequests); err != nil {
			return fmt.Errorf("analysis: %w", err)
		}
		c.Analysis.ErrorShare *= 100
	}
	if value, _, given := split("probe"); given {
		c.Probe = &fleet.Probe{Path: "/" + value, Count: 5}
	}
	if text, given := d.options["hooks"]; given {
		c.Hooks = nil
		for i, text := range strings.Split(text, ",") {
			h, err := parseHook(i, text)
			if err != nil {
				return err
			}
			c.Hooks = append(c.Hooks, h)
		}
	}
	return nil
}

func wholeSeconds(key, text string) (int, error) {
	v, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return int(v / time.Second), nil
}

// parseHook reads "webhook.BEHAVIOUR@STAGE+STAGE/2m/continue".
func parseHook(i int, text string) (h fleet.Hook, err error) {
	options := strings.Split(text, "/")
	what, stages, _ := strings.Cut(options[0], "@")
	kind, behaviour, _ := strings.Cut(what, ".")
	h.Name = fmt.Sprintf("%s-%d", strings.ReplaceAll(what, ".", "-"), i+1)
	for name := range strings.SplitSeq(stages, "+") {
		stage, unknown := fleet.ParseLifecycleStage(name)
		if unknown != nil {
			return h, unknown
		}
		h.Stages = append(h.Stages, stage)
	}
	switch kind {
	case "webhook":
		h.Webhook = &fleet.WebhookTarget{URL: hookURL + behaviour}
	case "task":
		if hookCommands[behaviour] == "" {
			return h, fmt.Errorf("hooks: %q is nothing that a task does", behaviour)
		}
		h.Task = &fleet.TaskHookTarget{TaskDef: fleet.TaskDefID(hookFamily(behaviour) + ":1")}
	case "pause":
		h.Pause = true
	default:
		return h, fmt.Errorf("hooks: %q is neither webhook, task nor pause", kind)
	}
	for _, option := range options[1:] {
		if h.ContinueOnTimeout = option == "continue"; h.ContinueOnTimeout {
			continue
		}
		if h.TimeoutS, err = wholeSeconds("hooks", option); err != nil {
			return h, err
		}
	}
	return h, nil
}

// prepare has all written that a way of deployment names and that is not there, one after
// the other, and then goes on.
func (w *World) prepare(via *host, c *fleet.DeploymentConfig, then func()) {
	var rows []fleet.Command
	allow := func(target string) {
		for row := range w.truth.HookTargets() {
			if row.Target == target {
				return
			}
		}
		rows = append(rows, fleet.PutHookTarget{Target: target})
	}
	for i := range c.Hooks {
		switch h := &c.Hooks[i]; {
		case h.Webhook != nil:
			allow(hookURL)
		case h.Task != nil:
			family := familyOf(h.Task.TaskDef)
			allow("task:" + family)
			if w.truth.LatestTaskDef(family) == nil {
				rows = append(rows, fleet.RegisterTaskDef{Family: family, Def: w.hookDefinition(family)})
			}
		}
	}
	for _, name := range c.Alarms.Names {
		allow(hookURL)
		if w.truth.Alarm(name) == nil {
			rows = append(rows, fleet.PutAlarm{Name: name, URL: hookURL, Query: name, Above: true, Threshold: 1, IntervalS: 10,
				Times: 1})
		}
	}
	w.writeAll(via, rows, then)
}

// hookDefinition is what a hook runs as its task.
func (w *World) hookDefinition(family string) fleet.TaskDef {
	command := hookCommands[strings.TrimPrefix(family, hookFamily(""))]
	def, _ := w.definition(words{options: map[string]string{"cpu": "16", "mem": "16", "command": command}}, nil)
	return def // the words are right
}

// writeAll has commands written one after the other, whatever becomes of each.
func (w *World) writeAll(via *host, rows []fleet.Command, then func()) {
	if len(rows) == 0 {
		then()
		return
	}
	w.write(via, lead.CommandName(rows[0]), func(*fleet.State) fleet.Command { return rows[0] },
		func(fleet.Result, uint64, error) { w.writeAll(via, rows[1:], then) })
}

// exposeService puts a service behind a listener: its default rule leads to the first of two
// target groups, and so does a test rule.
func (w *World) exposeService(d words) error {
	via, err := w.via(d)
	if err != nil {
		return err
	}
	name := d.objects[0]
	v := w.truth.Service(name)
	if v == nil {
		return fmt.Errorf("expose: there is no service %s", name)
	}
	blue, green := fleet.TargetGroupName(name+"-blue"), fleet.TargetGroupName(name+"-green")
	to := fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: blue, Weight: fleet.TotalWeight}}}}
	listener := fleet.ListenerName(name)
	test := fleet.MakeRuleID(listener, "test")
	var rows []fleet.Command
	if w.truth.Listener(listener) == nil {
		w.listeners++
		check := fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}
		rows = append(rows,
			fleet.PutTargetGroup{Name: blue, Protocol: fleet.GroupHTTP1, Check: check, DeregistrationDelayS: 5},
			fleet.PutTargetGroup{Name: green, Protocol: fleet.GroupHTTP1, Check: check, DeregistrationDelayS: 5},
			fleet.PutListener{Name: listener, Port: 7000 + w.listeners, Protocol: fleet.ListenHTTP, Default: &to},
			fleet.PutRule{ID: test, Priority: 1, Action: to,
				Conditions: []fleet.RuleCondition{{Field: fleet.FieldHeader, Name: "x-test", Values: []string{"1"}}}},
		)
	}
	w.writeAll(via, rows, func() {
		update := words{verb: "update", objects: d.objects, options: map[string]string{"port": "dynamic"}}
		_ = w.putService(via, update, func(c *fleet.PutService) { // the words are right
			c.LoadBalancers = []fleet.LoadBalancer{{Container: "app", ContainerPort: 80, Group: blue, AlternateGroup: green,
				TestRule: test}}
		})
	})
	return nil
}

// orderDeployment is what a person asks of the deployment of a service.
func (w *World) orderDeployment(d words) error {
	order, err := fleet.ParseDeploymentOrder(d.objects[1])
	if err != nil {
		return err
	}
	if w.truth.LiveDeployment(d.objects[0]) == nil {
		return fmt.Errorf("order: no deployment of %s is under way", d.objects[0])
	}
	refuses := len(d.objects) > 2 && d.objects[2] == "no"
	return w.simple(d, strings.Join(d.objects, " "), func(s *fleet.State) fleet.Command {
		live := s.LiveDeployment(d.objects[0])
		if live == nil {
			return nil
		}
		c := fleet.OrderDeployment{ID: live.ID, Order: order}
		if run := awaitsPerson(live); order == fleet.OrderContinue && run != nil {
			c.Run, c.GoBack = run.ID, refuses
		}
		return c
	})
}

// awaitsPerson is the first call of a hook that waits for a person; nil: there is none.
func awaitsPerson(d *fleet.Deployment) *fleet.HookRun {
	for i := range d.Hooks {
		if r := &d.Hooks[i]; r.Status == fleet.HookAwaitingAction {
			return r
		}
	}
	return nil
}

func familyOf(id fleet.TaskDefID) string {
	family, _ := id.Split()
	return family
}
