package fleet

import (
	"strings"
	"testing"
	"unicode"
)

// What planners say is made of what hooks answer and tasks end with, behind words of
// their own. It is kept, as far as there is room, and never a reason to refuse.
func TestPlannersAreNotRefusedForTheTextsThatTheySay(t *testing.T) {
	long := "hook smoke failed: " + strings.Repeat("line\n\tof a trace \xff", 1_000)
	for name, say := range map[string]func(t *testing.T) string{
		"RollBackDeployment": func(t *testing.T) string {
			r := rolls(t, canary)
			back := r.back()
			back.Reason = long
			r.must(back)
			return r.live().Rollback.Reason
		},
		"RollBackDeployment, with nothing to go back to": func(t *testing.T) string {
			w := trafficOf(t, 2)
			w.must(balanced(2))
			r := rollout{w}
			back := r.back()
			back.Reason = long
			r.must(back)
			return r.LastDeployment("web").Reason
		},
		"FinishDeployment": func(t *testing.T) string {
			r := rolls(t, canary)
			end := r.finish(DeploymentStopped)
			end.Reason = long
			r.must(end)
			return r.LastDeployment("web").Reason
		},
		"AdvanceDeployment": func(t *testing.T) string {
			r := rolls(t, canary)
			r.must(r.next())
			next := r.next()
			next.Why = long
			r.must(next)
			return r.live().Stages[0].Why
		},
		"FinishHook": func(t *testing.T) string {
			r := withHooks(t)
			r.pass()
			call := r.call("ask", StagePostScaleUp)
			call.Effect = asks("e-1", r.world)
			r.must(call)
			said := r.answer(call.Run, HookFailed)
			said.Answer = long
			r.must(said)
			return r.live().HookRun(call.Run).Answer
		},
		"NoteDeployment": func(t *testing.T) string {
			config := canary
			config.Analysis = &Analysis{WindowS: 60, MinRequests: 10, ErrorShare: 100}
			r := rolls(t, config)
			d := r.live()
			r.must(NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex,
				Alarms: []AlarmState{{Name: AnalysisAlarm, Status: AlarmFires, Answer: long}}})
			return r.live().Alarms[0].Answer
		},
		"a task that ended, as the circuit breaker keeps it": func(t *testing.T) string {
			r := rolls(t, DeploymentConfig{Breaker: Breaker{Enable: true}})
			r.to(StageScaleUp)
			r.green()
			ended := stopped("green-2-1", 1)
			ended.StopCode, ended.Reason = StopEssentialContainerExited, long
			r.report(1, ended)
			return r.live().Breaker.Last
		},
		"AssignEntryAddress": func(t *testing.T) string {
			w := entriesOf(t, 2)
			c := assign(0, 1, 0)
			c.Why = long
			w.must(c)
			return w.entry().Why
		},
	} {
		t.Run(name, func(t *testing.T) {
			kept := say(t)
			if !strings.Contains(kept, "line  of a trace") || len(kept) < maxMessage-3 || len(kept) > MaxReason ||
				strings.ContainsFunc(kept, unicode.IsControl) {
				t.Errorf("kept is %d bytes: %q", len(kept), kept)
			}
		})
	}
}
