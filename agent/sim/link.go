package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"skein/agent/converge"
	"skein/agent/sim/virtual"
	"skein/raftfsm/fleet"
)

// link is an agent's way to the fleet: a session, a stream of wanted state from
// one voter, and the reports that go back. It stands for agent/peer's Link over
// the simulated network.
type link struct {
	a       *agent
	session uint64
	epoch   uint64
	index   uint64
	tries   int
	attempt uint64 // of a session or a stream: answers of an earlier one are ignored
	stream  *stream
	since   time.Duration // of the stream
	retry   *virtual.Timer
	frames  uint64

	reportedUpTo order                          // newest report that was sent
	stale        map[fleet.HostID]time.Duration // voters that had heard no leader, until when they are passed over
}

// order is a place in a sequence of sequences.
type order struct{ major, minor uint64 }

func (o order) before(p order) bool {
	return o.major < p.major || o.major == p.major && o.minor < p.minor
}

// Times of the link; agent/peer has the same.
const (
	voterSilence = 1500 * time.Millisecond
	staleLeader  = 5 * time.Second
	staleFor     = 30 * time.Second
	homeAgain    = 30 * time.Second
	callTimeout  = 3 * time.Second
	retryFirst   = 100 * time.Millisecond
	retryMost    = 5 * time.Second
)

var (
	errNotVoter  = errors.New("not a voter")
	errBehind    = errors.New("the voter is behind")
	errCloned    = errors.New("another machine has this identity")
	errNoLeader  = errors.New("no leader")
	errNoAnswer  = errors.New("no answer")
	errNotLeader = errors.New("not the leader")
)

func newLink(a *agent) *link { return &link{a: a, stale: map[fleet.HostID]time.Duration{}} }

// begin looks for a voter.
func (l *link) begin() { l.again(l.a.w.chance.Between(0, retryFirst)) }

// again tries in a while, instead of whatever was to be tried.
func (l *link) again(d time.Duration) {
	l.attempt++
	l.retry.Stop()
	l.retry = l.a.life.After(d, l.connect)
}

// failed tries again after a back-off.
func (l *link) failed(err error) {
	if errors.Is(err, fleet.ErrForgotten) {
		l.a.banned = true
	}
	if errors.Is(err, fleet.ErrOldSession) {
		l.session = 0
	}
	l.tries++
	d := min(retryFirst<<min(l.tries, 6), retryMost)
	l.again(l.a.w.chance.Between(d/2, d))
}

// connect opens a session, or a stream when there is one.
func (l *link) connect() {
	if l.stream != nil || l.a.banned {
		return
	}
	voter := l.choose()
	if voter == nil {
		l.failed(errNotVoter)
		return
	}
	attempt := l.attempt
	l.retry = l.a.life.After(callTimeout, func() { l.failed(errNoAnswer) })
	if l.session == 0 {
		l.open(voter, attempt)
		return
	}
	l.dial(voter, attempt)
}

// choose picks a voter that may be asked, another after each failure. A host
// that knows none that answers asks any other host for its voters.
func (l *link) choose() *host {
	w, h := l.a.w, l.a.host
	if own := l.a.knownVoters(); l.tries > 0 && len(own) > 0 {
		h.roster = own
	}
	var linked []*host
	for _, id := range h.roster {
		if v := w.hosts[id]; v != nil && id != h.id && w.net.Linked(h.id, id) {
			linked = append(linked, v)
		}
	}
	fresh := slices.DeleteFunc(slices.Clone(linked), func(v *host) bool { return l.stale[v.id] > w.time.Now() })
	if len(fresh) > 0 {
		linked = fresh
	}
	if len(linked) > 0 && l.tries%4 != 3 {
		return linked[w.chance.IntN(len(linked))]
	}
	if slices.Contains(h.roster, h.id) && (l.tries%4 == 3 || len(linked) == 0 && l.tries > 0) {
		return h // a voter that hears no other listens to itself
	}
	if other := w.order[w.chance.IntN(len(w.order))]; w.net.Linked(h.id, other.id) && len(other.roster) > 0 {
		h.roster = slices.Clone(other.roster)
	}
	if len(linked) > 0 {
		return linked[0]
	}
	return nil
}

