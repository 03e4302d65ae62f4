package deploy_test

import (
	"fmt"
	"strings"
	"testing"

	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/hosts"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
	"skein/raftfsm/fleet"
)

var planners = []func(plan.Input) plan.Plan{hosts.Next, deploy.Next, service.Next, placement.Next}

const threeHosts = `
web desired=3 dynamic check
h1 zone=a reads=2: web/1 running healthy
h2 zone=b reads=2: web/1 running healthy
h3 zone=c reads=2: web/1 running healthy
leader format=2`

// rollout is a service with a deployment under way, held to what must always be so.
type rollout struct {
	*plantest.World
	t       *testing.T
	shaken  bool // hosts were lost, or it was scaled: blue may be short of tasks meanwhile
	creates map[fleet.RevisionID]int
}

// begin deploys a service, with or without a balancer in front of it.
func begin(t *testing.T, exposed bool, words string) *rollout {
	t.Helper()
	r := beginIn(t, threeHosts)
	if exposed {
		r.play("expose web")
		r.play("live")
	}
	r.play("deploy web " + words)
	return r
}

// beginIn is a fleet in which nothing is deployed yet.
func beginIn(t *testing.T, fleetText string) *rollout {
	t.Helper()
	return &rollout{World: plantest.Parse(t, fleetText), t: t, creates: map[fleet.RevisionID]int{}}
}

func (r *rollout) play(step string) string {
	r.t.Helper()
	watched := make([]func(plan.Input) plan.Plan, len(planners))
	for i, next := range planners {
		watched[i] = func(in plan.Input) plan.Plan {
			r.check(in.State)
			p := next(in)
			for _, item := range p.Items {
				if c, ok := item.Command.(fleet.CreateTasks); ok {
					r.creates[c.Revision] += len(c.Tasks)
				}
			}
			return p
		}
	}
	return r.Play(step, watched...)
}

// check holds a State to what must be so at any moment.
func (r *rollout) check(s *fleet.State) {
	r.t.Helper()
	d, v := s.LiveDeployment("web"), s.Service("web")
	if d == nil || d.Blue == "" || v.Status != fleet.ServiceActive {
		return
	}
	if blue := s.Counts("web", d.Blue); !r.shaken && d.Config.Strategy.Shifts() && d.Stage < fleet.StageCleanUp &&
		blue.Running < v.Desired {
		r.t.Fatalf("%s at %s: %d of %d tasks of blue run", d.ID, d.Stage, blue.Running, v.Desired)
	}
	if d.Status == fleet.DeploymentRollingBack && d.Production+d.Test > 0 {
		r.t.Fatalf("%s goes back and has production %d, test %d", d.ID, d.Production, d.Test)
	}
}

// until lets time pass until a stage is reached; false says that it never was.
func (r *rollout) until(stage fleet.LifecycleStage) bool {
	r.t.Helper()
	for range 40 {
		d := r.State.LiveDeployment("web")
		if d == nil || d.Stage == stage {
			return d != nil
		}
		r.play("live web " + stage.String())
		if d := r.State.LiveDeployment("web"); d != nil && d.Stage == stage {
			return true
		}
		r.play("wait 1m")
	}
	return false
}

// end lets time pass until no deployment is live and nothing more is planned.
func (r *rollout) end() {
	r.t.Helper()
	for range 60 {
		r.play("live")
		if r.State.LiveDeployment("web") == nil {
			r.play("wait 2m")
			r.play("live")
			return
		}
		r.play("wait 1m")
	}
	r.t.Fatalf("the deployment does not end:\n%s%s", r.play("deployments web"), r.play("status"))
}

// atRest checks that the service is whole, alone with one revision, and that rules are as
// people wrote them.
func (r *rollout) atRest() {
	r.t.Helper()
	v := r.State.Service("web")
	own, all := r.State.Counts("web", v.Revision), r.State.Counts("web", "")
	if own.Serving != v.Desired || all.Running+all.Pending != v.Desired {
		r.t.Errorf("%d of %d tasks of %s are healthy, %d are there:\n%s", own.Serving, v.Desired, v.Revision,
			all.Running+all.Pending, r.play("status"))
	}
	for _, row := range plan.ConditionsOf(r.State, fleet.ServiceSubject("web")) {
		r.t.Errorf("it still says %s: %s", row.Code, row.Message)
	}
	for rule := range r.State.Rules() {
		for _, w := range rule.Action.Forward.Groups {
			if want := map[fleet.TargetGroupName]int{"web-blue": fleet.TotalWeight}[w.Group]; w.Weight != want {
				r.t.Errorf("rule %s: %v", rule.ID, rule.Action.Forward.Groups)
			}
		}
	}
	if got := r.play("plan"); got != "nothing\n" {
		r.t.Errorf("at rest it plans %s", got)
	}
	if err := r.State.Check(); err != nil {
		r.t.Error(err)
	}
}

