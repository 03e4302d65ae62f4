// Package keeper decides who votes: how many voters a fleet has, on which hosts,
// and how one is replaced when it goes.
//
// [Step] is a pure function that [Driver] calls while this agent leads, about every half second.
// What it wants is first an intent in State, the phase of a voter's row; an effect outside the log
// is only asked for once State holds the intent. Everything it needs is in State, in the Raft
// configuration, and in what hosts answer now, so a new leader goes on where the last one stopped;
// [Memory] only spares waiting twice and is safe to lose.
//
// The rules, in cmd/skein/DESIGN.md "Voters": silence never shrinks the configuration, a dead
// voter goes only after its replacement votes, and no change is made unless a
// majority of the configuration it leads to answers at that moment.
//
// Times are fleet time; ages are measured by the caller on one clock. There is
// no concurrency here.
package keeper

import (
	"fmt"
	"math"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// DeadAfter is how long a voter answers nothing, and the fleet calls its host
	// silent, before it is replaced: longer than a restart of its agent, and nothing
	// is lost while a majority answers.
	DeadAfter = 30 * time.Second
	// MuteAfter is the same for a host that the fleet still hears of.
	MuteAfter = 2 * time.Minute
	// TroubleFor is how long a voter says that its disk is full or stalls before it
	// is replaced: longer than a rebuild of an array holds writes up, as a rule.
	TroubleFor = 2 * time.Minute
	// TroubleShare is the share of the last TroubleWindow or so in which a voter said
	// that its disk is in trouble, from which it is replaced though it is well again
	// and again in between. One that says so all the time passes TroubleFor first.
	TroubleShare  = 0.2
	TroubleWindow = 10 * time.Minute
	// CaughtUp is how many entries a learner may lag to be promoted, seen twice,
	// CaughtUpApart apart: one look could fall into a pause of the leader.
	CaughtUp      = 100
	CaughtUpApart = 2 * time.Second
	// GoneAfter is how long a host says that it does not hold its voter's log
	// before the log counts as wiped: an agent answers before it has opened it.
	GoneAfter = 30 * time.Second
	// MaxInstalls is how many snapshots within 10 minutes mean that a follower is
	// stuck (hashicorp/raft issue 697) and must begin anew.
	MaxInstalls = 3
	// PrepareFor is how long a host has to take the keys and open its log, and
	// AvoidFor how long one that did not is left alone.
	PrepareFor = 2 * time.Minute
	AvoidFor   = 10 * time.Minute
)

// Input is all a step may know.
type Input struct {
	State    *fleet.State
	Self     fleet.RaftID            // of the leader that asks
	Members  []Member                // the Raft configuration
	Commit   uint64                  // the leader's own
	Answers  map[fleet.RaftID]Answer // of rows in State, but for Self; missing: not asked yet
	Starved  func(fleet.HostID) bool // whether a host is late by its own measure
	Installs map[fleet.RaftID]int    // snapshots each was sent in the last 10 minutes
	Leaving  bool                    // this agent stops, or its own disk is in trouble
	// Leaderless is how long Self had heard no leader when it became one; 0 where it
	// is not known.
	Leaderless time.Duration
}

// Member is a line of the Raft configuration.
type Member struct {
	ID     fleet.RaftID
	Voting bool
}

// Answer is what a voter's host said when it was asked for its commit index.
// With neither Now nor NotOne it said nothing.
type Answer struct {
	Now    bool // it answered, with a log of this very id
	Commit uint64
	NotOne bool // it answered that it holds no log, or another one
	// Trouble is what is wrong with its disk, by its own word; empty for nothing. One
	// that is Stalled answers but takes no entry: it counts for no majority.
	Trouble string
	Stalled bool
	For     time.Duration // how long it has been so, on the leader's monotonic clock
}

// Like reports whether two answers are of one kind, so that For goes on.
func (a Answer) Like(b Answer) bool {
	return a.Now == b.Now && a.NotOne == b.NotOne && a.Stalled == b.Stalled && (a.Trouble == "") == (b.Trouble == "")
}

// Memory is what a step wants to remember; losing it costs a few seconds.
type Memory struct {
	// Near is since when each learner has been near the leader without a break.
	Near map[fleet.RaftID]fleet.Time
	// Avoid is until when a host that could not be prepared, or whose disk was in
	// trouble for long, is not picked again.
	Avoid map[fleet.HostID]fleet.Time
	// Troubles count how often voters' disks were in trouble recently.
	Troubles map[fleet.RaftID]Trouble
	// Led is when State had noted that this node leads, as the term began; nil before
	// its first step.
	Led *fleet.Time
}

// Trouble is the share of time in which a voter said that its disk is in trouble,
// damped over TroubleWindow.
type Trouble struct {
	Share  float64    // 0 to 1
	Asked  fleet.Time // when it last answered, or was silent, which changes nothing
	Reason string     // what it said last
}

// answered takes one more answer of a voter.
func (t Trouble) answered(now fleet.Time, reason string) Trouble {
	if t.Asked != 0 {
		keep := math.Exp(-float64(now.Sub(t.Asked)) / float64(TroubleWindow))
		t.Share *= keep
		if reason != "" {
			t.Share += 1 - keep
		}
	}
	t.Asked = now
	if reason != "" {
		t.Reason = reason
	}
	return t
}

