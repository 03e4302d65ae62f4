package plantest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"skein/agent/deployment"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

// hookURL is where the webhooks of scripts are, and hookFamily what their tasks are of.
const (
	hookURL    = "https://hooks.example/"
	hookFamily = "job"
)

// expose gives a service two target groups, a listener whose default rule leads to the
// first, and a test rule, by the port that "dynamic" gives its container.
func (w *World) expose(name string) {
	w.t.Helper()
	blue, green := fleet.TargetGroupName(name+"-blue"), fleet.TargetGroupName(name+"-green")
	check := fleet.TargetCheck{IntervalS: 5, TimeoutS: 2, Healthy: 2, Unhealthy: 2}
	to := fleet.Action{Forward: &fleet.Forward{Groups: []fleet.GroupWeight{{Group: blue, Weight: fleet.TotalWeight}}}}
	listener := fleet.ListenerName(name)
	w.Do(
		fleet.PutTargetGroup{Name: blue, Protocol: fleet.GroupHTTP1, Check: check},
		fleet.PutTargetGroup{Name: green, Protocol: fleet.GroupHTTP1, Check: check},
		fleet.PutListener{Name: listener, Port: 80, Protocol: fleet.ListenHTTP, Default: &to},
		fleet.PutRule{ID: fleet.MakeRuleID(listener, "test"), Priority: 1, Action: to,
			Conditions: []fleet.RuleCondition{{Field: fleet.FieldHeader, Name: "x-test", Values: []string{"1"}}}},
	)
	put := w.keep(name)
	put.LoadBalancers = []fleet.LoadBalancer{{Container: "app", ContainerPort: 81, Group: blue, AlternateGroup: green,
		TestRule: fleet.MakeRuleID(listener, "test")}}
	w.Do(put)
}

// keep is the command that puts a service as it is.
func (w *World) keep(name string) fleet.PutService {
	old := w.State.Service(name)
	return fleet.PutService{Name: name, ExpectedModifyIndex: old.ModifyIndex, TaskDef: w.State.LatestTaskDef(name).ID,
		Desired: old.Desired, MinPercent: old.MinPercent, MaxPercent: old.MaxPercent, GraceS: old.GraceS,
		OnDisconnect: old.OnDisconnect, LoadBalancers: old.LoadBalancers, Deployment: old.Deployment}
}

// configure sets how a service's deployments are done by a word: "strategy=CANARY",
// "canary=10" and "step=25" (percent), "every=1m", "bake=5m", "progress=5m", "breaker=3",
// "breaker=3/stop", "alarms=cpu,mem", "alarms=cpu/despite", "alarms=cpu/stop", "early=50",
// "early=50/deferred", "analysis=5/10" (percent of errors or "p99:" and ms, least requests), "probe=/health",
// "hook=NAME:webhook@STAGE+STAGE", also task and pause, with "/10m" for its time and
// "/continue" for what follows. A false answer says that the word is another.
func (w *World) configure(c *fleet.DeploymentConfig, word string) bool {
	w.t.Helper()
	key, value, _ := strings.Cut(word, "=")
	value, option, _ := strings.Cut(value, "/")
	switch key {
	case "strategy":
		var err error
		*c = fleet.DeploymentConfig{}
		if c.Strategy, err = fleet.ParseStrategy(value); err != nil {
			w.t.Fatal(err)
		}
	case "canary":
		c.CanaryShare = 100 * w.number(value)
	case "step":
		c.StepShare = 100 * w.number(value)
	case "every":
		c.StepBakeS = w.secondsOf(value)
	case "bake":
		c.BakeS = w.secondsOf(value)
	case "progress":
		c.ProgressS = w.secondsOf(value)
	case "breaker":
		c.Breaker = fleet.Breaker{
			Enable: true, Rollback: option != "stop", Type: fleet.ThresholdCount, Value: w.number(value),
		}
	case "alarms":
		c.Alarms = fleet.Alarms{Names: strings.Split(value, ","), Rollback: option != "stop", Despite: option == "despite"}
		for _, name := range c.Alarms.Names {
			w.alarm(name)
		}
	case "early":
		c.EarlySuccess = &fleet.EarlySuccess{HealthyPercent: w.number(value), Deferred: option == "deferred"}
	case "analysis":
		c.Analysis = &fleet.Analysis{WindowS: 60, MinRequests: w.number(option)}
		if ms, latency := strings.CutPrefix(value, "p99:"); latency {
			c.Analysis.LatencyMs = w.number(ms)
		} else {
			c.Analysis.ErrorShare = 100 * w.number(value)
		}
	case "probe":
		c.Probe = &fleet.Probe{Path: "/" + option, Count: 5}
	case "hook":
		c.Hooks = append(c.Hooks, w.hook(word[len("hook="):]))
	default:
		return false
	}
	return true
}

