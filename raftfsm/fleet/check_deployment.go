package fleet

import "slices"

// checkDeployment: it is of a service, at most one of which is live (I7); its history is
// the beginning of its strategy's stages, and no hook was called twice at one of them
// (I8).
func (s *State) checkDeployment(b *violations, d *Deployment) {
	v := s.Service(d.Service)
	name, n := d.ID.Split()
	if v == nil || name != d.Service {
		b.add("deployment %s is of service %q, which is not there", d.ID, d.Service)
		return
	}
	b.must(d.ModifyIndex <= s.index, "deployment %s: mod %d is above index %d", d.ID, d.ModifyIndex, s.index)
	b.must(n <= v.LastDeployment, "deployment %s: its number is above the last, %d", d.ID, v.LastDeployment)
	b.must(d.Status >= DeploymentPending && d.Status <= DeploymentRollbackFailed, "deployment %s: %s", d.ID, d.Status)
	b.must(d.Live() == (d.EndedAt == 0), "deployment %s is %s, ended %s", d.ID, d.Status, d.EndedAt)
	b.must(d.Config.Strategy >= Rolling && d.Config.Strategy <= Canary, "deployment %s: %s", d.ID, d.Config.Strategy)
	b.must(min(d.Production, d.Test) >= 0 && max(d.Production, d.Test) <= TotalWeight,
		"deployment %s: production %d, test %d", d.ID, d.Production, d.Test)
	b.must(d.Live() || d.Wrote == nil, "deployment %s is %s, and keeps what people wrote into rules", d.ID, d.Status)
	s.checkStagesOf(b, d)
	checkRunsOf(b, d)
	if d.Live() {
		s.checkLive(b, v, d)
	}
}

// checkStagesOf: the history is a prefix of the stages that the strategy has (I8).
func (s *State) checkStagesOf(b *violations, d *Deployment) {
	stages := d.Config.Strategy.Stages()
	at := -1
	step := 0
	for i, r := range d.Stages {
		again := r.Stage == StagePreProductionTrafficShift && i > 0 &&
			d.Stages[i-1].Stage == StageProductionTrafficShift
		switch {
		case again && r.Step == step+1:
			at, step = at-1, r.Step
		case at+1 < len(stages) && r.Stage == stages[at+1]:
			at++
			step = max(step, r.Step)
		default:
			b.add("deployment %s: %s, step %d, does not follow stage %d", d.ID, r.Stage, r.Step, i)
			return
		}
		b.must(r.EndedAt != 0 || i == len(d.Stages)-1 && d.Status == DeploymentInProgress,
			"deployment %s: %s goes on, it is %s", d.ID, r.Stage, d.Status)
	}
	if last := len(d.Stages) - 1; last >= 0 {
		b.must(d.Stages[last].Stage == d.Stage && d.Stages[last].Step == d.HookStep(d.Stage),
			"deployment %s: at %s, step %d, its history is at %s, step %d", d.ID, d.Stage, d.Step, d.Stages[last].Stage,
			d.Stages[last].Step)
	}
}

// checkRunsOf: a hook was called once at a stage and step (I8), under an id of its own,
// and of a deployment that ended none is open.
func checkRunsOf(b *violations, d *Deployment) {
	for i := range d.Hooks {
		r := &d.Hooks[i]
		b.must(d.RunOf(r.Hook, r.Stage, r.Step, r.Undo) == r && d.HookRun(r.ID) == r,
			"deployment %s: hook %s was called twice at %s", d.ID, r.Hook, r.Stage)
		b.must(r.Status >= HookInProgress && r.Status <= HookTimedOut && r.Open() == (r.EndedAt == 0),
			"deployment %s: call %s is %s, ended %s", d.ID, r.ID, r.Status, r.EndedAt)
		b.must(d.Live() || !r.Open(), "deployment %s is %s, call %s is open", d.ID, d.Status, r.ID)
	}
}

// checkLive: green has the traffic that the deployment says, and blue its tasks, until it
// cleans up (I7).
func (s *State) checkLive(b *violations, v *Service, d *Deployment) {
	b.must(v.Status == ServiceActive, "deployment %s is %s, its service %s", d.ID, d.Status, v.Status)
	b.must(s.LastDeployment(d.Service) == d, "deployment %s is %s, and not the newest", d.ID, d.Status)
	want := d.Target
	if d.Status == DeploymentRollingBack {
		want = d.Blue
	}
	b.must(v.Revision == want, "deployment %s is %s from %s to %s, the service is at %s", d.ID, d.Status, d.Blue, d.Target,
		v.Revision)
	b.must(s.Revision(d.Target) != nil, "deployment %s: no revision %s", d.ID, d.Target)
	b.must(d.Blue == "" || s.Revision(d.Blue) != nil, "deployment %s: no revision %s", d.ID, d.Blue)
	for _, p := range s.pairs(v, d) {
		for _, r := range s.production(p.lb) {
			checkShareOf(b, d, r, p, d.Production)
		}
		if p.lb.TestRule != "" {
			checkShareOf(b, d, s.Rule(p.lb.TestRule), p, d.Test)
		}
	}
	if g := s.Goals(v.Name); g != nil && d.keepsBlue() {
		goal, _ := g.Of(d.Blue)
		b.must(goal.Desired >= v.Desired, "deployment %s: goals want %d of %s, which it may go back to with %d", d.ID,
			goal.Desired, d.Blue, v.Desired)
	}
}

func checkShareOf(b *violations, d *Deployment, r *Rule, p pair, points int) {
	if r == nil || r.Action.Forward == nil {
		return
	}
	groups := r.Action.Forward.Groups
	b.must(slices.Equal(groups, divided(groups, p, points)), "deployment %s: %s has %s of rule %s, which has %s", d.ID,
		d.Target, share(points), r.ID, shares(groups))
}

// keepsBlue reports whether blue must have all its tasks, so that a rollback starts none.
func (d *Deployment) keepsBlue() bool {
	return d.Config.Strategy.Shifts() && d.Blue != "" && (d.Stage != StageCleanUp || d.Status == DeploymentRollingBack)
}

func (s *State) checkAlarmRow(b *violations, a *Alarm) {
	err := a.check()
	b.must(err == nil, "alarm %s: %v", a.Name, err)
	b.must(a.ModifyIndex <= s.index, "alarm %s: mod %d is above index %d", a.Name, a.ModifyIndex, s.index)
}

// checkDeploymentsChanged checks what an entry touched of deployments.
func (s *State) checkDeploymentsChanged(b *violations, t ChangeSet) {
	for subject := range t.Subjects(SubjectDeployment, SubjectService, SubjectAlarm) {
		switch subject.Kind {
		case SubjectAlarm:
			if a := s.Alarm(subject.Name); a != nil {
				s.checkAlarmRow(b, a)
			}
		case SubjectService:
			if d := s.LiveDeployment(subject.Name); d != nil {
				s.checkDeployment(b, d)
			}
		default:
			s.checkDeploymentIndexed(b, DeploymentID(subject.Name))
		}
	}
}

func (s *State) checkDeploymentIndexed(b *violations, id DeploymentID) {
	d := s.Deployment(id)
	if d == nil {
		return
	}
	s.checkDeployment(b, d)
	live, _ := s.liveDeployments.Get(d.Service)
	_, ended := s.endedDeployments.Get(d)
	b.must(d.Live() == (live == d.ID) && d.Live() != ended, "deployment %s is %s: live %q, among the ended %v", d.ID,
		d.Status, live, ended)
}
