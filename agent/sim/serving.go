package sim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/peer/relay"
	"skein/agent/peer/stream"
	"skein/agent/sim/simlog"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// serving is what an agent does for others as a voter: sessions, streams, reports and
// proposals. It runs agent/peer/intake and relay over the simulated network and log.
type serving struct {
	a       *agent
	streams map[fleet.HostID]*voterStream
	reports intake.Batcher
	way     relaying
	waiting map[uint64]func(fleet.Result, error) // for answers of the batcher
	ref     uint64                               // of the last report
	timer   *virtual.Timer                       // of the batcher
}

// callTimeout is how long after the last try of a proposal an answer counts as lost.
const callTimeout = 3 * time.Second

func newServing(a *agent) *serving {
	return &serving{a: a, way: relaying{a: a}, streams: map[fleet.HostID]*voterStream{},
		waiting: map[uint64]func(fleet.Result, error){}}
}

// leaderAge is since when this voter has heard no leader.
func (a *agent) leaderAge() time.Duration {
	if a.node == nil {
		return 1 << 60
	}
	return a.node.LeaderAge()
}

// openSession carries out what the way to a session asks for. done is also told the
// newest nonce that State here has of the host.
func (s *serving) openSession(ask fleet.OpenSession, done func(g protocol.SessionGrant, nonce uint64, err error)) {
	opening := intake.NewOpening(ask)
	var step func(intake.SessionEvent)
	step = func(event intake.SessionEvent) {
		if s.a.node == nil {
			done(protocol.SessionGrant{}, 0, protocol.ErrNotHere)
			return
		}
		st := s.a.node.State()
		switch e := opening.Step(st, s.a.wallClock(), event).(type) {
		case intake.LookFor:
			s.lookFor(e, relay.MaxAway, func(heard bool, err error) { step(intake.Looked{Heard: heard, Err: err}) })
		case intake.Wait:
			s.a.w.sometimes("a session waits for the former machine of its host")
			s.a.life.After(e.For, func() { step(intake.Waited{}) })
		case intake.ProposeSession:
			s.propose([]fleet.Item{e.Item}, func(results []fleet.Result, index uint64, err error) {
				step(intake.Applied{Results: results, Index: index, Err: err})
			})
		case intake.Opened:
			e.Grant.Roster = s.a.knownRoster()
			nonce := uint64(0)
			if h := st.Host(ask.Host); h != nil {
				nonce = h.Session.Nonce
			}
			done(e.Grant, nonce, e.Err)
		}
	}
	step(intake.Asked{})
}

// lookFor looks at this voter's own streams, then asks the leader, with at most so many
// calls.
func (s *serving) lookFor(e intake.LookFor, calls int, done func(bool, error)) {
	switch {
	case s.a.node == nil:
		done(false, protocol.ErrNotHere)
	case s.a.w.detectors.Hears(s.a.id, e.Host, e.Session):
		done(true, nil)
	case s.a.node.IsLeader():
		done(s.heardByLeader(e))
	default:
		s.way.bring(calls, func(v *agent, hop relay.Hop, reply func(func())) {
			v.serves.lookFor(e, hop.Left, func(heard bool, err error) { reply(func() { done(heard, err) }) })
		}, func(err error) { done(false, err) })
	}
}