// open asks a voter for a session.
func (l *link) open(voter *host, attempt uint64) {
	h := l.a.host
	h.nonce++
	open := fleet.OpenSession{
		Host: h.id, Boot: h.bootID(), Nonce: h.nonce, Addr: h.addr(), Zone: h.zone, Capacity: h.capacity, Version: "sim",
	}
	if h.log != nil {
		open.RaftID = h.log.ID()
	}
	l.a.call(voter, func(v *agent, reply func(func())) {
		v.serves.openSession(l.a, open, func(g grant, err error) { reply(func() { l.opened(attempt, g, err) }) })
	})
}

// grant is a session that was opened.
type grant struct {
	session, epoch, index, nonce uint64
	roster                       []fleet.HostID
}

func (l *link) opened(attempt uint64, g grant, err error) {
	if attempt != l.attempt {
		return
	}
	if err != nil {
		l.a.nonce = max(l.a.nonce, g.nonce)
		l.a.w.note("%s gets no session: %v", l.a.name, err)
		l.failed(err)
		return
	}
	l.session, l.tries = g.session, 0
	l.a.roster = g.roster
	l.advance(g.epoch, g.index)
	l.a.w.note("%s opened session %d", l.a.name, g.session)
	l.a.step(converge.SessionOpened{Session: g.session})
	l.again(0)
}

func (l *link) advance(epoch, index uint64) {
	if epoch > l.epoch || epoch == l.epoch && index > l.index {
		l.epoch, l.index = epoch, index
	}
}

// dial asks a voter for a stream.
func (l *link) dial(voter *host, attempt uint64) {
	a, session, epoch, index := l.a, l.session, l.epoch, l.index
	a.call(voter, func(v *agent, reply func(func())) {
		v.serves.begin(a, attempt, session, epoch, index, func(s *stream, err error) { reply(func() { l.dialled(attempt, s, err) }) })
	})
}

func (l *link) dialled(attempt uint64, s *stream, err error) {
	if attempt != l.attempt || l.stream != nil {
		if s != nil {
			s.close()
		}
		return
	}
	if err != nil {
		l.failed(err)
		return
	}
	l.retry.Stop()
	l.stream, l.since = s, l.a.w.time.Now()
	l.a.retireOut(s.voter)
	s.voter.listeners[l.a.id] = true
	l.a.w.detectors.Opened(l.a.id, s.voter.id, s.session)
	l.a.roster = s.voter.knownVoters()
	s.push()
	l.a.step()
	l.a.w.lookLater(l.a.host)
}

// flows reports whether the stream brings what its voter sends.
func (l *link) flows() bool {
	return l.stream != nil && !l.stream.closed && l.a.w.net.Linked(l.a.id, l.stream.voter.id)
}

// frame takes a frame of the stream and says what became of it.
func (l *link) frame(s *stream, f converge.Frame) error {
	if l.stream != s {
		return errNoAnswer
	}
	l.a.roster = s.voter.knownVoters()
	l.a.retireOut(s.voter)
	return l.deliver(f)
}

// deliver gives a frame to the host loop.
func (l *link) deliver(f converge.Frame) error {
	l.frames++
	f.Ref = l.frames
	f = l.a.w.mutateFrame(l.a.host, f)
	l.a.step(f)
	err := l.a.answers[f.Ref]
	delete(l.a.answers, f.Ref)
	if err != nil {
		l.a.w.sometimes("a host refuses a frame")
		l.a.w.note("%s refuses a frame: %v", l.a.name, err)
		return err
	}
	l.advance(f.Epoch, f.Index)
	l.tries = 0
	l.a.w.watch.accepted(l.a.host, f)
	return nil
}

// lose ends the stream and looks for another voter.
func (l *link) lose(err error, wait time.Duration) {
	if l.stream == nil {
		return
	}
	s := l.stream
	l.hangUp()
	l.a.w.note("%s loses its voter %s: %v", l.a.name, s.voter.name, err)
	if errors.Is(err, fleet.ErrOldSession) {
		l.session = 0
	}
	l.a.step(converge.VoterLost{})
	l.again(l.a.w.chance.Between(wait, wait+50*time.Millisecond))
}

