package view

import (
	"fmt"
	"iter"
	"strings"

	"skein/agent/api/endpoint"
	"skein/agent/api/types"
	"skein/raftfsm/fleet"
)

func deploymentEndpoints() []Endpoint {
	return []Endpoint{
		{
			Spec: endpoint.Get("/v1/deployments", "Deployments: those of one service, the newest first, or of all",
				types.Deployments{}, endpoint.Service, endpoint.Live, endpoint.Limit, endpoint.Next("deployments")),
			Read: (*View).deployments,
		},
		{
			Spec: endpoint.Get("/v1/deployments/{id}", "One deployment, by its id, or a service's newest by the service's name",
				types.Deployment{}),
			Read: (*View).deployment,
		},
		{Spec: endpoint.Get("/v1/alarms", "Alarms by name", types.Alarms{}), Read: (*View).alarmRows},
		{
			Spec: endpoint.Get("/v1/hook-targets", "What hooks and alarms may name", types.HookTargets{}),
			Read: (*View).hookTargets,
		},
	}
}

// FindDeployment takes an id, or the name of a service for its newest.
func FindDeployment(st *fleet.State, ref string) (*fleet.Deployment, error) {
	if d := st.Deployment(fleet.DeploymentID(ref)); d != nil {
		return d, nil
	}
	if d := st.LastDeployment(ref); d != nil {
		return d, nil
	}
	if st.Service(ref) != nil {
		return nil, fmt.Errorf("deployment of service %q: it has had none: %w", types.Clean(ref), fleet.ErrNotFound)
	}
	return nil, fmt.Errorf("deployment %q: %w", types.Clean(ref), fleet.ErrNotFound)
}

// FindAlarm takes a name.
func FindAlarm(st *fleet.State, name string) (*fleet.Alarm, error) {
	if a := st.Alarm(name); a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("alarm %q: %w", types.Clean(name), fleet.ErrNotFound)
}

func (v *View) deployments() (any, error) {
	limit, next := v.limit(defaultPage), fleet.DeploymentID(v.after("deployments"))
	live := endpoint.IsSet(v.URL.Query(), endpoint.Live.Name)
	answer := &types.Deployments{Meta: v.Meta, Deployments: []types.Deployment{}}
	skipping, looked := next != "", 0
	for d := range v.deploymentsOf(live) {
		if skipping {
			skipping = !follows(d.ID, next, v.param(endpoint.Service.Name) != "")
			if skipping {
				continue
			}
		}
		if len(answer.Deployments) == limit || looked == maxScan {
			answer.Next = endpoint.NewCursor("deployments", string(next))
			break
		}
		looked, next = looked+1, d.ID
		if !live || d.Live() {
			answer.Deployments = append(answer.Deployments, v.DeploymentRow(d))
		}
	}
	return answer, nil
}

// follows reports whether a deployment comes behind the last one of a page, which may have
// been removed since. Those of one service are listed from the newest on.
func follows(id, last fleet.DeploymentID, newestFirst bool) bool {
	service, n := id.Split()
	lastService, lastN := last.Split()
	if service != lastService {
		return service > lastService
	}
	if newestFirst {
		return n < lastN
	}
	return n > lastN
}

func (v *View) deploymentsOf(live bool) iter.Seq[*fleet.Deployment] {
	if service := v.param(endpoint.Service.Name); service != "" {
		return v.State.Deployments(service)
	}
	if live {
		return v.State.LiveDeployments()
	}
	return v.State.AllDeployments()
}