func (s *serving) heardByLeader(e intake.LookFor) (bool, error) {
	if s.a.node == nil || !s.a.node.IsLeader() {
		return false, protocol.ErrNotLeader
	}
	heard, known := s.a.lead.detector.Heard(e.Host, e.Session)
	if !known {
		return false, protocol.ErrBusy
	}
	return heard, nil
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
			s.a.life.After(stream.Coalesce, try)
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

// wake has the streams of the hosts of which what they are sent changed bring it.
func (s *serving) wake(t fleet.ChangeSet) {
	if t.Any(fleet.SubjectRoutes) {
		for _, id := range slices.Sorted(maps.Keys(s.streams)) {
			s.streams[id].changed()
		}
		return
	}
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
	known, err := intake.Known(s.a.node.State(), r)
	if err != nil || known {
		done(err)
		return
	}
	s.ref++
	s.waiting[s.ref] = func(result fleet.Result, err error) { done(errors.Join(err, result.Err)) }
	s.step(intake.Arrived{Ref: s.ref, Item: fleet.Item{Command: r, By: "host " + h.Name}, Size: taskBytes * len(r.Tasks)})
}

// taskBytes is about how much of a report a task takes.
const taskBytes = 100

// step carries out what the batcher asks for.
func (s *serving) step(events ...intake.Event) {
	now := s.a.w.time.Now()
	for _, effect := range s.reports.Step(now, s.a.node != nil && s.a.node.IsLeader(), events...) {
		switch e := effect.(type) {
		case intake.Propose:
			s.propose(e.Items, func(results []fleet.Result, index uint64, err error) {
				s.step(intake.Committed{N: e.N, Results: results, Index: index, Err: err})
			})
		case intake.Answer:
			done := s.waiting[e.Ref]
			delete(s.waiting, e.Ref)
			done(e.Result, e.Err)
		case intake.Wake:
			s.timer.Stop()
			s.timer = s.a.life.After(e.At-now, func() { s.step() })
		}
	}
}

// propose commits items from any voter, waiting for a leader for a while. What
// may have been committed is told from what was not.
func (s *serving) propose(items []fleet.Item, done func([]fleet.Result, uint64, error)) {
	deadline := s.a.w.time.Now() + intake.ProposeWait
	answered := false
	answer := func(r []fleet.Result, index uint64, err error) {
		if !answered {
			answered = true
			done(r, index, err)
		}
	}
	var try func()
	again := func(r []fleet.Result, index uint64, err error) {
		if err = toPeer(err); !intake.AgainElsewhere(err) {
			answer(r, index, err)
			return
		}
		if s.a.w.time.Now() >= deadline {
			answer(nil, 0, fmt.Errorf("%w: %w", protocol.ErrNoLeader, err))
			return
		}
		s.a.life.After(intake.ProposePause, try)
	}
	try = func() {
		switch {
		case s.a.node == nil:
			answer(nil, 0, protocol.ErrNotHere)
		default:
			s.proposeBy(items, relay.MaxAway, again)
		}
	}
	try()
	// An answer that gets lost on the way is an unknown outcome.
	s.a.life.After(intake.ProposeWait+callTimeout, func() { answer(nil, 0, protocol.ErrUnknown) })
}

// proposeBy commits items here when this voter leads, else by the way it knows to the
// leader, with at most so many calls.
func (s *serving) proposeBy(items []fleet.Item, calls int, done func([]fleet.Result, uint64, error)) {
	switch {
	case s.a.node == nil:
		done(nil, 0, protocol.ErrNoLeader) // nothing was done: another way is looked for
		return
	case s.a.node.IsLeader():
		s.a.node.Propose(items, s.a.fleetTime(), done)
		return
	}
	s.way.bring(calls, func(v *agent, hop relay.Hop, reply func(func())) {
		s.a.w.relayed(v, hop)
		v.serves.proposeFor(items, hop, func(r []fleet.Result, index uint64, err error) {
			reply(func() { done(r, index, err) })
		})
	}, func(err error) { done(nil, 0, err) })
}

// proposeFor commits another voter's items: as the leader alone, or by whatever way is
// left.
func (s *serving) proposeFor(items []fleet.Item, hop relay.Hop, done func([]fleet.Result, uint64, error)) {
	if !hop.Through && (s.a.node == nil || !s.a.node.IsLeader()) {
		done(nil, 0, protocol.ErrNotLeader)
		return
	}
	s.proposeBy(items, hop.Left, done)
}

// toPeer gives the log's errors the names that voters send to each other.
func toPeer(err error) error {
	for _, pair := range []struct{ from, to error }{
		{simlog.ErrUnknown, protocol.ErrUnknown}, // first: whatever else the error says
		{simlog.ErrNotLeader, protocol.ErrNotLeader},
		{simlog.ErrClosed, protocol.ErrNotLeader},
		{simlog.ErrStalled, protocol.ErrStalled},
		{simlog.ErrBusy, protocol.ErrBusy},
		{simlog.ErrTooLarge, protocol.ErrTooLarge},
	} {
		if errors.Is(err, pair.from) {
			return fmt.Errorf("%w: %w", pair.to, err)
		}
	}
	return err
}

// relayed marks that an order does not go from a voter to its leader.
func (w *World) relayed(v *agent, hop relay.Hop) {
	switch {
	case !hop.Through || v.node == nil:
	case v.node.IsLeader():
		w.sometimes("a voter that knows no leader finds it")
	default:
		w.sometimes("an order reaches the leader through another voter")
	}
}
