package sim

import (
	"errors"
	"fmt"
	"math"
	"time"

	"skein/agent/converge"
	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/sim/virtual"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/voter"
)

// hostLink runs a host's side of the peer port over the simulated network: a
// session, a stream of wanted state from one voter, and the reports that go back.
//
// Nothing beats. A stream that flows brings the beat that it would have brought
// whenever somebody looks at it; one that stands still is looked at when the
// network changes.
type hostLink struct {
	a       *agent
	m       *link.Machine
	timer   *virtual.Timer
	attempt uint64 // that is under way, or up
	stream  *voterStream
	flowed  bool // it did when it was last looked at
	frames  uint64
	served  fleet.Served // as beats say

	outbox         link.Outbox
	sent           link.Send      // under way, or the last
	resend         *virtual.Timer // of the outbox
	reportedUpTo   order          // newest report that was sent
	leaderAge      time.Duration  // of the stream's voter, when it was last looked at
	streamsAtVoter int
}

// order is a place in a sequence of sequences.
type order struct{ major, minor uint64 }

func (o order) before(p order) bool {
	return o.major < p.major || o.major == p.major && o.minor < p.minor
}

var (
	errNoAnswer = errors.New("no answer")
	errRefused  = errors.New("connection refused")
	errReset    = errors.New("connection reset")
)

func newLink(a *agent) *hostLink {
	held := a.loop.Status()
	return &hostLink{a: a, m: link.NewMachine(a.id, held.Epoch, held.Index, func(d time.Duration) time.Duration {
		return a.w.chance.Between(0, max(d, 0))
	})}
}

// begin looks for a voter.
func (l *hostLink) begin() {
	l.a.w.detectors.SetServed(l.a.id, l.served)
	l.timer = l.a.life.After(l.a.w.chance.Between(0, 100*time.Millisecond), l.look)
}

// step gives an event to the machine and does what it asks for.
func (l *hostLink) step(at time.Duration, e link.Event) {
	for queue := []link.Event{e}; len(queue) > 0 && !l.a.life.Over(); queue = queue[1:] {
		for _, effect := range l.m.Step(at, l.a.knownRoster(), queue[0]) {
			if answer := l.do(effect); answer != nil {
				queue = append(queue, answer)
			}
		}
	}
	if !l.a.life.Over() {
		l.tellServed()
		l.arm()
	}
}

// tellServed has the host's beats say how far it has come, where that has changed.
func (l *hostLink) tellServed() {
	if served := l.m.Status().Served; served != l.served {
		l.served = served
		l.a.w.detectors.SetServed(l.a.id, served)
	}
}

// arm has the machine look when it wants to; a stream that flows needs no look.
func (l *hostLink) arm() {
	l.timer.Stop()
	if l.flows() {
		return
	}
	now := l.a.w.time.Now()
	l.timer = l.a.life.After(max(0, l.m.Wake(now)-now), l.look)
}

func (l *hostLink) do(effect link.Effect) (answer link.Event) {
	switch do := effect.(type) {
	case link.OpenSession:
		l.attempt = do.Attempt
		l.open(do)
	case link.Dial:
		l.attempt = do.Attempt
		l.dial(do)
	case link.Deliver:
		return link.FrameTaken{Attempt: do.Attempt, Frame: do.Frame, Err: l.deliver(do.Frame)}
	case link.HangUp:
		l.hangUp()
		l.a.step(converge.VoterLost{})
	case link.KeepRoster:
		l.keep(do.Roster)
	case link.AskRoster:
		l.ask(do.Of, link.SessionTime, func(of *agent, reply func(func())) {
			r := of.knownRoster()
			reply(func() { l.keep(r) })
		}, func(error) {})
	case link.TellSession:
		l.a.w.note("%s opened session %d", l.a.name, do.Session)
		l.a.runs.opened(do.Session)
		l.a.step(converge.SessionOpened{Session: do.Session})
	case link.Note:
		l.a.w.note("%s is not served by %s: %v", l.a.name, l.a.w.nameOf(do.Voter), do.Err)
	}
	return nil
}

// keep remembers the fleet's voters, where that is news.
func (l *hostLink) keep(r trust.Roster) {
	if len(r.Voters) > 0 && r.Newer(l.a.roster) {
		l.a.host.roster = r
	}
}

