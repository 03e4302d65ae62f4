package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/agent/deployment"
	"skein/agent/plan"
	"skein/raftfsm/fleet"
)

const (
	queryAttempts = 2
	// staleTraffic is how old what ingress counted may be and still say something.
	staleTraffic = 10 * time.Second
	// Defaults of Analysis. An error share, or a latency, has to be this many hundredths of blue's.
	defaultRatio    = 150
	defaultQuantile = 99
)

// hearAlarms takes in answers of alarms and what ingress saw, and asks the alarms whose time has
// come, from the first stage to the end of the bake.
func hearAlarms(n *inputs, out *decision) {
	d := n.deployment
	if d.Status != fleet.DeploymentInProgress || d.Stage > fleet.StageBakeTime {
		return
	}
	states := slices.Clone(d.Alarms)
	for i, a := range n.alarms {
		states[i] = n.heard(a)
	}
	if !slices.Equal(states, d.Alarms) {
		out.command = fleet.NoteDeployment{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Alarms: states}
		return
	}
	for _, a := range n.alarms {
		if n.ask(out, a); out.command != nil {
			return
		}
	}
}

// heard is an alarm with the answer that has come, if one has.
func (n *inputs) heard(a alarm) fleet.AlarmState {
	state := *a.state
	switch {
	case state.Name == fleet.AnalysisAlarm && n.deployment.Config.Analysis != nil:
		n.compare(&state)
	case state.Ignored:
	case a.row == nil:
		n.know(&state, fleet.AlarmInsufficientData, "there is no such alarm")
		state.Effect = ""
	case state.Effect == "" || a.effect != nil && a.effect.Open():
	default:
		n.take(&state, a)
	}
	if n.ignores(&state) {
		state.Ignored = true
	}
	return state
}

// ignores reports whether the deployment begins despite an alarm that fires.
func (n *inputs) ignores(state *fleet.AlarmState) bool {
	d := n.deployment
	return d.Config.Alarms.Despite && d.Stage == fleet.StageReconcileService && state.Status == fleet.AlarmFires &&
		state.Name != fleet.AnalysisAlarm
}

// take takes in what came of a question. One without an answer says nothing: neither that
// all is well, nor that it is not.
func (n *inputs) take(state *fleet.AlarmState, a alarm) {
	state.Effect = ""
	if a.effect == nil || a.effect.Status != fleet.EffectDone {
		why := "no answer came"
		if a.effect != nil && a.effect.Why != "" {
			why += ": " + a.effect.Why
		}
		n.know(state, fleet.AlarmInsufficientData, why)
		return
	}
	status, answer := deployment.ReadNumbers(a.effect.Outcome).Judge(a.row)
	switch status {
	case fleet.AlarmFires:
		if state.Firing++; state.Firing < a.row.Times {
			answer = fmt.Sprintf("%s, %d of %d times in a row", answer, state.Firing, a.row.Times)
			status = state.Status
		}
	case fleet.AlarmOK:
		state.Firing = 0
	case fleet.AlarmInsufficientData: // ends no row of answers
	}
	n.know(state, status, answer)
}

func (n *inputs) know(state *fleet.AlarmState, status fleet.AlarmStatus, answer string) {
	if state.Status != status {
		state.Since = n.now
	}
	state.Status, state.Answer = status, answer
}

// ask begins the next question of an alarm once its time has come.
func (n *inputs) ask(out *decision, a alarm) {
	if a.row == nil || a.state.Ignored || a.state.Effect != "" || a.state.Name == fleet.AnalysisAlarm {
		return
	}
	if next := a.state.AskedAt.Add(seconds(a.row.IntervalS)); a.state.AskedAt != 0 && n.now < next {
		out.wakes = append(out.wakes, next)
		return
	}
	input, err := deployment.QueryInput(a.row)
	if err != nil {
		return // the row was checked when it was put
	}
	d := n.deployment
	ask := fleet.AskAlarm{ID: d.ID, ExpectedModifyIndex: d.ModifyIndex, Alarm: a.row.Name}
	ask.Effect = fleet.IntendEffect{
		ID: fleet.EffectID(n.newID()), EffectKind: deployment.KindQuery, Role: fleet.VoterRole(),
		Subject: fleet.ServiceSubject(n.service.Name), Input: input,
		Deadline:  n.now.Add(queryAttempts * (deployment.CallFor + fleet.EffectGrace)),
		TimeoutMs: deployment.CallFor.Milliseconds(), MaxAttempts: queryAttempts,
	}
	out.command = ask
}

