package sim

import (
	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/peer/relay"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// relaying runs agent/peer/relay over the simulated network: a voter's way to the
// leader, and what is brought to it.
//
// Nothing beats. A leader with a link has answered whenever somebody looks, and others
// are asked for a way when somebody needs one.
type relaying struct {
	a       *agent
	rules   relay.Relay
	linked  fleet.HostID // the leader that answered when this voter last looked; empty for none
	asking  bool         // the others
	waiting []func()     // for what they say
}

// look notes the answers that the leader has given until now.
func (r *relaying) look() {
	now := r.a.w.time.Now()
	if r.linked != "" && r.linked != r.answers() {
		r.rules.Hear(now-r.a.w.ages.Between(0, protocol.AgesEvery), r.linked)
	}
	if r.linked = r.answers(); r.linked != "" {
		r.rules.Hear(now, r.linked)
	}
}

// answers is the leader that this voter's log names, if it answers now.
func (r *relaying) answers() fleet.HostID {
	id := r.place().Leader
	h := r.a.w.hosts[id]
	if h == nil || id == r.a.id || !r.a.w.net.Linked(r.a.id, id) || h.agent == nil || h.agent.node == nil ||
		!h.agent.node.IsLeader() {
		return ""
	}
	return id
}

func (r *relaying) place() relay.Place {
	at := relay.Place{Self: r.a.id}
	if r.a.node == nil {
		return at
	}
	at.Leads = r.a.node.IsLeader()
	if leader, ok := r.a.node.Leader(); ok {
		at.Leader = leader
	}
	return at
}

// away is how far the leader is from a voter that asks, by way of this one.
func (r *relaying) away(asker fleet.HostID) int {
	if r.a.node == nil {
		return 0
	}
	r.seek()
	return r.rules.Away(r.a.w.time.Now(), r.place(), asker)
}

// seek has the other voters asked, where the leader does not answer this one.
func (r *relaying) seek() {
	r.look()
	if !r.rules.Ask(r.a.w.time.Now(), r.place()) {
		return
	}
	r.asking = true
	var words []relay.Word
	left := 1 // until all have been asked
	answered := func() {
		if left--; left == 0 {
			r.answered(words)
		}
	}
	for _, id := range r.a.knownVoters() {
		if id == r.a.id {
			continue
		}
		left++
		r.askAway(id, func(away int) {
			words = append(words, relay.Word{Voter: id, Away: away})
			answered()
		})
	}
	answered()
}

func (r *relaying) answered(words []relay.Word) {
	r.rules.Answered(r.a.w.time.Now(), words)
	waiting := r.waiting
	r.asking, r.waiting = false, nil
	for _, f := range waiting {
		f()
	}
}

// askAway asks one voter; done is called once, with 0 where no answer comes.
func (r *relaying) askAway(id fleet.HostID, done func(away int)) {
	h := r.a.w.hosts[id]
	if h == nil {
		r.a.life.After(relay.AskFor, func() { done(0) })
		return
	}
	r.a.call(h, relay.AskFor, func(v *agent, reply func(func())) {
		away := v.serves.way.away(r.a.id)
		reply(func() { done(away) })
	}, func(error) { done(0) })
}

// next is whom to call with what only the leader does. Where the leader that the log
// names does not answer, the others are heard first.
func (r *relaying) next(calls int, then func(relay.Hop, error)) {
	r.seek()
	decide := func() { then(r.rules.Next(r.a.w.time.Now(), r.place(), calls)) }
	if r.asking && r.place().Leader != "" {
		r.waiting = append(r.waiting, decide)
		return
	}
	decide()
}

// bring calls who is next on the way to the leader, with at most so many calls. f runs
// there, and may make as many as hop says. failed is told when nobody was called, or when no answer will
// come.
func (r *relaying) bring(
	calls int, f func(v *agent, hop relay.Hop, reply func(func())), failed func(error),
) {
	r.next(calls, func(hop relay.Hop, err error) {
		to := r.a.w.hosts[hop.To]
		switch {
		case err != nil:
			failed(err)
			return
		case to == nil || r.a.w.net.Dial(r.a.id, hop.To) == virtual.Refused:
			r.a.life.After(intake.ProposePause, func() { failed(protocol.ErrNoLeader) }) // nothing was sent
			return
		}
		wait := r.watch(hop, failed)
		wait.connection = r.a.connect(to, func(v *agent, reply func(func())) {
			f(v, hop, func(answer func()) {
				reply(func() {
					if wait.answered() {
						answer()
					}
				})
			})
		}, func() {
			if wait.answered() {
				failed(protocol.ErrUnknown)
			}
		})
	})
}

// watch gives a call up, its outcome unknown, once its connection is known to be gone, or
// the way has moved.
func (r *relaying) watch(hop relay.Hop, failed func(error)) *calling {
	c := &calling{}
	since := r.a.w.time.Now()
	var look func()
	look = func() {
		now := r.a.w.time.Now()
		if r.a.w.net.Linked(r.a.id, hop.To) {
			since = now
		}
		r.seek()
		if now-since >= protocol.GoneAfter || r.rules.Moved(now, r.place(), hop) {
			if c.answered() {
				c.connection.Close()
				failed(protocol.ErrUnknown)
			}
			return
		}
		c.timer = r.a.life.After(intake.ProposePause, look)
	}
	c.timer = r.a.life.After(intake.ProposePause, look)
	return c
}

// calling is a call that is under way.
type calling struct {
	timer      *virtual.Timer
	connection *virtual.Connection
	over       bool
}

// answered ends it; false when it was over.
func (c *calling) answered() bool {
	c.timer.Stop()
	was := c.over
	c.over = true
	return !was
}
