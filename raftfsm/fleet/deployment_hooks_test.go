package fleet

import (
	"strings"
	"testing"
)

// hooked is a way of deployment with a webhook and a task at POST_SCALE_UP and a pause at
// PRE_SCALE_UP.
func hooked() DeploymentConfig {
	c := canary
	c.Hooks = []Hook{
		{Name: "ask", Stages: []LifecycleStage{StagePostScaleUp, StageProductionTrafficShift, PointRollbackStarted},
			Webhook: &WebhookTarget{URL: "https://hooks.example/skein/ask"}, TimeoutS: 600},
		{Name: "smoke", Stages: []LifecycleStage{StagePostScaleUp}, Task: &TaskHookTarget{TaskDef: "smoke:1"},
			TimeoutS: 600, ContinueOnTimeout: true},
		{Name: "look", Stages: []LifecycleStage{StagePreScaleUp}, Pause: true, TimeoutS: 3600},
	}
	return c
}

// withHooks is a rollout whose hooks are allowed.
func withHooks(t *testing.T) rollout {
	t.Helper()
	r := rolls(t, DeploymentConfig{})
	r.must(PutHookTarget{Target: "https://hooks.example/skein"})
	r.must(PutHookTarget{Target: "task:smoke"})
	r.must(RegisterTaskDef{Family: "smoke", Def: webDef()})
	r.deploy(hooked())
	return r
}

func asks(id EffectID, w *world) *IntendEffect {
	return &IntendEffect{ID: id, EffectKind: "webhook", Role: VoterRole(), Subject: ServiceSubject("web"),
		Deadline: w.at + 60_000, TimeoutMs: 1000, MaxAttempts: 3}
}

func (r rollout) answer(run string, status HookStatus) FinishHook {
	d := r.live()
	return FinishHook{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Run: run, Status: status}
}

// pass takes the deployment past its pause to POST_SCALE_UP.
func (r rollout) pass() {
	r.t.Helper()
	r.to(StagePreScaleUp)
	r.must(r.call("look", StagePreScaleUp))
	r.must(OrderDeployment{ID: r.live().ID, Order: OrderContinue, Run: r.live().Hooks[0].ID})
	r.to(StagePostScaleUp)
}

func TestAPauseWaitsForAPerson(t *testing.T) {
	r := withHooks(t)
	r.to(StagePreScaleUp)
	r.must(r.call("look", StagePreScaleUp))
	run := r.live().Hooks[0]
	if run.ID != "web.3-1" || run.Status != HookAwaitingAction || run.ExpiresAt != r.at+3_600_000 {
		t.Fatalf("call %+v", run)
	}
	r.refused(r.answer(run.ID, HookSucceeded), ErrConflict, "waits for a person")
	r.refused(r.answer(run.ID, HookTimedOut), ErrTooEarly, "it has time until")
	r.refused(OrderDeployment{ID: "web.3", Order: OrderContinue, Run: "web.3-9"}, ErrNotFound, `call "web.3-9"`)
	order := OrderDeployment{ID: "web.3", Order: OrderContinue, Run: run.ID}
	if res := r.item(Item{Command: order, By: "ada"}); res.Err != nil {
		t.Fatal(res.Err)
	}
	if got := r.live().Hooks[0]; got.Status != HookSucceeded || got.Answer != "by ada" {
		t.Errorf("call %+v", got)
	}
	r.want("event", r.lastEvent().Message, "web.3: hook look at PRE_SCALE_UP: SUCCEEDED: by ada")
	r.refused(OrderDeployment{ID: "web.3", Order: OrderContinue, Run: run.ID}, ErrConflict, "it is SUCCEEDED")
	r.must(r.next())
	r.checked()
}

func TestAPersonsNoRollsBack(t *testing.T) {
	r := withHooks(t)
	r.to(StagePreScaleUp)
	r.must(r.call("look", StagePreScaleUp))
	r.must(OrderDeployment{ID: "web.3", Order: OrderContinue, Run: "web.3-1", GoBack: true})
	if d := r.live(); d.Status != DeploymentRollingBack || d.Hooks[0].Status != HookFailed ||
		d.Rollback.Reason != "hook look at PRE_SCALE_UP: refused by operator" {
		t.Errorf("deployment %+v", d)
	}
	r.checked()
}