// hook reads "NAME:webhook@STAGE+STAGE/10m/continue".
func (w *World) hook(text string) fleet.Hook {
	w.t.Helper()
	options := strings.Split(text, "/")
	name, rest, _ := strings.Cut(options[0], ":")
	kind, stages, _ := strings.Cut(rest, "@")
	h := fleet.Hook{Name: name}
	for text := range strings.SplitSeq(stages, "+") {
		stage, err := fleet.ParseLifecycleStage(text)
		if err != nil {
			w.t.Fatal(err)
		}
		h.Stages = append(h.Stages, stage)
	}
	switch kind {
	case "webhook":
		w.allow(hookURL)
		h.Webhook = &fleet.WebhookTarget{URL: hookURL + name}
	case "task":
		w.allow("task:" + hookFamily)
		h.Task = &fleet.TaskHookTarget{TaskDef: w.State.LatestTaskDef(hookFamily).ID}
	case "pause":
		h.Pause = true
	default:
		w.t.Fatalf("script: a hook is a webhook, task or pause, not %q", kind)
	}
	for _, option := range options[1:] {
		if option == "continue" {
			h.ContinueOnTimeout = true
		} else {
			h.TimeoutS = w.secondsOf(option)
		}
	}
	return h
}

func (w *World) allow(target string) {
	w.t.Helper()
	for known := range w.State.HookTargets() {
		if known.Target == target {
			return
		}
	}
	w.Do(fleet.PutHookTarget{Target: target})
}

// alarm puts an alarm that fires above 1, asked each 30 s.
func (w *World) alarm(name string) {
	w.t.Helper()
	w.allow(hookURL)
	if w.State.Alarm(name) == nil {
		w.Do(fleet.PutAlarm{Name: name, URL: hookURL, Query: name, Above: true, Threshold: 1, IntervalS: 30, Times: 1})
	}
}

// Live lets the fleet live, at one moment, until nothing more is planned: planners plan,
// hosts that are seen alive obey and serve the routes there are. It ends sooner in a stage
// of a service's deployment: "web SCALE_UP", "web PRODUCTION_TRAFFIC_SHIFT 2".
func (w *World) Live(planners []func(plan.Input) plan.Plan, until ...string) string {
	w.t.Helper()
	var out strings.Builder
	w.Serve()
	for range 300 {
		planned := w.pass(planners)
		if planned == nothing {
			return out.String()
		}
		out.WriteString(planned)
		if w.isAt(until) {
			return out.String()
		}
		w.Obey()
		w.Serve()
	}
	w.t.Fatalf("script: the fleet does not come to rest:\n%s", out.String())
	return ""
}

func (w *World) isAt(until []string) bool {
	if len(until) < 2 {
		return false
	}
	d := w.State.LiveDeployment(until[0])
	return d == nil || d.Stage.String() == until[1] && (len(until) < 3 || strconv.Itoa(d.Step) == until[2])
}

// Serve has the hosts that are seen alive serve the newest routes, but those that
// are behind.
func (w *World) Serve() {
	for id, h := range w.Liveness.Hosts {
		if h.Liveness == plan.LivenessAlive && !w.behind[id] {
			h.Served = w.State.ServedRoutes()
			w.Liveness.Hosts[id] = h
		}
	}
}