func (v *View) deployment() (any, error) {
	d, err := FindDeployment(v.State, v.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return v.DeploymentHistory(d), nil
}

// DeploymentHistory is the row of a deployment with all that it went through.
func (v *View) DeploymentHistory(d *fleet.Deployment) *types.Deployment {
	row := v.DeploymentRow(d)
	for i := range d.Hooks {
		r := &d.Hooks[i]
		row.Hooks = append(row.Hooks, types.HookRun{
			ID: r.ID, Hook: r.Hook, Stage: r.Stage.String(), Step: r.Step, Undo: r.Undo, Status: r.Status.String(),
			Calls: r.Calls, Task: string(r.Task), Answer: types.Clean(r.Answer), BeganAt: types.Stamp(r.BeganAt),
			EndedAt: types.Stamp(r.EndedAt), ExpiresAt: types.Stamp(r.ExpiresAt), NextCall: types.Stamp(r.NextCall),
		})
	}
	for _, s := range d.Stages {
		row.Stages = append(row.Stages, types.StageRecord{Stage: s.Stage.String(), Phase: s.Stage.Phase(), Step: s.Step,
			BeganAt: types.Stamp(s.BeganAt), EndedAt: types.Stamp(s.EndedAt), Why: types.Clean(s.Why)})
	}
	return &row
}

// DeploymentRow is the row of a deployment, without its history.
func (v *View) DeploymentRow(d *fleet.Deployment) types.Deployment {
	row := types.Deployment{
		ID: string(d.ID), ModifyIndex: d.ModifyIndex, Service: d.Service, Strategy: strategyOf(&d.Config).String(),
		Status: d.Status.String(), Reason: types.Clean(d.Reason), Step: d.Step, Steps: d.Config.Steps(),
		StageSince: types.Stamp(d.StageSince), Promoted: d.Promote,
		Target:    v.deploymentRevision(d, d.Target, d.Test, d.Production),
		CreatedAt: types.Stamp(d.CreatedAt), StartedAt: types.Stamp(d.StartedAt), UpdatedAt: types.Stamp(d.UpdatedAt),
		EndedAt: types.Stamp(d.EndedAt),
	}
	if d.Stage != 0 {
		row.Stage, row.Phase = d.Stage.String(), d.Stage.Phase()
	}
	if d.Status == fleet.DeploymentRollingBack {
		row.Phase = fleet.PointRollbackStarted.Phase()
	}
	if d.Blue != "" {
		source := v.deploymentRevision(d, d.Blue, fleet.TotalWeight-d.Test, fleet.TotalWeight-d.Production)
		row.Source = &source
	}
	if d.Live() {
		row.WaitsUntil, row.Waits = types.Stamp(d.WaitsUntil()), v.waitOf(d)
	}
	if d.Pause != nil {
		row.Paused = &types.Pause{By: types.Clean(d.Pause.By), At: types.Stamp(d.Pause.At)}
	}
	if r := d.Rollback; r != nil {
		row.Rollback = &types.Rollback{Reason: types.Clean(r.Reason), StartedAt: types.Stamp(r.StartedAt),
			Revision: string(r.Revision), By: types.Clean(r.By)}
	}
	if b, builtIn := d.CircuitBreaker(); b.Enable {
		row.Breaker = &types.BreakerState{Failures: d.Breaker.Failures, Threshold: v.threshold(d.Service, &b),
			Tripped: d.Breaker.Tripped, Last: types.Clean(d.Breaker.Last), BuiltIn: builtIn}
	}
	row.Warnings = unjudged(d)
	for _, a := range d.Alarms {
		row.Alarms = append(row.Alarms, types.AlarmState{Name: a.Name, Status: a.Status.String(),
			Since: types.Stamp(a.Since), Ignored: a.Ignored, Answer: types.Clean(a.Answer)})
	}
	return row
}

// unjudged names the alarms of a live deployment that have no data: they keep nothing back,
// so people must know.
func unjudged(d *fleet.Deployment) (all []string) {
	if !d.Live() {
		return nil // its reason says so
	}
	for _, a := range d.Alarms {
		if a.Status == fleet.AlarmInsufficientData && a.Answer != "" {
			all = append(all, fmt.Sprintf("alarm %s has no data (%s): it neither fires nor passes, and nothing waits for it",
				a.Name, types.Clean(a.Answer)))
		}
	}
	return all
}

// planner is the name that the planner of deployments has in conditions.
const planner = "deploy"

// waitOf is what the planner says that a deployment waits for.
func (v *View) waitOf(d *fleet.Deployment) string {
	for _, c := range v.conditions(fleet.ServiceSubject(d.Service)) {
		if c.By == planner {
			return c.Message
		}
	}
	if waits := d.WaitsFor(); len(waits) > 0 {
		return "hooks " + strings.Join(waits, ", ")
	}
	return ""
}

func (v *View) deploymentRevision(
	d *fleet.Deployment, id fleet.RevisionID, test, production int,
) types.DeploymentRevision {
	n := v.counts(d.Service, id)
	row := types.DeploymentRevision{Revision: string(id), Running: n.Running, Pending: n.Pending, Healthy: n.Serving,
		Test: test, Production: production}
	if r := v.State.Revision(id); r != nil {
		row.TaskDef = string(r.TaskDef)
	}
	if g := v.State.Goals(d.Service); g != nil {
		for _, r := range g.Revisions {
			if r.Revision == id {
				row.Requested = r.Desired
			}
		}
	}
	return row
}

func (v *View) threshold(service string, b *fleet.Breaker) int {
	if s := v.State.Service(service); s != nil {
		return b.Threshold(s.Desired)
	}
	return b.Threshold(0)
}

func strategyOf(c *fleet.DeploymentConfig) fleet.Strategy {
	if c.Strategy == 0 {
		return fleet.Rolling
	}
	return c.Strategy
}

// deploymentConfig is how a service's deployments are done.
func (v *View) deploymentConfig(s *fleet.Service) types.DeploymentConfig {
	c := &s.Deployment
	row := types.DeploymentConfig{
		Strategy: strategyOf(c).String(), MinPercent: s.MinPercent, MaxPercent: s.MaxPercent,
		BakeMinutes: minutes(c.BakeS), ProgressS: c.ProgressS,
	}
	switch c.Strategy {
	case fleet.Canary:
		row.Canary = &types.CanaryConfig{Percent: percent(c.CanaryShare), BakeMinutes: minutes(c.StepBakeS)}
	case fleet.Linear:
		row.Linear = &types.LinearConfig{Percent: percent(c.StepShare), BakeMinutes: minutes(c.StepBakeS)}
	default:
	}
	for i := range c.Hooks {
		row.Hooks = append(row.Hooks, v.hookRow(&c.Hooks[i]))
	}
	if c.Breaker.Enable {
		row.Breaker = &types.BreakerConfig{Enable: true, Rollback: c.Breaker.Rollback, Reset: !c.Breaker.KeepCount,
			Threshold: c.Breaker.Threshold(s.Desired)}
	}
	if len(c.Alarms.Names) > 0 {
		row.Alarms = &types.AlarmsConfig{Names: c.Alarms.Names, Enable: true, Rollback: c.Alarms.Rollback}
	}
	if e := c.EarlySuccess; e != nil {
		row.Early = &types.EarlySuccess{Enable: true, HealthyPercent: e.HealthyPercent, CleanUp: "BLOCKING"}
		if e.Deferred {
			row.Early.CleanUp = "DEFERRED"
		}
	}
	if a := c.Analysis; a != nil {
		row.Analysis = &types.Analysis{WindowS: a.WindowS, MinRequests: a.MinRequests, ErrorPercent: percent(a.ErrorShare),
			LatencyMs: a.LatencyMs, Quantile: percent(a.Quantile), Ratio: percent(a.Ratio)}
	}
	if p := c.Probe; p != nil {
		row.Probe = &types.Probe{Path: types.Clean(p.Path), Count: p.Count, Status: p.Status,
			Contains: types.Clean(p.Contains), LatencyMs: p.LatencyMs, Host: types.Clean(p.Host)}
	}
	return row
}

func (v *View) hookRow(h *fleet.Hook) types.Hook {
	row := types.Hook{Name: h.Name, TargetType: "PAUSE", Stages: make([]string, len(h.Stages))}
	for i, stage := range h.Stages {
		row.Stages[i] = stage.String()
	}
	switch {
	case h.Webhook != nil:
		row.TargetType, row.Target = "WEBHOOK", v.url(h.Webhook.URL)
	case h.Task != nil:
		row.TargetType, row.Target = "TASK", string(h.Task.TaskDef)
	}
	if h.TimeoutS > 0 {
		row.Timeout = &types.HookTimeout{Minutes: minutes(h.TimeoutS), Action: "ROLLBACK"}
		if h.ContinueOnTimeout {
			row.Timeout.Action = "CONTINUE"
		}
	}
	return row
}

func minutes(seconds int) float64 { return float64(seconds) / 60 }

// percent is hundredths as a number: basis points as percent.
func percent(hundredths int) float64 { return float64(hundredths) / 100 }

func (v *View) alarmRows() (any, error) {
	answer := &types.Alarms{Meta: v.Meta, Alarms: []types.Alarm{}}
	for a := range v.State.Alarms() {
		row := AlarmRow(a)
		row.URL = v.url(a.URL)
		answer.Alarms = append(answer.Alarms, row)
	}
	return answer, nil
}

// url is an address as the reader may see it.
func (v *View) url(address string) string {
	if v.Secrets {
		return types.Clean(address)
	}
	return types.HideURL(address)
}

// AlarmRow is the row of an alarm, for a reader who may see secrets.
func AlarmRow(a *fleet.Alarm) types.Alarm {
	row := types.Alarm{Name: a.Name, ModifyIndex: a.ModifyIndex, URL: types.Clean(a.URL), Query: types.Clean(a.Query),
		Comparison: "below", Threshold: a.Threshold, IntervalS: a.IntervalS, Times: a.Times}
	if a.Above {
		row.Comparison = "above"
	}
	return row
}

func (v *View) hookTargets() (any, error) {
	answer := &types.HookTargets{Meta: v.Meta, Targets: []string{}}
	for t := range v.State.HookTargets() {
		if strings.Contains(t.Target, "://") {
			answer.Targets = append(answer.Targets, v.url(t.Target))
		} else {
			answer.Targets = append(answer.Targets, types.Clean(t.Target)) // task:FAMILY
		}
	}
	return answer, nil
}
