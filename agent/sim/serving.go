package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/sim/simlog"
	"skein/raftfsm/fleet"
)

// serving is what an agent does for others as a voter: sessions, streams,
// reports and proposals. It stands for agent/peer's handlers.
type serving struct {
	a       *agent
	streams map[fleet.HostID]*voterStream
	batch   []gathered
}

// gathered is a report that waits for others.
type gathered struct {
	item fleet.Item
	done func(fleet.Result, error)
}

// Times of a voter; agent/peer has the same.
const (
	gatherReports = 5 * time.Millisecond
	proposeWait   = 10 * time.Second
	proposePause  = 50 * time.Millisecond
	batchMost     = 256
	callTimeout   = 3 * time.Second
)

func newServing(a *agent) *serving { return &serving{a: a, streams: map[fleet.HostID]*voterStream{}} }

// leaderAge is since when this voter has heard no leader.
func (a *agent) leaderAge() time.Duration {
	if a.node == nil {
		return 1 << 60
	}
	return a.node.LeaderAge()
}

func (s *serving) openSession(
	from *agent, open fleet.OpenSession, done func(g protocol.SessionGrant, nonce uint64, err error),
) {
	node := s.a.node
	if node == nil {
		done(protocol.SessionGrant{}, 0, protocol.ErrNotHere)
		return
	}
	h := node.State().Host(open.Host)
	if h == nil {
		done(protocol.SessionGrant{}, 0, protocol.ErrBehind)
		return
	}
	if err := open.CheckFormat(node.State()); err != nil {
		if !h.Refuses(open) {
			open.TooOld = true
			s.propose([]fleet.Item{{Command: open, By: "host " + h.Name}}, func([]fleet.Result, uint64, error) {})
		}
		done(protocol.SessionGrant{}, h.Session.Nonce, err)
		return
	}
	if st := s.streams[open.Host]; st != nil && st.to != from && !st.to.life.Over() {
		open.Contested = !open.SameMachine(h)
		s.a.w.sometimes("two live agents have one identity")
	}
	s.propose([]fleet.Item{{Command: open, By: "host " + h.Name}}, func(results []fleet.Result, index uint64, err error) {
		if err == nil {
			err = results[0].Err
		}
		g := protocol.SessionGrant{Index: index, Epoch: 1, Roster: s.a.knownRoster()}
		var nonce uint64
		if h := node.State().Host(open.Host); h != nil {
			nonce = h.Session.Nonce
		}
		if err == nil && len(results[0].IDs) == 0 {
			err = protocol.ErrCloned
		}
		if err == nil {
			g.Session, err = strconv.ParseUint(results[0].IDs[0], 10, 64)
		}
		done(g, nonce, err)
	})
}

// begin makes a stream for a host, once this voter has come to what the host has
// seen.
func (s *serving) begin(from *agent, attempt uint64, at stream.Position, done func(*voterStream, error)) {
	deadline := s.a.w.time.Now() + stream.CatchUp
	var try func()
	try = func() {
		node := s.a.node
		if node == nil {
			done(nil, protocol.ErrNotHere)
			return
		}
		if h := node.State().Host(from.id); h != nil && h.State == fleet.HostForgotten {
			done(nil, fleet.ErrForgotten)
			return
		}
		err := stream.Reached(node.State(), from.id, at)
		switch {
		case errors.Is(err, protocol.ErrBehind) && s.a.w.time.Now() < deadline:
			s.a.life.After(proposePause, try)
			return
		case errors.Is(err, protocol.ErrBehind):
			s.a.w.sometimes("a voter is behind what a host has seen")
		}
		if err != nil {
			done(nil, err)
			return
		}
		old := s.streams[from.id]
		st := &voterStream{voter: s.a, to: from, attempt: attempt, session: at.Session,
			sender: stream.NewSender(from.id, node.State(), at)}
		s.streams[from.id] = st
		if old != nil {
			old.closed = true
		}
		done(st, nil)
	}
	try()
}

func (s *serving) forget(st *voterStream) {
	if s.streams[st.to.id] == st {
		delete(s.streams, st.to.id)
	}
}

func (s *serving) closeAll() {
	for _, id := range slices.Sorted(maps.Keys(s.streams)) {
		s.streams[id].end(protocol.ErrNotHere)
	}
}

// wake has the streams of the hosts whose wanted tasks changed bring it.
func (s *serving) wake(t fleet.ChangeSet) {
	for id := range t.Hosts() {
		if st := s.streams[id]; st != nil {
			st.changed()
		}
	}
}

// report has a report committed, with others.
func (s *serving) report(r fleet.Report, done func(error)) {
	if s.a.node == nil {
		done(protocol.ErrNotHere)
		return
	}
	h := s.a.node.State().Host(r.Host)
	if h != nil && h.Session.N > r.Session && s.a.w.cfg.Mutation.is(MutationNoSessionFence) {
		r.Session, r.Seq = h.Session.N, h.ReportSeq+1
	}
	switch {
	case h == nil || h.Session.N < r.Session:
		done(protocol.ErrBehind)
		return
	case h.Session.N > r.Session:
		done(fleet.ErrOldSession)
		return
	case h.Session.N == r.Session && r.Seq <= h.ReportSeq:
		done(nil)
		return
	}
	s.gather(fleet.Item{Command: r, By: "host " + h.Name}, func(result fleet.Result, err error) {
		done(errors.Join(err, result.Err))
	})
}