// answer gives an effect of a hook's call its outcome: SUCCEEDED, FAILED, IN_PROGRESS with
// seconds until it is called again, "lies" for what is no verdict, "unreachable" for none,
// "nothing" where it is asked and says nothing,
// "5/5" for a probe, "tail" with the last lines of a task. What follows else are details
// that it gives back.
func (w *World) answer(run, what string, details ...string) {
	w.t.Helper()
	id, _, _ := strings.Cut(run, "-")
	r := w.State.Deployment(fleet.DeploymentID(id)).HookRun(run)
	if r == nil {
		w.t.Fatalf("script: there is no call %s", run)
	}
	if what == "nothing" {
		w.handEffect(w.State.Effect(r.Effect))
		return
	}
	outcome, verdict := []byte("\xff"), fleet.VerdictDone
	v := deployment.Verdict{Answer: what, Details: []byte(strings.Join(details, " "))}
	status, after, _ := strings.Cut(what, "/")
	switch {
	case what == "lies":
	case what == "unreachable":
		verdict = fleet.VerdictFailed
	case what == "tail":
		outcome, _ = deployment.EncodeTail(details)
	case r.Hook == fleet.ProbeHook:
		well, sent := w.number(status), w.number(after)
		outcome, _ = deployment.Probed{Sent: sent, Well: well, Why: "status 500"}.Encode()
	default:
		v.Status = map[string]fleet.HookStatus{"SUCCEEDED": fleet.HookSucceeded, "FAILED": fleet.HookFailed,
			"IN_PROGRESS": fleet.HookInProgress}[status]
		if after != "" {
			v.CallBackS = w.number(after)
		}
		outcome, _ = v.Encode()
	}
	w.finishEffect(r.Effect, verdict, outcome)
}

// tells gives the question of an alarm under way its answer: a number, or "none".
func (w *World) tells(service, name, number string) {
	w.t.Helper()
	for _, a := range w.State.LiveDeployment(service).Alarms {
		if a.Name != name {
			continue
		}
		n := deployment.NoNumbers("nothing is scraped")
		if f, err := strconv.ParseFloat(number, 64); err == nil {
			n = deployment.Numbers{Count: 1, Least: f, Most: f}
		}
		outcome, _ := n.Encode()
		w.finishEffect(a.Effect, fleet.VerdictDone, outcome)
	}
}

func (w *World) finishEffect(id fleet.EffectID, verdict fleet.EffectVerdict, outcome []byte) {
	w.t.Helper()
	e := w.State.Effect(id)
	if e == nil {
		w.t.Fatalf("script: there is no effect %q", id)
	}
	attempt := e.Attempt
	if e.Status == fleet.EffectPending {
		attempt = w.handEffect(e)
	}
	w.Do(fleet.FinishEffect{ID: id, Attempt: attempt, Verdict: verdict, Outcome: outcome, Why: "connection refused"})
}

// handEffect hands the next attempt of an effect to a host that may carry it out.
func (w *World) handEffect(e *fleet.Effect) (attempt int) {
	w.t.Helper()
	host := fleet.HostID(e.Role.Name)
	if host == "" {
		for v := range w.State.Voters() {
			host = v.Host
		}
	}
	w.Do(fleet.HandEffect{ID: e.ID, Attempt: e.Attempt + 1, Host: host, Session: w.State.Host(host).Session.N})
	return e.Attempt + 1
}

// count is what ingress counted in the last minute: "web/2 100 50" are requests and errors,
// "unserved:web/2 100 100" are of requests for which the groups of web/2 had no target.
func (w *World) count(words []string) {
	w.t.Helper()
	groups := map[fleet.TargetGroupName]plan.GroupTraffic{}
	w.Traffic = plan.Traffic{At: time.Hour, Groups: groups}
	for ; len(words) >= 3; words = words[3:] {
		of, unserved := strings.CutPrefix(words[0], "unserved:")
		id := fleet.RevisionID(of)
		row := w.State.Revision(id)
		if unserved {
			id = ""
		}
		counts := fleet.TrafficCounts{Requests: uint64(w.number(words[1])), Errors: uint64(w.number(words[2]))}
		for _, b := range row.Groups {
			if _, known := groups[b.Group]; !known {
				groups[b.Group] = plan.GroupTraffic{Watched: time.Minute, Points: []plan.TrafficPoint{
					{At: time.Hour - time.Minute, Hosts: 1},
					{At: time.Hour, Hosts: 1, Revisions: map[fleet.RevisionID]fleet.TrafficCounts{}},
				}}
			}
			groups[b.Group].Points[1].Revisions[id] = counts
		}
	}
}

