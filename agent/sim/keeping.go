package sim

import (
	"errors"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// keeping carries out what the voter keeper decides, for one term of leadership.
// It stands for cmd/skein/node's. Where nothing is to be done it looks seldom, so
// that a quiet month costs nothing; whatever may change its mind wakes it.
type keeping struct {
	a        *agent
	timer    *virtual.Timer
	memory   keeper.Memory
	answers  map[fleet.RaftID]keeper.Answer
	since    map[fleet.RaftID]time.Duration
	prepared map[fleet.RaftID]bool
	busy     int           // effects under way
	chain    int           // steps of one look so far
	awake    time.Duration // until then it looks often
}

const (
	keepEvery  = 500 * time.Millisecond
	keepSeldom = 2 * time.Minute
	// keepAwake is how long it looks often after something changed: longer than
	// any of the keeper's own times but AvoidFor.
	keepAwake = 3 * time.Minute
)

func newKeeping(a *agent) *keeping { return &keeping{a: a} }

func (k *keeping) begin() {
	k.memory, k.answers = keeper.Memory{}, map[fleet.RaftID]keeper.Answer{}
	k.since, k.prepared = map[fleet.RaftID]time.Duration{}, map[fleet.RaftID]bool{}
	k.busy = 0
	k.awake = k.a.w.time.Now() + keepAwake
	k.arm(keepEvery)
}

func (k *keeping) stop() { k.timer.Stop() }

func (k *keeping) arm(d time.Duration) {
	k.timer.Stop()
	k.timer = k.a.life.After(d, k.look)
}

// wake has it look often for a while.
func (k *keeping) wake() {
	was := k.awake
	k.awake = k.a.w.time.Now() + keepAwake
	if k.timer.Waiting() && was <= k.a.w.time.Now() {
		k.arm(keepEvery)
	}
}

func (k *keeping) look() {
	k.chain = 0
	k.lookNow()
}

// stepsAtOnce bounds the steps of one look; cmd/skein/node has the same.
const stepsAtOnce = 8

// follow has what follows at once follow at once.
func (k *keeping) follow() {
	if k.chain < stepsAtOnce && k.busy == 0 {
		k.chain++
		k.a.life.After(0, k.lookNow)
	}
}

func (k *keeping) lookNow() {
	if k.a.node == nil || !k.a.node.IsLeader() {
		return
	}
	if k.busy == 0 {
		k.step()
	}
	d := keepSeldom
	if k.a.w.time.Now() < k.awake {
		d = keepEvery
	}
	k.arm(d)
}

// step asks the other voters, decides once, and carries it out.
func (k *keeping) step() {
	node, w := k.a.node, k.a.w
	state := node.State()
	if state.Fleet() == nil {
		return
	}
	k.ask(state)
	in := keeper.Input{
		State: state, Self: node.ID(), Commit: node.CommitIndex(), Answers: k.answers, Starved: map[fleet.HostID]bool{},
		Installs: map[fleet.RaftID]int{}, Leaving: k.a.disk != diskWell,
	}
	for v := range state.Voters() {
		in.Installs[v.ID] = node.SnapshotInstalls(v.ID)
		in.Starved[v.Host] = w.hosts[v.Host].starved
	}
	for _, m := range node.Members() {
		in.Members = append(in.Members, keeper.Member{ID: m.ID, Voting: m.Voting})
	}
	var plan keeper.Plan
	plan, k.memory = keeper.Step(k.a.fleetTime(), in, k.memory)
	if len(plan.Items)+len(plan.Effects) > 0 || plan.Why != "" {
		k.awake = w.time.Now() + keepAwake
	}
	if len(plan.Items) > 0 {
		k.busy++
		node.Propose(plan.Items, k.a.fleetTime(), func([]fleet.Result, uint64, error) {
			// Refused or unknown: a later step looks at what became of it.
			k.busy--
			k.follow()
		})
	}
	for _, e := range plan.Effects {
		k.do(e)
	}
}

// ask learns what each other voter's host would answer now.
func (k *keeping) ask(state *fleet.State) {
	now := k.a.w.time.Now()
	next := map[fleet.RaftID]keeper.Answer{}
	for row := range state.Voters() {
		if row.ID == k.a.node.ID() {
			continue
		}
		answer := k.answerOf(row)
		old, known := k.answers[row.ID]
		if !known || !old.Like(answer) {
			k.since[row.ID] = now
		}
		answer.For = now - k.since[row.ID]
		next[row.ID] = answer
	}
	k.answers = next
}

func (k *keeping) answerOf(row *fleet.Voter) keeper.Answer {
	h := k.a.w.hosts[row.Host]
	if h == nil || h.agent == nil || !k.a.w.net.Linked(k.a.id, row.Host) {
		return keeper.Answer{}
	}
	node := h.agent.node
	if node == nil || node.ID() != row.ID || row.Phase == fleet.VoterPreparing && !k.prepared[row.ID] {
		return keeper.Answer{NotOne: node == nil || node.ID() != row.ID}
	}
	answer := keeper.Answer{Now: true, Commit: node.CommitIndex()}
	if err := node.Trouble(); err != nil {
		k.a.w.sometimes("the keeper hears that a voter's disk is in trouble")
		answer.Trouble, answer.Stalled = err.Error(), errors.Is(err, simlog.ErrStalled)
	}
	return answer
}

// do begins an effect; what comes of it is seen by the next step.
func (k *keeping) do(e keeper.Effect) {
	node, w := k.a.node, k.a.w
	done := func(err error) {
		k.busy--
		if err != nil {
			w.note("voter change not carried out: %v", err)
			return // the next look tries again
		}
		k.follow()
	}
	k.busy++
	switch e := e.(type) {
	case keeper.HandOverKeys:
		w.note("%s hands the keys to %s", k.a.name, e.ID)
		k.tell(e.ID, func(v *agent) { v.prepareVoter(e.ID) }, func(err error) {
			if err == nil {
				k.prepared[e.ID] = true
			}
			done(err)
		})
	case keeper.AddNonvoter:
		node.AddNonvoter(e.ID, done)
	case keeper.AddVoter:
		node.AddVoter(e.ID, done)
	case keeper.RemoveServer:
		w.sometimes("a voter is removed")
		node.RemoveServer(e.ID, done)
	case keeper.DeleteLog:
		k.tell(e.ID, func(v *agent) { v.retireVoter(e.ID) }, done)
	case keeper.Transfer:
		w.sometimes("the keeper moves leadership")
		node.Transfer(done)
	}
}

// tell runs f on a voter's host, itself included.
func (k *keeping) tell(id fleet.RaftID, f func(*agent), done func(error)) {
	h := k.a.w.hosts[id.Host()]
	if h == nil {
		done(errNoAnswer)
		return
	}
	answered := false
	finish := func(err error) {
		if !answered {
			answered = true
			done(err)
		}
	}
	k.a.call(h, func(v *agent, reply func(func())) {
		f(v)
		reply(func() { finish(nil) })
	})
	k.a.life.After(callTimeout, func() { finish(errNoAnswer) })
}

// prepareVoter makes an empty log under a new id, in place of an older one.
func (a *agent) prepareVoter(id fleet.RaftID) {
	if a.node != nil && a.node.ID() == id {
		return
	}
	a.dropNode()
	a.log = simlog.NewDisk(id)
	a.host.setDisk(a.disk)
	a.openLog()
}

// retireOut deletes this host's log when a voter that it streams from says that
// the logs up to its number are out of the fleet.
func (a *agent) retireOut(logs int) {
	if a.log != nil && a.log.ID().Number() <= logs {
		a.w.sometimes("a voter that was replaced while away deletes its log")
		a.retireVoter(a.log.ID())
	}
}

// retireVoter deletes the log of an id that is out for ever.
func (a *agent) retireVoter(id fleet.RaftID) {
	if a.log == nil || a.log.ID() != id {
		return
	}
	a.w.sometimes("a voter's log is deleted")
	a.dropNode()
	a.log = nil
}