// ask calls a voter. failed is told when no connection comes up, when it ends, or when no
// answer comes within the time that is left for it.
func (l *hostLink) ask(
	voter fleet.HostID, within time.Duration, f func(v *agent, reply func(func())), failed func(error),
) {
	w := l.a.w
	dial := w.net.Dial(l.a.id, voter)
	switch {
	case w.hosts[voter] == nil || dial == virtual.Refused:
		l.a.life.After(time.Millisecond, func() { failed(errRefused) })
		return
	case dial == virtual.Silent || w.net.Condition(voter) == virtual.Frozen:
		l.a.life.After(protocol.HandshakeTime, func() { failed(errNoAnswer) })
		return
	}
	l.a.call(w.hosts[voter], within, func(v *agent, reply func(func())) {
		if err := v.refusal(l.a.id); err != nil {
			reply(func() { failed(err) })
			return
		}
		f(v, reply)
	}, failed)
}

// open asks a voter for a session.
func (l *hostLink) open(do link.OpenSession) {
	h := l.a.host
	h.nonce++
	open := fleet.OpenSession{
		Host: h.id, Boot: h.bootID(), Nonce: h.nonce, Addr: h.addr(), Zone: h.zone, Capacity: h.capacity,
		Version: fmt.Sprintf("sim-%d", h.build), Format: h.build,
	}
	if h.log != nil {
		open.RaftID = h.log.ID()
	}
	opened := func(g protocol.SessionGrant, err error) {
		if errors.Is(err, fleet.ErrAgentTooOld) {
			l.a.w.sometimes("an agent that is too old is refused")
			l.a.w.watch.checker.TooOld(h.id, open.Format)
		}
		l.step(l.a.w.time.Now(), link.SessionOpened{Attempt: do.Attempt, Grant: g, Err: err})
	}
	l.ask(do.Voter, link.SessionTime, func(v *agent, reply func(func())) {
		asked := read(l.a.w, open, l.a.build, v.build)
		v.serves.openSession(asked, func(g protocol.SessionGrant, nonce uint64, err error) {
			reply(func() {
				h.nonce = max(h.nonce, nonce) // another life of this disk may have used more
				opened(read(l.a.w, g, v.build, l.a.build), err)
			})
		})
	}, func(err error) { opened(protocol.SessionGrant{}, err) })
}

// dial asks a voter for a stream.
func (l *hostLink) dial(do link.Dial) {
	var begun *voterStream
	over := false
	l.ask(do.Voter, protocol.HandshakeTime+stream.CatchUp, func(v *agent, reply func(func())) {
		if v.node != nil && do.At.Resume {
			if h := v.node.State().Host(l.a.id); h != nil && !h.WantedSameSince(do.At.Index) {
				l.a.w.sometimes("wanted tasks change while a stream resumes")
			}
		}
		v.serves.begin(l.a, do.Attempt, do.At, func(s *voterStream, err error) {
			if begun = s; over {
				begun.close()
			}
			reply(func() { l.dialled(do.Attempt, s, err) })
		})
	}, func(err error) {
		over = true
		begun.close() // the host has hung up
		l.dialled(do.Attempt, nil, err)
	})
}

func (l *hostLink) dialled(attempt uint64, s *voterStream, err error) {
	if attempt != l.attempt || l.stream != nil {
		if s != nil {
			s.close()
		}
		return
	}
	if err == nil {
		l.stream, l.flowed, l.leaderAge, s.opened = s, true, 0, true
		s.voter.listeners[l.a.id] = true
		l.a.w.detectors.Opened(l.a.id, s.voter.id, s.session)
	}
	l.step(l.a.w.time.Now(), link.Dialled{Attempt: attempt, Err: err})
	if err == nil && l.stream == s {
		s.push()
		l.a.w.lookLater(l.a.host)
	}
}

// flows reports whether the stream brings what its voter sends.
func (l *hostLink) flows() bool {
	return l.stream != nil && !l.stream.closed && l.a.w.net.Linked(l.a.id, l.stream.voter.id)
}

// frame takes a frame of the stream.
func (l *hostLink) frame(s *voterStream, f stream.VoterFrame) {
	if l.stream == s {
		l.leaderAge, l.streamsAtVoter = f.LeaderAge(), f.Streams
		l.step(l.a.w.time.Now(), link.FrameCame{Attempt: s.attempt, Frame: f})
	}
}

// deliver gives a frame to the host loop.
func (l *hostLink) deliver(f stream.VoterFrame) error {
	_ = l.a.stepLog(voter.LogsOut{UpTo: f.LogsOut}) // it refuses nothing
	return l.deliverAs(f)
}

func (l *hostLink) deliverAs(d stream.VoterFrame) error {
	l.frames++
	f := l.a.w.mutateFrame(l.a.host, converge.Frame{
		Ref: l.frames, Complete: d.Complete(), Wanted: d.Wanted, LeaderAge: d.LeaderAge(),
	})
	l.a.step(f)
	err := l.a.answers[f.Ref]
	delete(l.a.answers, f.Ref)
	if err != nil {
		l.a.w.sometimes("a host refuses a frame")
		l.a.w.note("%s refuses a frame: %v", l.a.name, err)
		return err
	}
	l.a.w.watch.accepted(l.a.host, f)
	return nil
}

