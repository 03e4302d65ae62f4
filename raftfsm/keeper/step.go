package keeper

import (
	"cmp"
	"slices"
	"time"

	"skein/raftfsm/fleet"
)

const (
	// DeadAfter is how long a voter is silent before it is replaced: well above
	// a reboot of its agent, and nothing is lost while a majority answers.
	DeadAfter = 30 * time.Second
	// CaughtUp is how many entries a learner may lag to be promoted, seen twice,
	// CaughtUpApart apart: one look could fall into a pause of the leader.
	CaughtUp      = 100
	CaughtUpApart = 2 * time.Second
	// GoneAfter is how long a voter answers that it holds no such log before the
	// log counts as wiped: an agent opens its log some seconds after its port.
	GoneAfter = 30 * time.Second
)

// Member is a line of the Raft configuration.
type Member struct {
	ID     fleet.RaftID
	Voting bool
}

// Answer is what a voter said when it was asked for its commit index.
type Answer struct {
	Now    bool // it answered, with a log of this very id
	Commit uint64
	NotOne bool          // it answered that it holds no log
	For    time.Duration // how long it has been so (silent, NotOne or answering)
}

// Input is all a step may know.
type Input struct {
	State   *fleet.State
	Self    fleet.RaftID // of the leader that asks
	Members []Member
	Commit  uint64                  // the leader's own
	Answers map[fleet.RaftID]Answer // of rows in State, but for Self; missing: not asked yet
	Starved map[fleet.HostID]bool   // hosts that are late by their own measure
}

// Memory is what a step wants to remember; losing it costs a few seconds.
type Memory struct {
	// Near is when a learner was first seen near the leader without a break.
	Near map[fleet.RaftID]fleet.Time
}

// Effect is something to do outside of State; the set is closed. Repeating one
// is harmless.
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

// Plan is one step: intents to commit and effects of intents that are.
type Plan struct {
	Items   []fleet.Item
	Effects []Effect
}

func (p *Plan) intend(c fleet.Command, reason string) {
	p.Items = append(p.Items, fleet.Item{Command: c, By: "keeper", Reason: reason})
}

func (p *Plan) empty() bool { return len(p.Items) == 0 && len(p.Effects) == 0 }

// Step decides the next step; an empty plan means that nothing is to be done.
// Removals come before additions and finished business before new: at most one
// change of the configuration is on its way.
func Step(now fleet.Time, in Input, memory Memory) (Plan, Memory) {
	if in.State.Fleet() == nil {
		return Plan{}, Memory{}
	}
	k := newView(now, in)
	memory = k.remember(memory)
	for _, step := range []func(*view, *Plan){
		(*view).finishRetiring, (*view).dropStrays, (*view).retireGone,
		(*view).finishPromotion, (*view).prepare, (*view).promote,
		(*view).replaceDead, (*view).shrink, (*view).grow,
	} {
		k.memory = memory
		var plan Plan
		if step(k, &plan); !plan.empty() {
			return plan, memory
		}
	}
	return Plan{}, memory
}

// view is an input with what several steps need.
type view struct {
	Input
	now     fleet.Time
	memory  Memory
	rows    []*fleet.Voter        // by id
	members map[fleet.RaftID]bool // -> voting
	target  int
}

func newView(now fleet.Time, in Input) *view {
	k := &view{Input: in, now: now, rows: slices.Collect(in.State.Voters()), members: map[fleet.RaftID]bool{}}
	for _, member := range in.Members {
		k.members[member.ID] = member.Voting
	}
	k.target = Target(in.State)
	return k
}

// Target is how many voters the fleet should have: one below three hosts, then
// the setting, as far as there are hosts. Silent and lost hosts count: silence
// never shrinks the fleet.
func Target(st *fleet.State) int {
	hosts := st.HostCount()
	target := st.Fleet().Settings.Voters
	for target > hosts && target > 1 {
		target -= 2
	}
	return max(target, 1)
}

// remember notes since when each learner is near the leader.
func (k *view) remember(old Memory) Memory {
	next := Memory{Near: map[fleet.RaftID]fleet.Time{}}
	for _, row := range k.rows {
		answer := k.Answers[row.ID]
		if row.Phase != fleet.VoterLearning || !answer.Now || answer.Commit+CaughtUp < k.Commit {
			continue
		}
		next.Near[row.ID] = k.now
		if since, ok := old.Near[row.ID]; ok {
			next.Near[row.ID] = since
		}
	}
	return next
}

// finishRetiring takes retiring voters out of the configuration, then out of State.
func (k *view) finishRetiring(p *Plan) {
	for _, row := range k.rows {
		if row.Phase != fleet.VoterRetiring {
			continue
		}
		if row.ID == k.Self {
			p.Effects = append(p.Effects, Transfer{})
			return
		}
		if _, in := k.members[row.ID]; in {
			k.remove(p, row.ID)
			return
		}
		p.Effects = append(p.Effects, DeleteLog{row.ID})
		p.intend(fleet.RemoveVoter{ID: row.ID}, "")
		return
	}
}

