package sim

import (
	"errors"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
)

// keepSeldom is how often the keeper looks where nothing is to be done, so that a
// quiet month costs nothing; whatever may change its mind wakes it.
const keepSeldom = 2 * time.Minute

// keeping runs the voter keeper of one voter, for one term of leadership after the other.
type keeping struct {
	a        *agent
	driver   *keeper.Driver // nil while it does not lead
	timer    *virtual.Timer
	due      []keeper.Event // of answers that came within a step
	stepping bool
}

func (k *keeping) begin() {
	k.driver = keeper.NewDriver(k.a.w.time.Now(), keepSeldom)
	k.step(k.driver)
}

func (k *keeping) stop() {
	k.driver = nil
	k.timer.Stop()
}

// wake says that something has changed that may matter.
func (k *keeping) wake() {
	if k.driver != nil && k.a.w.cfg.Mutation.is(MutationVoterRetired) {
		k.retireSilent()
	}
	k.step(k.driver, keeper.Changed{})
}

// step steps the driver of a term, if that term goes on.
func (k *keeping) step(term *keeper.Driver, events ...keeper.Event) {
	if k.driver == nil || term != k.driver {
		return
	}
	k.due = append(k.due, events...)
	if k.stepping {
		return
	}
	k.stepping = true
	for again := true; again && k.driver == term; again = len(k.due) > 0 {
		due := k.due
		k.due = nil
		for _, e := range term.Step(k.a.fleetTime(), k.a.w.time.Now(), k.input(), due...) {
			k.carryOut(term, e)
		}
	}
	k.due, k.stepping = nil, false
}

func (k *keeping) input() keeper.Input {
	node, w := k.a.node, k.a.w
	if node == nil || !node.IsLeader() {
		return keeper.Input{}
	}
	in := keeper.Input{
		State: node.State(), Self: node.ID(), Commit: node.CommitIndex(), Installs: map[fleet.RaftID]int{},
		Leaving: k.a.disk != diskWell,
		Starved: func(id fleet.HostID) bool { return w.hosts[id].starved },
	}
	for v := range in.State.Voters() {
		if in.Installs[v.ID] = node.SnapshotInstalls(v.ID); in.Installs[v.ID] >= keeper.MaxInstalls {
			w.watch.checker.Stuck(v.ID)
		}
	}
	for _, m := range node.Members() {
		in.Members = append(in.Members, keeper.Member{ID: m.ID, Voting: m.Voting})
	}
	return in
}

// answerOf is what a voter's host says of its log.
func (k *keeping) answerOf(id fleet.RaftID) keeper.Answer {
	h := k.a.w.hosts[id.Host()]
	if h == nil || h.agent == nil || !k.a.w.net.Linked(k.a.id, h.id) {
		return keeper.Answer{}
	}
	node := h.agent.node
	if node == nil || node.ID() != id {
		return keeper.Answer{NotOne: true}
	}
	answer := keeper.Answer{Now: true, Commit: node.CommitIndex()}
	if err := node.Trouble(); err != nil {
		k.a.w.sometimes("the keeper hears that a voter's disk is in trouble")
		answer.Trouble, answer.Stalled = err.Error(), errors.Is(err, simlog.ErrStalled)
	}
	return answer
}

// carryOut begins an effect of a term; its end is an event of that term.
func (k *keeping) carryOut(term *keeper.Driver, e keeper.Effect) {
	node, w := k.a.node, k.a.w
	done := func(err error) {
		if err != nil {
			w.note("voter change not carried out: %v", err)
		}
		k.step(term, keeper.Done{Err: err})
	}
	switch e := e.(type) {
	case keeper.Wake:
		k.timer.Stop()
		k.timer = k.a.life.After(e.At-w.time.Now(), func() { k.step(term) })
	case keeper.Ask:
		k.step(term, keeper.Answered{N: e.N, ID: e.ID, Answer: k.answerOf(e.ID)})
	case keeper.Propose:
		node.Propose(e.Items, k.a.fleetTime(), func(_ []fleet.Result, _ uint64, err error) {
			k.step(term, keeper.Proposed{Err: err})
		})
	case keeper.HandOverKeys:
		w.note("%s hands the keys to %s", k.a.name, e.ID)
		k.tell(e.ID, func(v *agent) { v.prepareVoter(e.ID) }, done)
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
	k.a.life.After(keeper.ChangeFor, func() { finish(errNoAnswer) })
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