func TestAHookIsCalledWithItsEffectOrNotAtAll(t *testing.T) {
	r := withHooks(t)
	r.pass()
	c := r.call("ask", StagePostScaleUp)
	r.refused(c, ErrInvalid, "effect: is missing")
	late := asks("e-1", r.world)
	late.Deadline = r.at
	c.Effect = late
	r.refused(c, ErrInvalid, "deadline")
	c.Effect = asks("e-1", r.world)
	r.must(c)
	if e := r.Effect("e-1"); e == nil || e.Status != EffectPending || r.live().HookRun(c.Run).Effect != "e-1" {
		t.Errorf("effect %+v", e)
	}
	c = r.call("smoke", StagePostScaleUp)
	c.Effect = asks("e-2", r.world)
	r.refused(c, ErrInvalid, "task: is missing")
	c.Effect, c.Task = nil, &RunTasks{TaskDef: "web:1", Tasks: []TaskID{"s1"}}
	r.refused(c, ErrInvalid, "is not one task of smoke:1")
	c.Task = &RunTasks{TaskDef: "smoke:1", Tasks: []TaskID{"web-1"}}
	r.refused(c, ErrExists, "create task web-1")
	c.Task.Tasks = []TaskID{"s1"}
	events := r.LastEvent()
	r.must(c)
	if task := r.Task("s1"); task == nil || r.live().HookRun(c.Run).Task != "s1" || r.LastEvent() != events+1 {
		t.Errorf("task %+v, %d events", task, r.LastEvent()-events)
	}
	r.checked()
}

func TestBeginHookRefuses(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(r rollout, c *BeginHook)
		sentinel error
		text     string
	}{
		{"a hook of another stage", func(_ rollout, c *BeginHook) { c.Hook = "look" }, ErrNotFound,
			`hook "look" at POST_SCALE_UP`},
		{"a stage that it is not at", func(_ rollout, c *BeginHook) { c.Stage = StageProductionTrafficShift }, ErrConflict,
			"not at PRODUCTION_TRAFFIC_SHIFT"},
		{"a point of a rollback that is none", func(_ rollout, c *BeginHook) { c.Stage = PointRollbackStarted }, ErrConflict,
			"does not go back"},
		{"to undo what was not", func(_ rollout, c *BeginHook) { c.Undo = true }, ErrConflict, "no shift is undone"},
		{"another id than the next", func(_ rollout, c *BeginHook) { c.Run = "web.3-7" }, ErrInvalid, "the next is web.3-2"},
		{"a second call at one stage", func(r rollout, c *BeginHook) {
			r.must(*c)
			*c = r.call("ask", StagePostScaleUp)
			c.Effect = asks("e-2", r.world)
		}, ErrExists, "was called at POST_SCALE_UP: web.3-2"},
		{"the same call while its effect is open", func(r rollout, c *BeginHook) {
			r.must(*c)
			c.ExpectedModifyIndex, c.Effect = r.live().ModifyIndex, asks("e-2", r.world)
		}, ErrConflict, "effect e-1 is pending"},
		{"the same call before its time", func(r rollout, c *BeginHook) {
			r.must(*c)
			r.must(WithdrawEffect{ID: "e-1"})
			f := r.answer("web.3-2", HookInProgress)
			f.NextCall = r.at + 30_000
			r.must(f)
			r.wait(29_999)
			c.ExpectedModifyIndex, c.Effect = r.live().ModifyIndex, asks("e-2", r.world)
		}, ErrTooEarly, "it asked for"},
		{"a call that has its verdict", func(r rollout, c *BeginHook) {
			r.must(*c)
			r.must(r.answer("web.3-2", HookSucceeded))
			c.ExpectedModifyIndex, c.Effect = r.live().ModifyIndex, asks("e-2", r.world)
		}, ErrConflict, "it is SUCCEEDED"},
		{"a task beside an effect", func(_ rollout, c *BeginHook) { c.Task = &RunTasks{} }, ErrInvalid, "beside an effect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := withHooks(t)
			r.pass()
			command := r.call("ask", StagePostScaleUp)
			command.Effect = asks("e-1", r.world)
			c.change(r, &command)
			r.refused(command, c.sentinel, c.text)
		})
	}
}