// order is what a person asks: "pause", "continue", "promote", "rollback", "stop", with the
// call of a hook behind "continue", and "no" where it is refused.
func (w *World) order(service string, words []string) {
	w.t.Helper()
	order, err := fleet.ParseDeploymentOrder(words[0])
	if err != nil {
		w.t.Fatal(err)
	}
	c := fleet.OrderDeployment{ID: w.State.LiveDeployment(service).ID, Order: order, GoBack: slices.Contains(words, "no")}
	if len(words) > 1 {
		c.Run = words[1]
	}
	w.Apply(fleet.Item{Command: c, By: "ann"})
}

// deployments is one line a deployment of a service: where it stands, and its history.
func (w *World) deployments(service string) string {
	var out strings.Builder
	for d := range w.State.Deployments(service) {
		fmt.Fprintf(&out, "%s %s to %s, blue %s, %s step %d, production %d, test %d: %s\n", d.ID, d.Status, d.Target, d.Blue,
			d.Stage, d.Step, d.Production/100, d.Test/100, d.Reason)
		for _, s := range d.Stages {
			fmt.Fprintf(&out, "  %s %d: %s\n", s.Stage, s.Step, s.Why)
		}
		for _, r := range d.Hooks {
			fmt.Fprintf(&out, "  %s %s at %s %d: %s %s\n", r.ID, r.Hook, r.Stage, r.Step, r.Status, r.Answer)
		}
	}
	for r := range w.State.Rules() {
		if r.Action.Forward != nil {
			fmt.Fprintf(&out, "  rule %s: %v\n", r.ID, r.Action.Forward.Groups)
		}
	}
	return out.String()
}

// deployCommand is a command about a deployment as text.
func deployCommand(item fleet.Item) string {
	switch c := item.Command.(type) {
	case fleet.AdvanceDeployment:
		text := fmt.Sprintf("advance %s to %s %d, production %d, test %d", c.ID, c.Stage, c.Step, c.Production/100,
			c.Test/100)
		if c.Why != "" {
			text += ": " + c.Why
		}
		return text
	case fleet.NoteDeployment:
		text := "note " + string(c.ID)
		if c.Shifted {
			text += " shifted"
		}
		if c.Short != nil {
			text += map[bool]string{true: " short", false: " whole"}[*c.Short]
		}
		for _, a := range c.Alarms {
			text += fmt.Sprintf(" %s %s (%s)", a.Name, a.Status, a.Answer)
		}
		return text
	case fleet.BeginHook:
		if c.Effect != nil && c.Effect.EffectKind == deployment.KindLogTail {
			return fmt.Sprintf("ask for the last lines of %s %s", c.Run, c.Hook)
		}
		return fmt.Sprintf("call %s %s at %s", c.Run, c.Hook, c.Stage)
	case fleet.FinishHook:
		return fmt.Sprintf("hook %s %s: %s", c.Run, c.Status, c.Answer)
	case fleet.AskAlarm:
		return fmt.Sprintf("ask %s for %s", c.Alarm, c.ID)
	case fleet.RollBackDeployment:
		return fmt.Sprintf("roll back %s: %s", c.ID, c.Reason)
	case fleet.FinishDeployment:
		return fmt.Sprintf("finish %s %s: %s", c.ID, c.Status, c.Reason)
	default:
		return fmt.Sprintf("%T", c)
	}
}

func (w *World) number(text string) int {
	w.t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		w.t.Fatalf("script: %v", err)
	}
	return n
}

func (w *World) secondsOf(text string) int { return int(w.duration(text) / time.Second) }
