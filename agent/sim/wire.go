package sim

import (
	"skein/agent/sim/simdetector"
	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
)

// logConfig is the replicated log of this world.
func (w *World) logConfig() simlog.Config {
	m := w.cfg.Mutation
	return simlog.Config{
		Reads: w.reads, Kinds: w.newKinds(), Froze: w.froze,
		Shared: w.cfg.Large, SnapshotEvery: w.cfg.Tuning.Snapshot, Committed: w.committed,
		Elected: func(id fleet.RaftID, term uint64) {
			w.stats.Elections++
			w.note("%s is elected in term %d", id, term)
			w.watch.checker.Elected(id, term)
			w.netChanged("") // whoever hears no leader now may have to leave its voter
		},
		SteppedDown: func(id fleet.RaftID, _ uint64) {
			w.watch.checker.SteppedDown(id)
			w.netChanged("")
		},
		Believes:   func(fleet.RaftID) { w.detectors.LeadersChanged(); w.votersLook() },
		LeaderLost: func(id fleet.RaftID) { w.listenersLook(id.Host()) },
		Voted:      w.watch.checker.Voted,
		Broken:     func(name, detail string) { w.watch.fail("log: "+name, detail) },
		Rules: simlog.Rules{
			AckBeforeCommit: m.is(MutationAckBeforeCommit), WipedMayVote: m.is(MutationWipedVotes),
			ForgetVote:   m.is(MutationForgottenVote),
			TermsIgnored: m.is(MutationTwoLeaders), CommitWithoutMajority: m.is(MutationMinorityCommits),
			SnapshotBehind: m.is(MutationSnapshotBehind), GateIgnored: m.is(MutationGateIgnored),
		},
	}
}

// committed takes in each entry once, when the first voter applies it.
func (w *World) committed(c simlog.Commit) {
	w.watch.committed(c)
	if c.Index == w.cfg.CrashLeader {
		w.time.After(0, func() { _ = w.Do("reboot leader") }) // nobody may lead
	}
}

// detectorConfig is the membership of this world.
func (w *World) detectorConfig() simdetector.Config {
	return simdetector.Config{
		State: func(id fleet.HostID) *fleet.State {
			if h := w.hosts[id]; h != nil && h.agent != nil && h.agent.node != nil {
				return h.agent.node.State()
			}
			return w.truth
		},
		Leader: func(id fleet.HostID) (fleet.HostID, bool) {
			if h := w.hosts[id]; h != nil && h.agent != nil && h.agent.node != nil {
				return h.agent.node.Leader()
			}
			return "", false
		},
		Mutants: simdetector.Mutants{
			AbsenceIsSilence: w.cfg.Mutation.is(MutationAbsenceIsSilence), OneWitness: w.cfg.Mutation.is(MutationOneWitness),
		},
	}
}