// outcome is what a deployment came to.
func (r *rollout) outcome(id fleet.DeploymentID) fleet.DeploymentStatus {
	r.t.Helper()
	d := r.State.Deployment(id)
	if d == nil {
		r.t.Fatalf("%s is forgotten", id)
	}
	return d.Status
}

// happening is what comes between a deployment and its end, and what becomes of it then:
// success, or what ends says of a stage.
type happening struct {
	steps  []string
	ends   func(fleet.LifecycleStage) fleet.DeploymentStatus
	shakes bool
	gone   bool // the service is
	// until clean-up it makes a difference; from there on it is refused.
	orders bool
}

var happenings = map[string]happening{
	"nothing happens":    {},
	"it is scaled up":    {steps: []string{"scale web 5"}, shakes: true},
	"it is scaled in":    {steps: []string{"scale web 1"}},
	"a host is cordoned": {steps: []string{"cordon h2"}},
	"a task must move":   {steps: []string{"replace new-01 drain"}},
	"a host is lost":     {steps: []string{"see h2 silent 40s"}, shakes: true},
	"a new leader hears nobody yet, then all": {steps: []string{"see h1 unknown 1s", "see h2 unknown 1s",
		"see h3 unknown 1s", "plan", "see h1 alive 1s", "see h2 alive 1s", "see h3 alive 1s"}},
	"people pause it, and let it go on": {orders: true,
		steps: []string{"order web pause", "live", "wait 30h", "live", "order web continue"}},
	"people promote it": {steps: []string{"order web promote"}, orders: true},
	"people take it back": {steps: []string{"order web rollback"}, orders: true,
		ends: func(fleet.LifecycleStage) fleet.DeploymentStatus { return fleet.DeploymentRolledBack }},
	"people stop it": {steps: []string{"order web stop"}, orders: true,
		ends: func(fleet.LifecycleStage) fleet.DeploymentStatus { return fleet.DeploymentStopped }},
	"another deployment begins":                 {steps: []string{"deploy web"}, ends: replaced},
	"another deployment begins, and is stopped": {steps: []string{"deploy web", "live", "order web stop"}, ends: replaced},
	"the service is deleted":                    {steps: []string{"delete web"}, gone: true},
}

// replaced is how a deployment ends at a stage that another takes over from.
func replaced(at fleet.LifecycleStage) fleet.DeploymentStatus {
	if at == fleet.StageCleanUp {
		return fleet.DeploymentSuccessful
	}
	return fleet.DeploymentStopped
}

var strategies = map[string]string{
	"ROLLING":    "strategy=ROLLING bake=2m",
	"BLUE_GREEN": "strategy=BLUE_GREEN bake=2m",
	"LINEAR":     "strategy=LINEAR step=40 every=1m bake=2m",
	"CANARY":     "strategy=CANARY canary=10 every=1m bake=2m",
}

// Whatever happens at whichever stage, a deployment ends as it should, blue is whole until
// clean-up, and the fleet comes to rest with one revision and the weights that people wrote.
func TestWhateverHappensAtAnyStage(t *testing.T) {
	for strategy, words := range strategies {
		kind, err := fleet.ParseStrategy(strategy)
		if err != nil {
			t.Fatal(err)
		}
		for _, exposed := range []bool{true, false} {
			for _, stage := range kind.Stages() {
				for name, what := range happenings {
					t.Run(fmt.Sprintf("%s, exposed %v, at %s %s", strategy, exposed, stage, name), func(t *testing.T) {
						happens(t, exposed, words, stage, what)
					})
				}
			}
		}
	}
}

func happens(t *testing.T, exposed bool, words string, stage fleet.LifecycleStage, what happening) {
	if what.orders && stage == fleet.StageCleanUp {
		t.Skip("people cannot change its course any more")
	}
	r := begin(t, exposed, words)
	if !r.until(stage) {
		t.Fatalf("it never came to %s:\n%s", stage, r.play("deployments web"))
	}
	d := r.State.LiveDeployment("web")
	r.shaken = what.shakes
	clear(r.creates)
	for _, step := range what.steps {
		if strings.HasPrefix(step, "replace") && r.State.Task("new-01") == nil {
			step = "replace web-1 drain"
		}
		r.play(step)
	}
	r.end()
	if what.gone {
		if v := r.State.Service("web"); v != nil {
			t.Errorf("the service is still there: %+v", v)
		}
		return
	}
	want := fleet.DeploymentSuccessful
	if what.ends != nil {
		want = what.ends(stage)
	}
	if got := r.outcome(d.ID); got != want {
		t.Errorf("%s is %s, not %s:\n%s", d.ID, got, want, r.play("deployments web"))
	}
	if shifted := d.Config.Strategy.Shifts(); want == fleet.DeploymentRolledBack && shifted && len(r.creates) > 0 {
		t.Errorf("a rollback started tasks: %v", r.creates)
	}
	if last := r.State.LastDeployment("web"); last.Status == fleet.DeploymentStopped && !last.Config.Strategy.Shifts() {
		return // it stays as it was
	}
	r.atRest()
}