// alarmsAtStart says what keeps a deployment from beginning: an alarm that was not asked yet,
// or not often enough, or that fires.
func (n *inputs) alarmsAtStart() *wait {
	var firing []string
	for _, a := range n.alarms {
		switch {
		case a.row == nil || a.state.Ignored || a.state.Name == fleet.AnalysisAlarm:
		case a.state.Status == fleet.AlarmFires:
			firing = append(firing, fmt.Sprintf("%s (%s)", a.state.Name, a.state.Answer))
		case a.state.AskedAt == 0 || a.state.Effect != "" && a.state.Answer == "" || a.state.Firing > 0:
			return waits(codeAlarm, "%s: alarm %s is asked before anything begins", n.deployment.ID, a.state.Name)
		}
	}
	if firing == nil {
		return nil
	}
	return waits(codeAlarm, "%s does not begin while alarms fire: %s; --despite-alarms begins all the same",
		n.deployment.ID, strings.Join(firing, ", "))
}

// unjudged says, for the end of a reason, which alarms had no data at last: a success is none
// by their judgement.
func unjudged(d *fleet.Deployment) string {
	var names []string
	for _, a := range d.Alarms {
		if a.Status == fleet.AlarmInsufficientData {
			names = append(names, a.Name)
		}
	}
	if names == nil {
		return ""
	}
	return "; not judged, for want of data, by " + strings.Join(names, ", ")
}

// whyUncounted says why ingress counted too little to judge the target.
func (n *inputs) whyUncounted() string {
	a, d := n.deployment.Config.Analysis, n.deployment
	switch {
	case n.traffic.beyond:
		return fmt.Sprintf("more than %d target groups are to be watched, and those of %s are not among them",
			plan.MaxWatched, d.Service)
	case !n.traffic.known:
		return "no host was heard to count requests to " + string(d.Target)
	}
	return fmt.Sprintf("fewer than %d requests to %s in %d s", a.MinRequests, d.Target, a.WindowS)
}

// compare judges what ingress counted: the target is bad where it is beyond the bounds, and
// blue, over the same window, is not as bad.
func (n *inputs) compare(state *fleet.AlarmState) {
	a := n.deployment.Config.Analysis
	target, blue := n.traffic.target, n.traffic.blue
	if !n.traffic.known || target.Requests < uint64(a.MinRequests) {
		if why := n.whyUncounted(); state.Status != fleet.AlarmInsufficientData ||
			state.Answer != why && n.deployment.Stage > fleet.StageScaleUp {
			n.know(state, fleet.AlarmInsufficientData, why)
		}
		return
	}
	if blue.Requests < uint64(a.MinRequests) {
		blue = fleet.TrafficCounts{} // too few to compare with
	}
	status, answer := fleet.AlarmOK, "within bounds"
	if target.Requests-n.traffic.unserved < uint64(a.MinRequests) {
		// Too few were answered at all: that others failed within bounds is no success.
		status, answer = fleet.AlarmInsufficientData, fmt.Sprintf("%d of %d requests to %s in %d s found no task",
			n.traffic.unserved, target.Requests, n.deployment.Target, a.WindowS)
	}
	for _, bad := range []string{badErrors(a, target, blue), badLatency(a, target, blue)} {
		if bad != "" {
			status, answer = fleet.AlarmFires, fmt.Sprintf("%s of %d requests in %d s", bad, target.Requests, a.WindowS)
			break
		}
	}
	if state.Status != status {
		n.know(state, status, answer)
	}
}

// badErrors says that too many requests fail; empty: they do not.
func badErrors(a *fleet.Analysis, target, blue fleet.TrafficCounts) string {
	is, was := target.ErrorShare(), blue.ErrorShare()
	if a.ErrorShare == 0 || is*fleet.TotalWeight <= float64(a.ErrorShare) || !worse(a, is, was) {
		return ""
	}
	return fmt.Sprintf("%.1f %% errors (%.1f %% are allowed, %.1f %% before)", 100*is, float64(a.ErrorShare)/100, 100*was)
}

// badLatency says that answers are too slow; empty: they are not.
func badLatency(a *fleet.Analysis, target, blue fleet.TrafficCounts) string {
	quantile := a.Quantile
	if quantile == 0 {
		quantile = defaultQuantile
	}
	is, known := target.Quantile(float64(quantile) / 100)
	was, _ := blue.Quantile(float64(quantile) / 100)
	most := time.Duration(a.LatencyMs) * time.Millisecond
	if a.LatencyMs == 0 || !known || is <= most || !worse(a, float64(is), float64(was)) {
		return ""
	}
	return fmt.Sprintf("p%d of %s (%s is allowed, %s before)", quantile, is.Round(time.Millisecond), most,
		was.Round(time.Millisecond))
}

// worse reports whether the target is worse than blue by the ratio.
func worse(a *fleet.Analysis, is, was float64) bool {
	ratio := a.Ratio
	if ratio == 0 {
		ratio = defaultRatio
	}
	return is >= was*float64(ratio)/100
}
