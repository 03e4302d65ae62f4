package fleet

import (
	"fmt"
	"strings"
	"testing"
)

// ending is a way in which a deployment comes to its end from a stage.
type ending struct {
	name string
	end  func(rollout)
	// cleansUp says that it is possible in CLEAN_UP, where people cannot stop it any more.
	cleansUp bool
	gone     bool // the service is
}

var endings = []ending{
	{"it goes on to success", func(r rollout) {
		r.to(StageCleanUp)
		for _, id := range r.othersThan(r.live().Target) {
			r.gone(id)
		}
		r.must(r.finish(DeploymentSuccessful))
	}, true, false},
	{"people stop it", func(r rollout) { r.must(OrderDeployment{ID: r.live().ID, Order: OrderStop}) }, false, false},
	{"the planner stops it", func(r rollout) { r.must(r.finish(DeploymentStopped)) }, false, false},
	{"it is rolled back", func(r rollout) {
		r.must(r.back())
		if d := r.LiveDeployment("web"); d != nil {
			r.gone(d.Target)
			r.must(r.finish(DeploymentRolledBack))
		}
	}, false, false},
	{"its rollback fails while tasks are left", func(r rollout) {
		r.must(r.back())
		if r.LiveDeployment("web") != nil {
			r.must(r.finish(DeploymentRollbackFailed))
		}
	}, false, false},
	{"people stop its rollback", func(r rollout) {
		r.must(r.back())
		if d := r.LiveDeployment("web"); d != nil {
			r.must(OrderDeployment{ID: d.ID, Order: OrderStop})
		}
	}, false, false},
	{"another takes over, and is stopped", func(r rollout) {
		r.deploy(r.live().Config)
		r.must(OrderDeployment{ID: r.live().ID, Order: OrderStop})
	}, true, false},
	{"another takes over, and is rolled back while tasks are left", func(r rollout) {
		r.deploy(canary)
		r.must(r.back())
		if r.LiveDeployment("web") != nil {
			r.must(r.finish(DeploymentRollbackFailed))
		}
	}, true, false},
	{"a rolling one takes over, and is stopped", func(r rollout) {
		r.deploy(DeploymentConfig{})
		r.must(OrderDeployment{ID: r.live().ID, Order: OrderStop})
	}, true, false},
	{"the service is deleted", func(r rollout) { r.must(DeleteService{Name: "web", Force: true}) }, true, true},
	{"another takes over, and the service is deleted", func(r rollout) {
		r.deploy(canary)
		r.must(DeleteService{Name: "web", Force: true})
	}, true, true},
	{"the service is deleted while it goes back", func(r rollout) {
		r.must(r.back())
		r.must(DeleteService{Name: "web", Force: true})
	}, false, true},
}

// Whatever way a deployment ends, rules and groups read as people wrote them in the apply
// that ends it, and what has traffic are tasks of the service's revision.
func TestRulesAndGroupsReadAsPeopleWroteThemHoweverADeploymentEnds(t *testing.T) {
	for _, config := range []DeploymentConfig{
		{Strategy: Rolling},
		{Strategy: BlueGreen},
		{Strategy: Linear, StepShare: 4000},
		canary,
	} {
		for _, stage := range config.Strategy.Stages() {
			for _, way := range endings {
				if stage == StageCleanUp && !way.cleansUp {
					continue
				}
				t.Run(fmt.Sprintf("%s at %s, %s", config.Strategy, stage, way.name), func(t *testing.T) {
					r := rolls(t, DeploymentConfig{})
					r.must(SetWeights{Rule: "shop/default", ExpectedModifyIndex: r.Rule("shop/default").ModifyIndex,
						Weights: []GroupWeight{{"red", 4000}, {"blue", 6000}}})
					wrote := r.shares()
					r.deploy(config)
					r.to(stage)
					way.end(r)
					r.want("rules", r.shares(), strings.ReplaceAll(wrote, ", green 0 %", ""))
					r.atHome()
					r.checked()
					if way.gone {
						for _, id := range r.othersThan("") {
							r.gone(id)
						}
						r.want("rules without the service", r.shares(), wrote)
					}
					r.checked()
				})
			}
		}
	}
}

// othersThan are the other revisions that have tasks.
func (r rollout) othersThan(id RevisionID) (all []RevisionID) {
	for other := range r.LiveRevisions("web") {
		if other != id {
			all = append(all, other)
		}
	}
	return all
}

// atHome checks that the revision with traffic is in the main group, and every task where
// its revision is.
func (r rollout) atHome() {
	r.t.Helper()
	v, d := r.Service("web"), r.LastDeployment("web")
	serves := v.Revision
	if v.Status == ServiceDraining && d.Config.Strategy.Shifts() && d.Stage != StageCleanUp {
		serves = d.Blue
	}
	r.want(string(serves)+" is bound to", string(r.Revision(serves).Groups[0].Group), "blue")
	for t := range r.LiveTasksOfService("web") {
		r.want(string(t.ID)+" is in", string(t.Targets[0].Group), string(r.Revision(t.Revision).Groups[0].Group))
	}
}
