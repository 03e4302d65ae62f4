package peer

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/runtime/seam/clock"
	"skein/runtime/seam/ratelog"
)

// LinkConfig is what a host's link needs. Functions are called from the link's
// goroutines, one at a time each, and must return soon.
type LinkConfig struct {
	Port  *Port
	Clock clock.Clock
	Logs  *slog.Logger
	// Nonce is the first session nonce to use: rising with each start of the
	// agent. The link raises it by itself when the fleet knows a higher one.
	Nonce uint64
	// Epoch and Index are the newest intent accepted before the agent started:
	// older is refused.
	Epoch, Index uint64
	// Session describes this host for a new session; Host and Nonce are filled in.
	Session func() fleet.OpenSession
	// Opened is told each new session's number: report everything again.
	Opened func(session uint64)
	// Deliver takes each frame (snapshot, delta or beat) in order. An error ends
	// the stream, and the next begins with a snapshot.
	Deliver func(stream.VoterFrame) error
	// Lost is told when no stream to any voter is up any more.
	Lost func(why error)
	// Acked is told when a report is committed.
	Acked func(session, seq uint64)
	// Refused is told when a report can never be committed, and why; optional.
	Refused func(session, seq uint64, err error)
	// Cloned is told each time that the fleet gives this host no session because
	// another machine with its identity is alive; optional.
	Cloned func()
	// Capacity is the newest capacity report; optional. It is sent when its
	// (Nonce, Seq) changed.
	Capacity func() (fleet.CapacityReport, bool)
	// Beat is a number that has the voter answer the beat at once, with its word on this
	// host's lease; 0 for no hurry; optional.
	Beat func() uint64
	// Traffic is what the ingress counts of target groups, with one entry for each, and which
	// ingress it is; optional.
	Traffic func([]fleet.TargetGroupName) (start uint64, counts []fleet.GroupTraffic)
	// Entries is whether the agent is stopped for good, and what trouble it has with entry
	// addresses; optional.
	Entries func() (leaving bool, troubles []plan.EntryTrouble)
	// Late is how late this agent's own ticks were recently; optional.
	Late func() time.Duration
}

// Link is a host's side of the peer port.
type Link struct {
	cfg        LinkConfig
	p          *Port
	events     chan link.Event
	limitedLog *ratelog.Log

	mu      sync.Mutex
	status  LinkStatus
	outbox  link.Outbox
	present context.Context // ends with the present attempt; nil: none yet
	nonce   uint64          // the next to use
	offered chan struct{}   // a report is pending
	traffic link.Traffic
	moved   chan struct{} // routes are served that a voter waits to hear of

	// Of Run's goroutine only.
	stop     context.CancelFunc // of what is under way for the present attempt
	work     sync.WaitGroup
	rerouted bool // the frame taken last brought routes
}

// LinkStatus is how the link stands.
type LinkStatus struct {
	link.Status
	Nonce uint64 // of the session opened last; 0: none yet
	Why   string // why it is not up
}

// NewLink makes a link; nothing runs before Run.
func NewLink(cfg LinkConfig) *Link {
	return &Link{
		cfg: cfg, p: cfg.Port, events: make(chan link.Event), nonce: cfg.Nonce,
		offered:    make(chan struct{}, 1),
		moved:      make(chan struct{}, 1),
		limitedLog: ratelog.New(cfg.Logs),
		status:     LinkStatus{Status: link.Status{Epoch: cfg.Epoch, Index: cfg.Index}},
	}
}