// gather waits a moment for more, at the leader; another voter passes on.
func (s *serving) gather(item fleet.Item, done func(fleet.Result, error)) {
	if !s.a.node.IsLeader() {
		s.forward(func(leader *agent, reply func(func())) {
			if leader.node == nil || !leader.node.IsLeader() {
				reply(func() { done(fleet.Result{}, protocol.ErrNotLeader) })
				return
			}
			leader.serves.gather(item, func(r fleet.Result, err error) { reply(func() { done(r, err) }) })
		}, func() { done(fleet.Result{}, protocol.ErrNoLeader) })
		return
	}
	s.batch = append(s.batch, gathered{item, done})
	if len(s.batch) == 1 {
		s.a.life.After(gatherReports, s.flush)
	} else if len(s.batch) >= batchMost {
		s.flush()
	}
}

func (s *serving) flush() {
	batch := s.batch
	s.batch = nil
	if len(batch) == 0 || s.a.node == nil {
		return
	}
	items := make([]fleet.Item, len(batch))
	for i, g := range batch {
		items[i] = g.item
	}
	s.a.node.Propose(items, s.a.fleetTime(), func(results []fleet.Result, _ uint64, err error) {
		for i, g := range batch {
			if err != nil {
				g.done(fleet.Result{}, err)
			} else {
				g.done(results[i], nil)
			}
		}
	})
}

// forward runs f at the leader this voter knows, or reaches through another. Who
// is linked is known at once here; agent/peer finds out within about a second.
func (s *serving) forward(f func(leader *agent, reply func(func())), none func()) {
	if leader, ok := s.a.leaderHost(); ok {
		s.a.call(leader, f)
		return
	}
	for _, id := range s.a.knownVoters() {
		v := s.a.w.hosts[id]
		if v == nil || v.agent == nil || v.agent == s.a || v.agent.node == nil || !s.a.w.net.Linked(s.a.id, id) {
			continue
		}
		if v.agent.node.IsLeader() {
			s.a.w.sometimes("a voter that knows no leader finds it")
			s.a.call(v, f)
			return
		}
		if leader, ok := v.agent.leaderHost(); ok {
			s.a.w.sometimes("an order reaches the leader through another voter")
			s.a.call(v, func(through *agent, reply func(func())) {
				through.call(leader, func(leader *agent, back func(func())) {
					f(leader, func(answer func()) { back(func() { reply(answer) }) })
				})
			})
			return
		}
	}
	none()
}

// leaderHost is the leader that this voter knows, if there is a link to it.
func (a *agent) leaderHost() (*host, bool) {
	leader, ok := a.node.Leader()
	h := a.w.hosts[leader]
	return h, ok && leader != a.id && h != nil && a.w.net.Linked(a.id, leader)
}

// propose commits items from any voter, waiting for a leader for a while. What
// may have been committed is told from what was not.
func (s *serving) propose(items []fleet.Item, done func([]fleet.Result, uint64, error)) {
	deadline := s.a.w.time.Now() + proposeWait
	answered := false
	answer := func(r []fleet.Result, index uint64, err error) {
		if !answered {
			answered = true
			done(r, index, err)
		}
	}
	var try func()
	again := func(r []fleet.Result, index uint64, err error) {
		if err == nil || !errors.Is(err, protocol.ErrNotLeader) && !errors.Is(err, simlog.ErrNotLeader) &&
			!errors.Is(err, protocol.ErrNoLeader) {
			answer(r, index, err)
			return
		}
		if s.a.w.time.Now() >= deadline {
			answer(nil, 0, fmt.Errorf("%w: %w", protocol.ErrNoLeader, err))
			return
		}
		s.a.life.After(proposePause, try)
	}
	try = func() {
		switch {
		case s.a.node == nil:
			answer(nil, 0, protocol.ErrNotHere)
		case s.a.node.IsLeader():
			s.a.node.Propose(items, s.a.fleetTime(), again)
		default:
			s.proposeThere(items, again)
		}
	}
	try()
	// An answer that gets lost on the way is an unknown outcome.
	s.a.life.After(proposeWait+callTimeout, func() { answer(nil, 0, simlog.ErrUnknown) })
}

// proposeThere has the leader commit; it never forwards again.
func (s *serving) proposeThere(items []fleet.Item, done func([]fleet.Result, uint64, error)) {
	s.forward(func(leader *agent, reply func(func())) {
		if leader.node == nil || !leader.node.IsLeader() {
			reply(func() { done(nil, 0, protocol.ErrNotLeader) })
			return
		}
		leader.node.Propose(items, leader.fleetTime(), func(r []fleet.Result, index uint64, err error) {
			reply(func() { done(r, index, err) })
		})
	}, func() { done(nil, 0, protocol.ErrNoLeader) })
}