// dropStrays removes servers that State does not know: of a change whose intent
// is gone.
func (k *view) dropStrays(p *Plan) {
	for _, member := range k.Members {
		if k.State.Voter(member.ID) == nil && member.ID != k.Self {
			k.remove(p, member.ID)
			return
		}
	}
}

// remove takes a server out if a quorum of what remains answers now.
func (k *view) remove(p *Plan, id fleet.RaftID) {
	if k.members[id] && !k.quorum(func(m fleet.RaftID) bool { return k.members[m] && m != id }) {
		return
	}
	p.Effects = append(p.Effects, RemoveServer{id})
}

// quorum reports whether a majority of the servers that would vote answers now.
func (k *view) quorum(votes func(fleet.RaftID) bool) bool {
	all, answering := 0, 0
	count := func(id fleet.RaftID) {
		all++
		if id == k.Self || k.Answers[id].Now {
			answering++
		}
	}
	for _, member := range k.Members {
		if votes(member.ID) {
			count(member.ID)
		}
	}
	return all > 0 && answering > all/2
}

// retireGone retires voters that can never vote again: their host is forgotten,
// or says that their log is not there (a wiped disk).
func (k *view) retireGone(p *Plan) {
	for _, row := range k.rows {
		if row.Phase == fleet.VoterRetiring || row.ID == k.Self {
			continue
		}
		host := k.State.Host(row.Host)
		if host == nil || host.Life == fleet.HostForgotten {
			k.retire(p, row, "its host was forgotten")
			return
		}
		answer := k.Answers[row.ID]
		if row.Phase != fleet.VoterPreparing && answer.NotOne && answer.For >= GoneAfter {
			k.retire(p, row, "its log is gone from its disk")
			return
		}
	}
}

func (k *view) retire(p *Plan, row *fleet.Voter, why string) {
	name := string(row.Host)
	if host := k.State.Host(row.Host); host != nil {
		name = host.Name
	}
	p.intend(fleet.SetVoter{ID: row.ID, Phase: fleet.VoterRetiring}, "voter "+name+" is retiring: "+why)
}

// finishPromotion gives a vote to whom State already calls voting.
func (k *view) finishPromotion(p *Plan) {
	for _, row := range k.rows {
		if row.Phase != fleet.VoterVoting || k.members[row.ID] {
			continue
		}
		if k.Answers[row.ID].Now && k.quorumWith(row.ID) {
			p.Effects = append(p.Effects, AddVoter{row.ID})
			return
		}
	}
}

// quorumWith is quorum of today's voters and one more.
func (k *view) quorumWith(id fleet.RaftID) bool {
	return k.quorum(func(m fleet.RaftID) bool { return k.members[m] || m == id })
}

// prepare brings preparing voters to learn: keys first, then the configuration,
// then the word in State.
func (k *view) prepare(p *Plan) {
	for _, row := range k.rows {
		if row.Phase != fleet.VoterPreparing {
			continue
		}
		_, member := k.members[row.ID]
		switch {
		case member:
			p.intend(fleet.SetVoter{ID: row.ID, Phase: fleet.VoterLearning}, "")
		case k.Answers[row.ID].Now:
			p.Effects = append(p.Effects, AddNonvoter{row.ID})
		case k.now.Sub(row.Since) >= DeadAfter && !k.reachable(row):
			k.retire(p, row, "its host went away while it was prepared")
		case k.reachable(row):
			p.Effects = append(p.Effects, HandOverKeys{row.ID})
		}
	}
}

// promote makes learners vote once they have caught up: all that are needed at
// once, so that an even number of voters exists only in transit.
func (k *view) promote(p *Plan) {
	voting, ready := 0, []*fleet.Voter(nil)
	for _, row := range k.rows {
		switch row.Phase {
		case fleet.VoterVoting:
			voting++
		case fleet.VoterLearning:
			near, ok := k.memory.Near[row.ID]
			if ok && k.now.Sub(near) >= CaughtUpApart {
				ready = append(ready, row)
			} else if k.dead(row) {
				k.retire(p, row, "it died while it learned")
				return
			}
		}
	}
	if len(ready) == 0 {
		return
	}
	if k.deadVoter() == nil && voting+len(ready) < k.target && (voting+len(ready))%2 == 0 {
		return // wait for the other learner
	}
	for _, row := range ready {
		p.intend(fleet.SetVoter{ID: row.ID, Phase: fleet.VoterVoting}, "")
	}
}

