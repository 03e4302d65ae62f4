package sim

import (
	"slices"

	"skein/agent/converge"
	"skein/agent/lead"
	"skein/agent/plan"
	"skein/agent/plan/deploy"
	"skein/agent/plan/hosts"
	"skein/agent/plan/service"
	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Mutation breaks one rule of the product, around it and not in it, to show that
// the simulator would see it. Empty is none.
type Mutation string

// The mutations, by the rule that each breaks.
const (
	MutationStopBeforeStart Mutation = "stop-before-start" // I2: old tasks stop before new ones run
	// I1, I2: the service planner stops a healthy task for nothing
	MutationExtraStop        Mutation = "extra-stop"
	MutationGoalsBeyondMax   Mutation = "goals-beyond-max"   // goals: the service planner allows one task too many
	MutationUnreachableRuns  Mutation = "unreachable-runs"   // liveness: tasks of a silent host count as running
	MutationSilentForever    Mutation = "silent-forever"     // liveness: a silent host is never declared so
	MutationNeverQuiet       Mutation = "never-quiet"        // I15: a planner always has something to say
	MutationNoSessionFence   Mutation = "no-session-fence"   // I9: reports of an old session count
	MutationOlderIntent      Mutation = "older-intent"       // I9: a host obeys what is older than it has seen
	MutationDeltaIsWhole     Mutation = "delta-is-whole"     // I10: absence from a change is read as a stop
	MutationEarlyRelease     Mutation = "early-release"      // I3: a reservation ends when a task is asked to stop
	MutationStartTwice       Mutation = "start-twice"        // I6: a host runs a task again that ended
	MutationJournalLate      Mutation = "journal-late"       // I6: a start is begun before its line is durable
	MutationAbsenceIsSilence Mutation = "absence-is-silence" // nobody asks witnesses
	MutationOneWitness       Mutation = "one-witness"        // one witness is enough
	MutationTwoLeaders       Mutation = "two-leaders"        // I9: a deposed leader's entries commit
	MutationAckBeforeCommit  Mutation = "ack-before-commit"  // I11: a write is answered before a majority has it
	MutationWipedVotes       Mutation = "wiped-votes"        // I11: a wiped disk votes under its old id
	MutationForgottenVote    Mutation = "forgotten-vote"     // I11: a vote is not durable
	MutationMinorityCommits  Mutation = "minority-commits"   // I11: an entry commits without a majority
	MutationSnapshotBehind   Mutation = "snapshot-behind"    // rows: a snapshot lacks its last entry
	MutationNoBackOff        Mutation = "no-back-off"        // starts: tasks start again at once
	MutationFlapsForgotten   Mutation = "flaps-forgotten"    // silence: a host that comes and goes is believed back
	MutationNoGrace          Mutation = "no-grace"           // grace: unhealthy tasks stop at once
	MutationCutOffReplaced   Mutation = "cut-off-replaced"   // one copy: stop-after work is replaced at once
	MutationSurplusAnywhere  Mutation = "surplus-anywhere"   // I13: surplus stops in the emptiest zone
	MutationVoterRetired     Mutation = "voter-retired"      // voters: one that is silent goes before another has come
	MutationStandaloneAgain  Mutation = "standalone-again"   // I6: a cold start runs standalone tasks again
	MutationGateIgnored      Mutation = "gate-ignored"       // format: what the fleet does not read yet is proposed
	MutationStrictMessages   Mutation = "strict-messages"    // format: messages of a newer build are refused
	MutationEffectTwice      Mutation = "effect-twice"       // effects: a host begins what runs already
	MutationEffectEarly      Mutation = "effect-early"       // effects: a host is asked before its hand has committed
	MutationBlueShrinks      Mutation = "blue-shrinks"       // fold: goals want less of blue than all, which State refuses
	MutationCleanUpEarly     Mutation = "clean-up-early"     // fold: so they do while the bake lasts
	MutationBlueStopped      Mutation = "blue-stopped"       // I7: a healthy task of blue is stopped before clean-up
	MutationShiftUnseen      Mutation = "shift-unseen"       // I7: a shift is done before any host serves it
	MutationOlderWeights     Mutation = "older-weights"      // I7: hosts are sent other weights than were committed
	MutationRollbackStarts   Mutation = "rollback-starts"    // I7: a rollback keeps green whole
	MutationHookMadeUp       Mutation = "hook-made-up"       // I8: a hook succeeds before its answer came
	MutationHookIgnored      Mutation = "hook-ignored"       // liveness: nothing follows from a hook that failed
	MutationStageSkipped     Mutation = "stage-skipped"      // fold: a stage is passed over, which State refuses
	MutationNeverFinished    Mutation = "never-finished"     // liveness: a deployment that cleaned up does not end
	MutationGoalsLinger      Mutation = "goals-linger"       // liveness: goals of a deployment outlive it
)

// Mutations lists all mutations.
func Mutations() []Mutation {
	return []Mutation{
		MutationStopBeforeStart, MutationExtraStop, MutationGoalsBeyondMax, MutationUnreachableRuns,
		MutationSilentForever, MutationNeverQuiet,
		MutationNoSessionFence, MutationOlderIntent, MutationDeltaIsWhole, MutationEarlyRelease, MutationStartTwice,
		MutationJournalLate, MutationAbsenceIsSilence, MutationOneWitness, MutationTwoLeaders, MutationAckBeforeCommit,
		MutationWipedVotes, MutationForgottenVote, MutationMinorityCommits, MutationGateIgnored, MutationStrictMessages,
		MutationEffectTwice, MutationEffectEarly,
		MutationSnapshotBehind, MutationNoBackOff, MutationNoGrace, MutationCutOffReplaced, MutationSurplusAnywhere,
		MutationVoterRetired, MutationStandaloneAgain, MutationFlapsForgotten,
		MutationBlueShrinks, MutationCleanUpEarly, MutationBlueStopped, MutationShiftUnseen, MutationOlderWeights,
		MutationRollbackStarts, MutationHookMadeUp, MutationHookIgnored, MutationStageSkipped,
		MutationNeverFinished, MutationGoalsLinger,
	}
}

func (m Mutation) is(o Mutation) bool { return m == o }

// planners puts a mutation into the leader's planners.
func (m Mutation) planners(all []lead.Planner) []lead.Planner {
	all = slices.Clone(all)
	for i, p := range all {
		next := p.Next
		switch {
		case p.By == service.By && m == MutationStopBeforeStart:
			all[i].Next = func(in plan.Input) plan.Plan { return stopOld(in, next(in)) }
		case p.By == service.By && m == MutationExtraStop:
			all[i].Next = func(in plan.Input) plan.Plan { return stopOne(in, next(in)) }
		case p.By == service.By && m == MutationGoalsBeyondMax:
			all[i].Next = func(in plan.Input) plan.Plan { return allowMore(next(in)) }
		case p.By == service.By && m == MutationUnreachableRuns:
			all[i].Next = func(in plan.Input) plan.Plan { return next(withoutSilence(in)) }
		case p.By == service.By && m == MutationNoBackOff:
			all[i].Next = func(in plan.Input) plan.Plan { return startAtOnce(in, next(in)) }
		case p.By == service.By && m == MutationCutOffReplaced:
			all[i].Next = func(in plan.Input) plan.Plan { return replaceCutOff(in, next(in)) }
		case p.By == service.By && m == MutationNoGrace:
			all[i].Next = func(in plan.Input) plan.Plan { return stopUnhealthy(in, next(in)) }
		case p.By == service.By && m == MutationSurplusAnywhere:
			all[i].Next = func(in plan.Input) plan.Plan { return stopInEmptiest(in, next(in)) }
		case p.By == deploy.By && deployMutations[m] != nil:
			all[i].Next = func(in plan.Input) plan.Plan { return deployMutations[m](in, next(in)) }
		case p.By == service.By && m == MutationBlueStopped:
			all[i].Next = func(in plan.Input) plan.Plan { return stopBlue(in, next(in)) }
		case p.By == hosts.By && m == MutationSilentForever:
			all[i].Next = func(in plan.Input) plan.Plan { return withoutSilenceHost(next(in)) }
		case p.By == hosts.By && m == MutationFlapsForgotten:
			all[i].Next = func(in plan.Input) plan.Plan { return withoutFlaps(next(in)) }
		case p.By == hosts.By && m == MutationNeverQuiet:
			all[i].Next = func(in plan.Input) plan.Plan { return chatter(in, next(in)) }
		}
	}
	return all
}

// stopOld stops what runs of an old revision at once.
func stopOld(in plan.Input, p plan.Plan) plan.Plan {
	for _, name := range in.Scope.Services() {
		v := in.State.Service(name)
		if v == nil {
			continue
		}
		for t := range in.State.LiveTasksOfService(name) {
			if t.Revision != v.Revision && t.Desired == fleet.TaskRunning {
				p.Add(stopItem(t.ID, "of an old revision"))
			}
		}
	}
	return p
}

// stopOne stops a healthy task of a service that has just become steady.
func stopOne(in plan.Input, p plan.Plan) plan.Plan {
	for _, name := range in.Scope.Services() {
		v := in.State.Service(name)
		if v == nil || len(p.Items) > 0 || v.ModifyIndex%3 != 0 {
			continue
		}
		for t := range in.State.LiveTasksOfService(name) {
			if in.State.Healthy(t, in.Now) {
				p.Add(stopItem(t.ID, "for nothing"))
				return p
			}
		}
	}
	return p
}

// allowMore raises the bounds in goals by one.
func allowMore(p plan.Plan) plan.Plan {
	for i, item := range p.Items {
		if c, ok := item.Command.(fleet.PutGoals); ok {
			c.Max++
			c.Revisions = slices.Clone(c.Revisions)
			c.Revisions[0].Max++
			p.Items[i].Command = c
		}
	}
	return p
}

func stopItem(id fleet.TaskID, why string) fleet.Item {
	return fleet.Item{By: service.By, Command: fleet.StopTasks{Tasks: []fleet.TaskID{id}, Cause: fleet.CauseScaleIn,
		Reason: why}}
}

// withoutSilence shows a planner a State in which no host is silent or lost.
func withoutSilence(in plan.Input) plan.Input {
	s := in.State.Clone()
	for h := range in.State.Hosts() {
		if h.State == fleet.HostSilent {
			s.Apply(s.Index(),
				fleet.Entry{At: in.Now, Items: []fleet.Item{{Command: fleet.ReturnHost{Host: h.ID, Session: h.Session.N}}}})
		}
	}
	in.State = s
	return in
}

// withoutFlaps takes each silence for the first.
func withoutFlaps(p plan.Plan) plan.Plan {
	for i, item := range p.Items {
		if silence, is := item.Command.(fleet.SilenceHost); is {
			silence.Flaps = 0
			p.Items[i].Command = silence
		}
	}
	return p
}

func withoutSilenceHost(p plan.Plan) plan.Plan {
	p.Items = slices.DeleteFunc(p.Items, func(i fleet.Item) bool {
		_, silences := i.Command.(fleet.SilenceHost)
		return silences
	})
	return p
}

// chatter says something at every full pass.
func chatter(in plan.Input, p plan.Plan) plan.Plan {
	if in.Scope.Full {
		p.Add(fleet.Item{By: hosts.By, Command: fleet.PutCondition{Subject: fleet.PlannerSubject("chatter"), Code: "chatter",
			Message: in.Now.String()}})
	}
	return p
}

// mutateFrame changes what a host is given.
func (w *World) mutateFrame(h *host, f converge.Frame) converge.Frame {
	a := h.agent
	switch w.cfg.Mutation {
	case MutationOlderIntent:
		if held := a.link.m.Status(); f.Index < held.Index {
			f.Index, f.Session = held.Index, held.Session
		}
	case MutationDeltaIsWhole:
		f.Complete = true
	case MutationStandaloneAgain:
		f.Tasks = slices.Clone(f.Tasks)
		for i := range f.Tasks {
			if f.Tasks[i].Service == "" {
				f.Tasks[i].Service = "batch"
			}
		}
	case MutationOlderWeights:
		f.Routes = withOtherWeights(f.Routes)
	default: // the others change something else
	}
	return f
}

// tellCommit does what a mutation does after an entry.
func (w *World) tellCommit(c simlog.Commit) {
	if w.cfg.Mutation != MutationEarlyRelease {
		return
	}
	for _, item := range c.Entry.Items {
		stop, ok := item.Command.(fleet.StopTasks)
		if !ok {
			continue
		}
		for _, id := range stop.Tasks {
			w.forgeStopped(id)
		}
	}
}

// forgeStopped reports a task stopped in its host's name.
func (w *World) forgeStopped(id fleet.TaskID) {
	w.time.After(0, func() {
		t := w.truth.Task(id)
		if t == nil || t.Host == "" || t.Stopped() {
			return
		}
		row := w.truth.Host(t.Host)
		leaders, err := w.find("leader")
		if err != nil {
			return
		}
		w.watch.checker.ReportSent(t.Host, row.Session.N, row.ReportSeq+1)
		forged := fleet.Report{Host: t.Host, Session: row.Session.N, Seq: row.ReportSeq + 1,
			Tasks: []fleet.TaskReport{{Task: id, Status: fleet.TaskStopped, Attempt: t.Attempt}}}
		leaders[0].agent.node.Propose([]fleet.Item{{Command: forged}}, w.wall(), func([]fleet.Result, uint64, error) {})
	})
}

// runAgain runs a container a second time, as no host may.
func (h *host) runAgain(spec port.ContainerSpec) {
	h.exit(spec.ID, 0)
	if h.containers.Delete(background, spec.ID) != nil {
		return
	}
	if _, err := h.containers.Create(background, spec); err == nil {
		h.w.watch.created(h, spec)
		_ = h.startContainer(spec.ID) // the twin was just told to make it
	}
}

// breaksFold reports whether a mutation makes commands that State may refuse.
func (m Mutation) breaksFold() bool {
	return slices.Contains([]Mutation{
		MutationStopBeforeStart, MutationExtraStop, MutationUnreachableRuns, MutationNoBackOff, MutationNoGrace,
		MutationCutOffReplaced, MutationSurplusAnywhere, MutationBlueStopped,
	}, m) || deployMutations[m] != nil && !slices.Contains([]Mutation{ // which nothing else would see
		MutationStageSkipped, MutationBlueShrinks, MutationCleanUpEarly,
	}, m)
}
