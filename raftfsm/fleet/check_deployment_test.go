package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// everyDeployment is a State with a live deployment that has called hooks and shifts, one
// that ended, and an alarm.
func everyDeployment(t *testing.T) rollout {
	r := withHooks(t)
	r.must(PutAlarm{Name: "errors", URL: "https://hooks.example/skein/p", Query: "up", IntervalS: 10, Times: 1})
	r.pass()
	for _, hook := range []string{"ask", "smoke"} {
		c := r.call(hook, StagePostScaleUp)
		if hook == "smoke" {
			c.Task = &RunTasks{TaskDef: "smoke:1", Tasks: []TaskID{"s1"}}
		} else {
			c.Effect = asks("e-1", r.world)
		}
		r.must(c)
		r.must(r.answer(c.Run, HookSucceeded))
	}
	r.to(StageProductionTrafficShift)
	goals := PutGoals{Service: "web", ServiceModifyIndex: r.Service("web").ModifyIndex, Max: 4,
		Revisions: []RevisionGoal{{Revision: "web/1", Desired: 2, Max: 2}, {Revision: "web/3", Desired: 2, Max: 2}}}
	r.must(goals)
	r.checked()
	return r
}

func TestCheckFindsEachBrokenRuleOfDeployments(t *testing.T) {
	live := func(change func(*Deployment)) func(rollout) {
		return func(r rollout) {
			old := r.live()
			d := damage(old, change)
			r.deployments.Set(deploymentItem{"web", 3, d})
		}
	}
	ended := func(change func(*Deployment)) func(rollout) {
		return func(r rollout) {
			old := r.Deployment("web.2")
			r.endedDeployments.Delete(old)
			d := damage(old, change)
			r.deployments.Set(deploymentItem{"web", 2, d})
			r.endedDeployments.Set(d)
		}
	}
	stages := func(change func(list []StageRecord) []StageRecord) func(rollout) {
		return live(func(d *Deployment) { d.Stages = change(slices.Clone(d.Stages)) })
	}
	runs := func(change func(list []HookRun)) func(rollout) {
		return live(func(d *Deployment) {
			d.Hooks = slices.Clone(d.Hooks)
			change(d.Hooks)
		})
	}
	for _, c := range []struct {
		name, want string
		broken     func(rollout)
	}{
		{"of no service", `service "gone", which is not there`, live(func(d *Deployment) { d.Service = "gone" })},
		{"from the future", "is above index", live(func(d *Deployment) { d.ModifyIndex = 1 << 40 })},
		{"a number that was never given", "above the last, 2", func(r rollout) {
			r.services.Set("web", damage(r.Service("web"), func(v *Service) { v.LastDeployment = 2 }))
		}},
		{"no status", "deployment status(0)", live(func(d *Deployment) { d.Status = 0 })},
		{"ended and live", "is IN_PROGRESS, ended 2", live(func(d *Deployment) { d.EndedAt = 1_700_000_000_000 })},
		{"no strategy", "strategy(0)", live(func(d *Deployment) { d.Config.Strategy = 0 })},
		{"more than all traffic", "production 10001", live(func(d *Deployment) { d.Production = 10_001 })},
		{"a stage left out", "POST_SCALE_UP, step 0, does not follow stage 2",
			stages(func(l []StageRecord) []StageRecord { return slices.Delete(l, 2, 3) })},
		{"a stage twice", "PRE_SCALE_UP, step 0, does not follow",
			stages(func(l []StageRecord) []StageRecord { return slices.Insert(l, 1, l[1]) })},
		{"a step before its turn", "does not follow", stages(func(l []StageRecord) []StageRecord {
			l[len(l)-1].EndedAt = 1
			return append(l, StageRecord{Stage: StagePreProductionTrafficShift, Step: 3, BeganAt: 1})
		})},
		{"a stage that goes on beside the present one", "SCALE_UP goes on",
			stages(func(l []StageRecord) []StageRecord {
				l[2].EndedAt = 0
				return l
			})},
		{"a history that is elsewhere", "its history is at", live(func(d *Deployment) { d.Stage = StageBakeTime })},
		{"a hook that was called twice at a stage", "hook ask was called twice",
			runs(func(l []HookRun) { l[2].Hook = "ask" })},
		{"two calls of one id", "was called twice", runs(func(l []HookRun) { l[2].ID = l[1].ID })},
		{"a call without a status", "hook status(0)", runs(func(l []HookRun) { l[0].Status = 0 })},
		{"an open call of one that ended", "call web.2-1 is open", ended(func(d *Deployment) {
			d.Hooks = []HookRun{{ID: "web.2-1", Hook: "x", Stage: StagePreScaleUp, Status: HookInProgress}}
		})},
		{"another revision than the target", "the service is at web/1", func(r rollout) {
			r.services.Set("web", damage(r.Service("web"), func(v *Service) { v.Revision = "web/1" }))
		}},
		{"a blue that is gone", "no revision web/1", func(r rollout) {
			r.revisions.Delete(itemOfRevision(r.Revision("web/1")))
		}},
		{"green with more traffic than it was given", "web/3 has 10 % of rule shop/default, which has blue 80 %, green 20 %",
			func(r rollout) {
				r.rules.Set("shop/default", damage(r.Rule("shop/default"), func(rule *Rule) {
					rule.Action = *forward("blue", 8000, "green")
				}))
			}},
		{"test traffic that it was not given", "web/3 has 100 % of rule shop/test", func(r rollout) {
			r.rules.Set("shop/test", damage(r.Rule("shop/test"), func(rule *Rule) {
				rule.Action = *forward("blue", 5000, "green")
			}))
		}},
		{"blue that is to lose tasks", "goals want 1 of web/1, which it may go back to with 2", func(r rollout) {
			r.goals.Set("web", damage(r.Goals("web"), func(g *Goals) {
				g.Revisions = []RevisionGoal{{Revision: "web/1", Desired: 1, Max: 1}}
			}))
		}},
		{"two that are live", "and not the newest",
			ended(func(d *Deployment) { d.Status, d.EndedAt = DeploymentInProgress, 0 })},
		{"the index of live ones", "index of live deployments", func(r rollout) { r.liveDeployments.Delete("web") }},
		{"the index of ended ones", "index of deployments that ended", func(r rollout) { r.endedDeployments.PopMin() }},
		{"an alarm that never asks", "alarm errors: intervalSeconds", func(r rollout) {
			r.alarms.Set("errors", damage(r.Alarm("errors"), func(a *Alarm) { a.IntervalS = 0 }))
		}},
		{"an alarm from the future", "alarm errors: mod", func(r rollout) {
			r.alarms.Set("errors", damage(r.Alarm("errors"), func(a *Alarm) { a.ModifyIndex = 1 << 40 }))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := everyDeployment(t)
			touched := ChangeSetOf(DeploymentSubject("web.3"), DeploymentSubject("web.2"), DeploymentSubject("web.1"),
				Subject{SubjectAlarm, "errors"}, ServiceSubject("web"))
			if err := r.CheckChangeSet(touched); err != nil {
				t.Fatal(err)
			}
			c.broken(r)
			if err := r.Check(); !strings.Contains(fmt.Sprint(err), c.want) {
				t.Errorf("Check: %v\nwant %q", err, c.want)
			}
			if err := r.CheckChangeSet(touched); err == nil {
				t.Error("CheckChangeSet finds nothing")
			}
		})
	}
}
