package sim

import (
	"errors"
	"time"

	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
	"skein/raftfsm/keeper"
	"skein/raftfsm/voter"
)

// keepSeldom is how often the keeper looks where nothing is to be done, so that a
// quiet month costs nothing; whatever may change its mind wakes it.
const keepSeldom = 2 * time.Minute

// keeping runs the voter keeper of one voter, for one term of leadership after the other.
type keeping struct {
	a      *agent
	driver *keeper.Driver // nil while it does not lead
	timer  *virtual.Timer
	turns  turns[keeper.Event]
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
	k.turns.take(events, func() bool { return k.driver == term }, func(due []keeper.Event) {
		for _, e := range term.Step(k.a.fleetTime(), k.a.w.time.Now(), k.input(), due...) {
			k.carryOut(term, e)
		}
	})
}

func (k *keeping) input() keeper.Input {
	node, w := k.a.node, k.a.w
	if node == nil || !node.IsLeader() {
		return keeper.Input{}
	}
	in := keeper.InputOf(leaderLog{node}, func(id fleet.HostID) bool { return w.hosts[id].starved })
	for id, n := range in.Installs {
		if n >= keeper.MaxInstalls {
			w.watch.checker.Stuck(id)
		}
	}
	return in
}

// leaderLog is the log as the keeper knows it.
type leaderLog struct{ *simlog.Node }

func (l leaderLog) Members() ([]keeper.Member, error) {
	var all []keeper.Member
	for _, m := range l.Node.Members() {
		all = append(all, keeper.Member(m))
	}
	return all, nil
}

// ask is what a voter's host says of its log.
func (k *keeping) ask(host fleet.HostID) (keeper.Reply, error) {
	h := k.a.w.hosts[host]
	switch {
	case h == nil || h.agent == nil || !k.a.w.net.Linked(k.a.id, h.id):
		return keeper.Reply{}, errNoAnswer
	case h.agent.node == nil:
		return keeper.Reply{None: true}, nil
	}
	node := h.agent.node
	reply := keeper.Reply{ID: node.ID(), Commit: node.CommitIndex()}
	if err := node.Trouble(); err != nil {
		k.a.w.sometimes("the keeper hears that a voter's disk is in trouble")
		reply.Trouble, reply.Stalled = err.Error(), errors.Is(err, simlog.ErrStalled)
	}
	return reply, nil
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
		reply, err := k.ask(e.ID.Host())
		k.step(term, keeper.Answered{N: e.N, ID: e.ID, Answer: keeper.AnswerOf(e.ID, reply, err)})
	case keeper.Propose:
		node.Propose(e.Items, k.a.fleetTime(), func(_ []fleet.Result, _ uint64, err error) {
			k.step(term, keeper.Proposed{Err: err})
		})
	case keeper.HandOverKeys:
		w.note("%s hands the keys to %s", k.a.name, e.ID)
		k.tell(e.ID, voter.Prepared{ID: e.ID}, done)
	case keeper.AddNonvoter:
		node.AddNonvoter(e.ID, done)
	case keeper.AddVoter:
		node.AddVoter(e.ID, done)
	case keeper.RemoveServer:
		w.sometimes("a voter is removed")
		node.RemoveServer(e.ID, done)
	case keeper.DeleteLog:
		k.tell(e.ID, voter.Retired{ID: e.ID}, done)
	case keeper.Transfer:
		w.sometimes("the keeper moves leadership")
		node.Transfer(done)
	}
}

// tell has a voter's host, itself included, hear of its log.
func (k *keeping) tell(id fleet.RaftID, event voter.Event, done func(error)) {
	h := k.a.w.hosts[id.Host()]
	if h == nil {
		done(errNoAnswer)
		return
	}
	k.a.call(h, keeper.ChangeFor, func(v *agent, reply func(func())) {
		err := v.stepLog(event)
		reply(func() { done(err) })
	}, done)
}

// stepLog steps the rules of this host's log. The simulator has no keys.
func (a *agent) stepLog(event voter.Event) error {
	held := voter.Held{}
	if a.log != nil {
		held.Disk = a.log.ID()
	}
	if a.node != nil {
		held.Open = a.node.ID()
	}
	effects, err := voter.Step(held, event)
	for _, effect := range effects {
		switch e := effect.(type) {
		case voter.Open:
			a.openLog(e.ID)
		case voter.Close:
			a.closeLog()
		case voter.Delete:
			a.w.sometimes("a voter's log is deleted")
			a.log = nil
		}
	}
	return err
}