// reachable reports whether a voter's host is there to be spoken to.
func (k *view) reachable(row *fleet.Voter) bool {
	host := k.State.Host(row.Host)
	return host != nil && host.Reachable()
}

// dead reports whether a voter must be replaced: positive word of the fleet
// that its host is lost, or silence to the leader and to the fleet for long.
func (k *view) dead(row *fleet.Voter) bool {
	if row.ID == k.Self {
		return false
	}
	host := k.State.Host(row.Host)
	if host == nil || host.Life == fleet.HostLost {
		return true
	}
	answer, asked := k.Answers[row.ID]
	return asked && !answer.Now && !answer.NotOne && answer.For >= DeadAfter && !host.Reachable()
}

func (k *view) deadVoter() *fleet.Voter {
	for _, row := range k.rows {
		if row.Phase == fleet.VoterVoting && k.dead(row) {
			return row
		}
	}
	return nil
}

// replaceDead retires a dead voter once there are enough without it, and else
// prepares a replacement; without a candidate nothing changes.
func (k *view) replaceDead(p *Plan) {
	dead := k.deadVoter()
	if dead == nil {
		return
	}
	if alive := k.count(func(v *fleet.Voter) bool { return v.Phase == fleet.VoterVoting && !k.dead(v) }); alive >= k.target {
		k.retire(p, dead, "its host is gone, another has taken its place")
		return
	}
	if k.count(func(v *fleet.Voter) bool { return v.Phase < fleet.VoterVoting }) == 0 {
		k.add(p, 1)
	}
}

func (k *view) count(is func(*fleet.Voter) bool) (n int) {
	for _, row := range k.rows {
		if is(row) {
			n++
		}
	}
	return n
}

// shrink retires one voter too many: after a forget, or a lowered setting.
func (k *view) shrink(p *Plan) {
	voting := k.count(func(v *fleet.Voter) bool { return v.Phase == fleet.VoterVoting })
	if voting <= k.target || voting == 1 {
		return
	}
	zones := k.zones()
	candidates := slices.DeleteFunc(slices.Clone(k.rows), func(v *fleet.Voter) bool { return v.Phase != fleet.VoterVoting || v.ID == k.Self })
	if len(candidates) == 0 {
		return
	}
	worst := slices.MinFunc(candidates, func(a, b *fleet.Voter) int {
		return cmp.Or(
			-compareBool(k.dead(a), k.dead(b)),
			-compareBool(k.unfit(a), k.unfit(b)),
			-cmp.Compare(zones[k.zoneOf(a)], zones[k.zoneOf(b)]),
			-cmp.Compare(a.Since, b.Since), // the youngest goes
			cmp.Compare(a.ID, b.ID),
		)
	})
	k.retire(p, worst, "the fleet has more voters than it needs")
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (k *view) unfit(row *fleet.Voter) bool {
	host := k.State.Host(row.Host)
	return host == nil || !host.Placeable()
}

func (k *view) zoneOf(row *fleet.Voter) string {
	if host := k.State.Host(row.Host); host != nil {
		return host.Zone
	}
	return ""
}

// zones counts voters by zone, those on their way in included.
func (k *view) zones() map[string]int {
	zones := map[string]int{}
	for _, row := range k.rows {
		if row.Phase != fleet.VoterRetiring && !k.dead(row) {
			zones[k.zoneOf(row)]++
		}
	}
	return zones
}

// grow prepares what is missing to the target.
func (k *view) grow(p *Plan) {
	have := k.count(func(v *fleet.Voter) bool { return v.Phase != fleet.VoterRetiring })
	if have < k.target {
		k.add(p, k.target-have)
	}
}

// add prepares up to n hosts: from the zone with the fewest voters, the host
// that has been here longest.
func (k *view) add(p *Plan, n int) {
	zones := k.zones()
	taken := map[fleet.HostID]bool{}
	for range n {
		var best *fleet.Host
		for host := range k.State.Hosts() {
			if taken[host.ID] || !k.candidate(host) {
				continue
			}
			if best == nil || cmp.Or(cmp.Compare(zones[host.Zone], zones[best.Zone]), cmp.Compare(host.JoinedAt, best.JoinedAt), cmp.Compare(host.ID, best.ID)) < 0 {
				best = host
			}
		}
		if best == nil {
			return
		}
		taken[best.ID] = true
		zones[best.Zone]++
		p.intend(fleet.SetVoter{ID: fleet.MakeRaftID(best.ID, best.LastRaft+1), Phase: fleet.VoterPreparing}, "")
	}
}

// candidate reports whether a host may become a voter.
func (k *view) candidate(host *fleet.Host) bool {
	if !host.Placeable() || k.Starved[host.ID] {
		return false
	}
	for _, row := range k.rows {
		if row.Host == host.ID {
			return false // one at a time, also while the old one retires
		}
	}
	return true
}