// hangUp ends the stream without a word to the host loop.
func (l *hostLink) hangUp() {
	s := l.stream
	if s == nil {
		return
	}
	l.stream = nil
	s.close()
	delete(s.voter.listeners, l.a.id)
	l.a.w.detectors.Closed(l.a.id, s.voter.id)
	if l.sent.Voter == s.voter.id {
		l.reported(l.sent, errNoAnswer) // a voter that went silent does not answer the report either
	}
}

// look brings what beats have told until now, and has the machine see what is due.
func (l *hostLink) look() {
	w, s := l.a.w, l.stream
	switch {
	case s == nil:
	case (s.closed || s.voter.life.Over()) && w.net.Dial(l.a.id, s.voter.id) != virtual.Silent:
		l.step(w.time.Now(), link.StreamEnded{Attempt: s.attempt, Err: errNoAnswer})
		return
	case l.flows():
		l.flowed = true
		s.beat()
	case l.flowed:
		l.flowed = false
		l.lastBeat(s)
	}
	l.step(w.time.Now(), link.Tick{})
}

// lastBeat brings the beat that was heard last on a stream that flows no more.
func (l *hostLink) lastBeat(s *voterStream) {
	held := l.m.Status()
	at := l.a.w.time.Now() - l.a.w.chance.Between(0, protocol.VoterBeat)
	l.step(max(at, held.Heard), link.FrameCame{Attempt: s.attempt, Frame: stream.VoterFrame{
		Kind:        stream.KindBeat,
		Wanted:      fleet.Wanted{Fleet: fleetID, Epoch: held.Epoch, Index: held.Index, Session: held.Session},
		LeaderAgeMs: l.leaderAge.Milliseconds(), Streams: l.streamsAtVoter,
	}})
}

// report has a report committed.
func (l *hostLink) report(r fleet.Report) {
	r.Host = l.a.id
	l.outbox.Offer(r)
	l.sendReport()
}

func (l *hostLink) sendReport() {
	l.resend.Stop()
	now := l.a.w.time.Now()
	s, ok := l.outbox.Next(now, func() []fleet.HostID {
		return l.m.Status().ReportTo(link.Preferred(l.a.id, l.a.knownRoster()))
	})
	if !ok {
		if due := l.outbox.Due(); due < math.MaxInt64 {
			l.resend = l.a.life.After(max(0, due-now), l.sendReport)
		}
		return
	}
	r := *s.Report
	if at := (order{r.Session, r.Seq}); l.reportedUpTo.before(at) {
		l.reportedUpTo = at
		l.a.w.watch.checker.ReportSent(l.a.id, r.Session, r.Seq)
	}
	l.sent = s
	l.ask(s.Voter, link.ReportTime, func(v *agent, reply func(func())) {
		v.serves.report(read(l.a.w, r, l.a.build, v.build), func(err error) { reply(func() { l.reported(s, err) }) })
	}, func(err error) { l.reported(s, err) })
	if voter := l.a.w.hosts[s.Voter]; voter != nil && l.a.w.chance.Is(l.a.w.cfg.Tuning.LateReport) {
		l.a.w.sometimes("a report comes again later")
		l.a.after(l.a.w.chance.Between(time.Second, time.Minute), func() { l.a.w.resend(l.a.host, voter, r) })
	}
}

func (l *hostLink) reported(s link.Send, err error) {
	now := l.a.w.time.Now()
	fate := l.outbox.Answered(now, s, err)
	switch fate {
	case link.Pending:
	case link.Committed:
		l.a.step(converge.ReportAcked{Session: s.Report.Session, Seq: s.Report.Seq})
	case link.Refused:
		l.a.step(converge.ReportRefused{Session: s.Report.Session, Seq: s.Report.Seq, Err: err})
	case link.OldSession:
		l.step(now, link.SessionEnded{Session: s.Report.Session})
	}
	if !l.a.life.Over() {
		l.sendReport()
	}
}

// knownRoster is the newest voters known here: by State, or what the host was told.
func (a *agent) knownRoster() trust.Roster {
	if a.node == nil {
		return a.host.roster
	}
	return a.host.roster.With(a.node.State())
}

// knownVoters are the hosts that vote, as far as is known here.
func (a *agent) knownVoters() (voters []fleet.HostID) {
	for _, v := range a.knownRoster().Voters {
		if v.Voting {
			voters = append(voters, v.Host)
		}
	}
	return voters
}