func TestAHookThatAsksToBeCalledAgainIsCalledUnderItsId(t *testing.T) {
	r := withHooks(t)
	r.pass()
	c := r.call("ask", StagePostScaleUp)
	c.Effect = asks("e-1", r.world)
	r.must(c)
	f := r.answer(c.Run, HookInProgress)
	r.refused(f, ErrInvalid, "nextCall")
	f.NextCall, f.Details, f.Answer = r.at+30_000, []byte(`{"n":1}`), "not yet"
	r.must(WithdrawEffect{ID: "e-1"})
	f.ExpectedModifyIndex = r.live().ModifyIndex
	r.must(f)
	if due := r.NextDue(r.at); due != r.at+30_000 {
		t.Errorf("due in %s", due.Sub(r.at))
	}
	r.wait(30_000)
	c.ExpectedModifyIndex, c.Effect = r.live().ModifyIndex, asks("e-2", r.world)
	r.must(c)
	if run := r.live().HookRun(c.Run); run.Calls != 2 || string(run.Details) != `{"n":1}` || run.NextCall != 0 ||
		run.Effect != "e-2" {
		t.Errorf("call %+v", run)
	}
	r.must(r.answer(c.Run, HookFailed))
	if e := r.Effect("e-2"); e.Status != EffectWithdrawn {
		t.Errorf("effect %+v", e)
	}
	r.refused(r.answer(c.Run, HookSucceeded), ErrConflict, "it is FAILED")
	r.refused(r.next(), ErrTooEarly, `waits for hooks ["ask" "smoke"]`)
	r.checked()
}

func TestAHookWithoutAVerdictLetsGoOnOnlyWhereItSaysSo(t *testing.T) {
	r := withHooks(t)
	r.pass()
	c := r.call("ask", StagePostScaleUp)
	c.Effect = asks("e-1", r.world)
	r.must(c)
	smoke := r.call("smoke", StagePostScaleUp)
	smoke.Task = &RunTasks{TaskDef: "smoke:1", Tasks: []TaskID{"s1"}}
	r.must(smoke)
	r.wait(600_000)
	r.must(r.answer(smoke.Run, HookTimedOut))
	if task := r.task("s1"); task.Desired != TaskStopped {
		t.Errorf("task %+v", task)
	}
	if waits := r.live().WaitsFor(); len(waits) != 1 || waits[0] != "ask" {
		t.Errorf("waits for %v", waits)
	}
	r.must(r.answer(c.Run, HookTimedOut))
	r.refused(r.next(), ErrTooEarly, `waits for hooks ["ask"]`)
	r.checked()
}

func TestARollbackGivesUpOpenCallsAndCallsItsOwn(t *testing.T) {
	r := withHooks(t)
	r.pass()
	c := r.call("ask", StagePostScaleUp)
	c.Effect = asks("e-1", r.world)
	r.must(c)
	r.must(r.back())
	run := r.live().HookRun(c.Run)
	if run.Status != HookFailed || !strings.HasPrefix(run.Answer, "not waited for: alarm") || r.Effect("e-1").Open() {
		t.Errorf("call %+v, effect %+v", run, r.Effect("e-1"))
	}
	c = r.call("ask", PointRollbackStarted)
	c.Effect = asks("e-2", r.world)
	r.must(c)
	c = r.call("ask", StageProductionTrafficShift)
	c.Undo, c.Effect = true, asks("e-3", r.world)
	r.must(c)
	r.gone("web/3")
	r.must(r.finish(DeploymentRollbackFailed))
	for _, run := range r.LastDeployment("web").Hooks {
		if run.Open() || run.Details != nil {
			t.Errorf("call %+v", run)
		}
	}
	r.checked()
}