// Status is how the link stands now.
func (l *Link) Status() LinkStatus {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Run keeps the link until ctx ends, and returns when all it started has ended.
func (l *Link) Run(ctx context.Context) error {
	var all sync.WaitGroup
	defer all.Wait()
	defer l.work.Wait()
	all.Go(func() { l.runReports(ctx) })
	all.Go(func() { l.runRenewal(ctx) })

	m := link.NewMachine(l.p.self, l.cfg.Epoch, l.cfg.Index, func(d time.Duration) time.Duration {
		if d <= 0 {
			return 0
		}
		return rand.N(d)
	})
	queue := []link.Event{link.Tick{}}
	for {
		for len(queue) > 0 {
			event := queue[0]
			queue = queue[1:]
			for _, effect := range m.Step(l.cfg.Clock.Mono(), l.p.roster(), event) {
				if answer := l.do(ctx, effect); answer != nil {
					queue = append(queue, answer)
				}
			}
		}
		l.publish(m)
		now := l.cfg.Clock.Mono()
		timer := time.NewTimer(max(0, m.Wake(now)-now))
		select {
		case <-ctx.Done():
			timer.Stop()
			l.cancelWork()
			return nil
		case event := <-l.events:
			queue = append(queue, event)
		case <-timer.C:
			queue = append(queue, link.Tick{})
		}
		timer.Stop()
	}
}

// do carries one effect out. Only a delivery is answered at once.
func (l *Link) do(ctx context.Context, effect link.Effect) (answer link.Event) {
	switch do := effect.(type) {
	case link.OpenSession:
		work := l.begin(ctx)
		l.work.Go(func() {
			grant, err := l.open(work, do.Voter, do.Attempt)
			l.post(ctx, link.SessionOpened{Attempt: do.Attempt, Grant: grant, Err: err})
		})
	case link.Dial:
		work := l.begin(ctx)
		l.work.Go(func() { l.stream(ctx, work, do) })
	case link.Deliver:
		l.rerouted = do.Frame.Routes != nil
		return link.FrameTaken{Attempt: do.Attempt, Frame: do.Frame, Err: l.cfg.Deliver(do.Frame)}
	case link.HangUp:
		l.cancelWork()
		if l.cfg.Lost != nil {
			l.cfg.Lost(do.Why)
		}
	case link.KeepRoster:
		l.keep(do.Roster)
	case link.AskRoster:
		l.work.Go(func() { l.askRoster(ctx, do.Of) })
	case link.TellSession:
		l.cfg.Logs.Info("session opened", "session", do.Session)
		l.p.runners.Opened(do.Session)
		l.cfg.Opened(do.Session)
	case link.Note:
		l.note(do)
	}
	return nil
}

// askRoster asks a host who votes now, and remembers it.
func (l *Link) askRoster(ctx context.Context, of fleet.HostID) {
	ctx, cancel := context.WithTimeout(ctx, link.SessionTime)
	defer cancel()
	var pong PingAnswer
	if l.p.call(ctx, of, PathPing, nil, &pong) == nil {
		l.keep(pong.Roster)
	}
}

// keep remembers the fleet's voters, where that is news.
func (l *Link) keep(r trust.Roster) {
	if err := l.p.cfg.Identity.PutRoster(r); err != nil {
		l.cfg.Logs.Error("voters not remembered", "err", err)
	}
}

func (l *Link) note(n link.Note) {
	l.mu.Lock()
	l.status.Why = n.Err.Error()
	l.mu.Unlock()
	if errors.Is(n.Err, ErrCloned) {
		l.p.refusedAsClone()
		if l.cfg.Cloned != nil {
			l.cfg.Cloned()
		}
	}
	l.limitedLog.Warn("voter", "voter does not serve this host", "voter", n.Voter, "err", n.Err)
}

func (l *Link) begin(ctx context.Context) context.Context {
	l.cancelWork()
	work, cancel := context.WithCancel(ctx)
	l.stop = cancel
	l.mu.Lock()
	l.present = work
	l.mu.Unlock()
	return work
}

func (l *Link) cancelWork() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// post brings a result back; it is dropped when the link ends first.
func (l *Link) post(ctx context.Context, event link.Event) {
	select {
	case l.events <- event:
	case <-ctx.Done():
	}
}

func (l *Link) publish(m *link.Machine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.status.Served
	if l.status.Status = m.Status(); l.status.Up {
		l.status.Why = ""
	}
	if l.rerouted && l.status.Served != before {
		l.rerouted = false
		l.beatNow()
	}
}

// beatNow has a beat sent now, where a voter watches how far hosts have come. l.mu is held.
func (l *Link) beatNow() {
	if !l.traffic.Watches() {
		return
	}
	select {
	case l.moved <- struct{}{}:
	default:
	}
}

// open opens a session at a voter.
func (l *Link) open(ctx context.Context, voter fleet.HostID, attempt uint64) (protocol.SessionGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, link.SessionTime)
	defer cancel()
	var pong PingAnswer
	if attempt > 1 {
		// A clock that was wrong once may have left a higher nonce behind.
		if err := l.p.call(ctx, voter, PathPing, nil, &pong); err != nil {
			return protocol.SessionGrant{}, err
		}
	}
	ask := l.cfg.Session()
	ask.Host, ask.Nonce = l.p.self, l.nextNonce(pong.Nonce)
	var grant protocol.SessionGrant
	err := l.p.call(ctx, voter, PathSession, ask, &grant)
	if err == nil {
		l.opened(ask.Nonce)
	}
	return grant, err
}

func (l *Link) opened(nonce uint64) {
	l.p.acceptedByFleet()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Nonce = max(l.status.Nonce, nonce)
}

func (l *Link) nextNonce(known uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	nonce := max(l.nonce, known+1)
	l.nonce = nonce + 1
	return nonce
}