// Effect is something to do outside of State; the set is closed. Repeating one
// is harmless, and the next step sees what came of it, so that its error need
// only be logged.
type Effect interface{ effect() }

type (
	// HandOverKeys gives a preparing voter's host the fleet key and has it open
	// an empty log.
	HandOverKeys struct{ ID fleet.RaftID }
	// AddNonvoter lets a voter learn.
	AddNonvoter struct{ ID fleet.RaftID }
	// AddVoter gives it a vote.
	AddVoter struct{ ID fleet.RaftID }
	// RemoveServer takes it out of the configuration.
	RemoveServer struct{ ID fleet.RaftID }
	// DeleteLog tells its host that the id is out for ever.
	DeleteLog struct{ ID fleet.RaftID }
	// Transfer gives leadership to another voter.
	Transfer struct{}
)

func (HandOverKeys) effect() {}
func (AddNonvoter) effect()  {}
func (AddVoter) effect()     {}
func (RemoveServer) effect() {}
func (DeleteLog) effect()    {}
func (Transfer) effect()     {}

// Plan is one step: at most one change of State, and at most one effect that
// changes the configuration or the leader.
type Plan struct {
	Items   []fleet.Item
	Effects []Effect
	// Why says for people what is waited for; empty when nothing is.
	Why string
	// At is when there will be something to do though nothing changes; 0: never.
	At fleet.Time
}

// Step decides the next step. Where nothing is to be done the plan is empty.
// Rows that State holds are carried out before anything new is intended, and
// removals before additions, so that one change is on its way at a time.
func Step(now fleet.Time, in Input, memory Memory) (Plan, Memory) {
	if in.State.Fleet() == nil {
		return Plan{}, Memory{}
	}
	s := newStep(now, in, memory)
	for _, rule := range []func() bool{
		s.leave,    // a leader that should go hands over first
		s.retire,   // carry out: rows that retire leave the configuration
		s.carryOut, // carry out: voting, learning and preparing rows enter it
		s.giveUp,   // learners that died, and hosts that never got ready
		s.restart,  // voters that lost their log or are stuck begin anew
		s.promote,  // learners become voters
		s.replaced, // voters that have a replacement, or are too many, retire
		s.pick,     // hosts become learners
		s.raise,    // the fleet's format follows its agents
		s.note,     // who leads is said where another led before, or nobody for long
	} {
		if rule() {
			return s.plan, s.memory
		}
	}
	s.handOver()
	return s.plan, s.memory
}

// step is one call of Step: a view of the voters, and what was decided.
type step struct {
	Input
	now     fleet.Time
	rows    []*fleet.Voter        // by id
	members map[fleet.RaftID]bool // -> voting
	target  int

	plan   Plan
	memory Memory
}

func newStep(now fleet.Time, in Input, old Memory) *step {
	s := &step{
		Input: in, now: now, rows: slices.Collect(in.State.Voters()), members: map[fleet.RaftID]bool{},
		target: Target(in.State),
		memory: Memory{Near: map[fleet.RaftID]fleet.Time{}, Avoid: map[fleet.HostID]fleet.Time{},
			Troubles: map[fleet.RaftID]Trouble{}, Led: old.Led},
	}
	if s.memory.Led == nil {
		s.memory.Led = new(fleet.Time)
		if v := in.State.Voter(in.Self); v != nil {
			*s.memory.Led = v.LeadsSince
		}
	}
	for _, m := range in.Members {
		s.members[m.ID] = m.Voting
	}
	for _, v := range s.rows {
		if v.Phase != fleet.VoterLearning || !s.answers(v.ID) || in.Answers[v.ID].Commit+CaughtUp < in.Commit {
			continue
		}
		s.memory.Near[v.ID] = now
		if since, ok := old.Near[v.ID]; ok {
			s.memory.Near[v.ID] = since
		}
	}
	for _, v := range s.rows {
		answer, known := in.Answers[v.ID]
		trouble := old.Troubles[v.ID]
		switch {
		case !known:
			continue
		case answer.Now:
			trouble = trouble.answered(now, answer.Trouble)
		default:
			trouble.Asked = now // silence says nothing of a disk
		}
		s.memory.Troubles[v.ID] = trouble
	}
	for host, until := range old.Avoid {
		if until > now {
			s.memory.Avoid[host] = until
		}
	}
	return s
}

// intend asks for a command; the step ends with it.
func (s *step) intend(c fleet.Command, format string, args ...any) bool {
	s.plan.Items = append(s.plan.Items, fleet.Item{Command: c, By: "keeper", Reason: fmt.Sprintf(format, args...)})
	return true
}

func (s *step) do(e Effect) bool {
	s.plan.Effects = append(s.plan.Effects, e)
	return true
}

// wait notes what is waited for, the first thing only.
func (s *step) wait(format string, args ...any) {
	if s.plan.Why == "" {
		s.plan.Why = fmt.Sprintf(format, args...)
	}
}