func TestTheAllowListSaysWhatHooksAndAlarmsMayName(t *testing.T) {
	for _, c := range []struct {
		entry, url string
		allowed    bool
	}{
		{"https://hooks.example", "https://hooks.example/a?b", true},
		{"https://hooks.example", "https://hooks.example", true},
		{"https://hooks.example", "https://hooks.example.org/a", false},
		{"https://hooks.example", "https://hooks.example:8443/a", false},
		{"https://hooks.example", "http://hooks.example/a", false},
		{"https://hooks.example/skein", "https://hooks.example/skein/a", true},
		{"https://hooks.example/skein", "https://hooks.example/skeins", false},
		{"https://hooks.example/skein/", "https://hooks.example/skein/a", true},
	} {
		h := HookTarget{Target: c.entry}
		if got := h.allows(c.url); got != c.allowed {
			t.Errorf("%s allows %s: %v", c.entry, c.url, got)
		}
	}
	for _, bad := range []string{"", "hooks.example", "ftp://a", "https://", "https://u:p@a/", "https://a/../b",
		"https://a/%2e%2e/b", "https://a/b#c", "https://a\\b", "https://a/b c", "https:///a", "https://%61/", "task:",
		"task:a b"} {
		if err := checkHookTarget("target", bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	r := withHooks(t)
	r.noop(PutHookTarget{Target: "task:smoke"})
	r.refused(DeleteHookTarget{Target: "task:smoke"}, ErrConflict, "service web needs it")
	r.refused(DeleteHookTarget{Target: "task:none"}, ErrNotFound, "task:none")
	alarm := PutAlarm{Name: "errors", URL: "https://prometheus.example", Query: "up", IntervalS: 10, Times: 1}
	r.refused(alarm, ErrInvalid,
		"skein hook-target allow https://prometheus.example")
	r.must(PutHookTarget{Target: "https://prometheus.example"})
	r.must(alarm)
	secret := "https://other.example/services/secret?key=secret"
	if err := r.CheckHookURL(secret); err == nil || strings.Contains(err.Error(), "secret") ||
		!strings.Contains(err.Error(), "https://other.example") {
		t.Errorf("the refusal that all see says %v", err)
	}
	r.refused(DeleteHookTarget{Target: "https://prometheus.example"}, ErrConflict, "alarm errors needs it")
	r.checked()
}

func TestAlarmsOfADeployment(t *testing.T) {
	r := rolls(t, DeploymentConfig{})
	r.must(PutHookTarget{Target: "https://prometheus.example"})
	put := PutAlarm{Name: "errors", URL: "https://prometheus.example/p", Query: "rate(x[1m])", Above: true, Threshold: 0.5,
		IntervalS: 10, Times: 2}
	r.must(put)
	r.refused(put, ErrExists, "create alarm errors")
	put.Name = AnalysisAlarm
	r.refused(put, ErrInvalid, "what ingress itself sees")
	config := canary
	config.Alarms = Alarms{Names: []string{"errors"}, Rollback: true}
	config.Analysis = &Analysis{WindowS: 10, MinRequests: 20, ErrorShare: 500}
	r.deploy(config)
	r.refused(DeleteAlarm{Name: "errors"}, ErrConflict, "service web names it")
	d := r.live()
	if len(d.Alarms) != 2 || d.Alarms[0].Name != "errors" || d.Alarms[1].Name != AnalysisAlarm ||
		d.Alarms[0].Status != AlarmInsufficientData {
		t.Fatalf("alarms %+v", d.Alarms)
	}
	ask := AskAlarm{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Alarm: "errors", Effect: *asks("e-1", r.world)}
	r.must(ask)
	ask.ExpectedModifyIndex, ask.Effect.ID = r.live().ModifyIndex, "e-2"
	r.refused(ask, ErrConflict, "is asked by effect e-1")
	ask.Alarm = "none"
	r.refused(ask, ErrNotFound, `alarm "none"`)
	r.wait(5000)
	note := NoteDeployment{ID: d.ID, ExpectedModifyIndex: r.live().ModifyIndex,
		Alarms: []AlarmState{{Name: "errors", Status: AlarmFires, Firing: 2, Answer: "0.7 > 0.5"}}}
	r.must(note)
	if a := r.live().Alarms[0]; a.Status != AlarmFires || a.Since != r.at || a.Effect != "" || a.AskedAt != r.at-5000 {
		t.Errorf("alarm %+v", a)
	}
	note.ExpectedModifyIndex = r.live().ModifyIndex
	r.noop(note)
	note.Alarms[0].Name = "none"
	r.refused(note, ErrNotFound, `alarm "none"`)
	note.Alarms, note.Shifted, note.WeightsIndex = nil, true, 9999
	r.refused(note, ErrMoved, "weights are of")
	r.checked()
}