// hangUp ends the stream without a word to the host loop.
func (l *link) hangUp() {
	if s := l.stream; s != nil {
		l.stream = nil
		if s.voter.node != nil {
			l.a.roster = s.voter.knownVoters() // beats have told until now
		}
		s.close()
		delete(s.voter.listeners, l.a.id)
		l.a.w.detectors.Closed(l.a.id, s.voter.id)
	}
}

// look leaves a voter that is not heard any more, or that has heard no leader
// for long while another has.
func (l *link) look() {
	s := l.stream
	switch {
	case s == nil:
		return
	case (s.closed || s.voter.life.Over()) && l.a.w.net.Dial(l.a.id, s.voter.id) != virtual.Silent:
		l.lose(fmt.Errorf("the stream ended: %w", errNoAnswer), 0)
	case !l.flows():
		l.a.life.After(voterSilence, func() {
			if l.stream == s && !l.flows() {
				l.lose(fmt.Errorf("silent for %s: %w", voterSilence, errNoAnswer), 0)
			}
		})
	case s.voter == l.a && l.a.w.time.Now()-l.since > homeAgain && l.fresher():
		l.lose(fmt.Errorf("a stream to oneself shows nobody a sign of life: %w", errNoAnswer), 0)
	case s.voter.leaderAge() > staleLeader && l.fresher():
		l.stale[s.voter.id] = l.a.w.time.Now() + staleFor
		l.lose(fmt.Errorf("it has heard no leader for %s: %w", staleLeader, errNoLeader), 0)
	}
}

// fresher reports whether a voter that has heard its leader can be reached.
func (l *link) fresher() bool {
	for _, id := range l.a.roster {
		if v := l.a.w.hosts[id]; v != nil && v.agent != nil && v.agent != l.a && l.a.w.net.Linked(l.a.id, id) && v.agent.leaderAge() <= staleLeader {
			return true
		}
	}
	return false
}

// report sends a report to the stream's voter; without one it gets lost, and the
// host loop sends it again.
func (l *link) report(r fleet.Report) {
	if l.stream == nil {
		return
	}
	r.Host = l.a.id
	if at := (order{r.Session, r.Seq}); l.reportedUpTo.before(at) {
		l.reportedUpTo = at
		l.a.w.watch.checker.ReportSent(l.a.id, r.Session, r.Seq)
	}
	voter := l.stream.voter.host
	send := func() {
		l.a.call(voter, func(v *agent, reply func(func())) {
			v.serves.report(r, func(err error) { reply(func() { l.reported(r, err) }) })
		})
	}
	send()
	if l.a.w.chance.Is(l.a.w.cfg.Tuning.LateReport) {
		l.a.w.sometimes("a report comes again later")
		l.a.after(l.a.w.chance.Between(time.Second, time.Minute), func() { l.a.w.resend(l.a.host, voter, r) })
	}
}

func (l *link) reported(r fleet.Report, err error) {
	switch {
	case err == nil:
		l.a.step(converge.ReportAcked{Session: r.Session, Seq: r.Seq})
	case errors.Is(err, fleet.ErrOldSession) && r.Session == l.session:
		if l.stream != nil {
			l.lose(err, retryFirst)
		} else {
			l.session = 0
			l.again(retryFirst)
		}
	case errors.Is(err, fleet.ErrInvalid), errors.Is(err, fleet.ErrLimit):
		l.a.step(converge.ReportRefused{Session: r.Session, Seq: r.Seq, Err: err})
	}
}

// call runs f on another agent, which may reply; both ways take their time and
// may get lost. A host that calls itself needs no network.
func (a *agent) call(to *host, f func(v *agent, reply func(func()))) {
	a.w.net.Send(a.id, to.id, func() {
		v := to.agent
		if v == nil {
			return
		}
		f(v, func(answer func()) {
			a.w.net.Send(to.id, a.id, func() {
				if !a.life.Over() {
					answer()
				}
			})
		})
	})
}
