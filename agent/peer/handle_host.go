package peer

import (
	"context"
	"fmt"

	"skein/agent/peer/intake"
	"skein/agent/peer/relay"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// PingAnswer is what any agent says of itself.
type PingAnswer struct {
	Host    fleet.HostID `cbor:"1,keyasint"`
	Voter   bool         `cbor:"2,keyasint,omitempty"` // it has a log
	Leader  fleet.HostID `cbor:"3,keyasint,omitempty"` // as a voter sees it
	Epoch   uint64       `cbor:"4,keyasint,omitempty"`
	Index   uint64       `cbor:"5,keyasint,omitempty"`
	Starved bool         `cbor:"6,keyasint,omitempty"`
	Roster  trust.Roster `cbor:"7,keyasint"`
	Nonce   uint64       `cbor:"8,keyasint,omitempty"`  // of the caller's newest session
	Agent   uint64       `cbor:"10,keyasint,omitempty"` // tells one agent from another with its identity
	// calls from the caller to the leader, by way of this voter; 0: no way is known
	Away int `cbor:"9,keyasint,omitempty"`
}

func (p *Port) ping(c *call) (any, error) {
	pong := PingAnswer{Host: p.self, Agent: p.agent, Starved: p.starved(), Roster: p.roster()}
	if c.log != nil {
		st := c.log.State()
		pong.Voter, pong.Index = true, st.Index()
		pong.Leader, _ = c.log.Leader()
		pong.Away = p.away(c.log, c.peer.Host)
		if row := st.Fleet(); row != nil {
			pong.Epoch = row.Epoch
		}
		if h := st.Host(c.peer.Host); h != nil {
			pong.Nonce = h.Session.Nonce
		}
	}
	return pong, nil
}

func (p *Port) openSession(c *call) (any, error) {
	open, err := decode[fleet.OpenSession](c)
	if err != nil {
		return nil, err
	}
	if open.Host != c.peer.Host {
		return nil, fmt.Errorf("session of %s asked for by %s: %w", open.Host, c.peer.Host, ErrForbidden)
	}
	return p.sessionFor(c, open)
}

// sessionFor carries out what the way to a session asks for.
func (p *Port) sessionFor(c *call, open fleet.OpenSession) (any, error) {
	opening := intake.NewOpening(open)
	for event := intake.SessionEvent(intake.Asked{}); ; {
		switch e := opening.Step(c.log.State(), fleet.TimeOf(p.cfg.Clock.Now()), event).(type) {
		case intake.LookFor:
			heard, err := p.askHeard(c.ctx, heardAsk{Host: e.Host, Session: e.Session}, relay.MaxAway)
			event = intake.Looked{Heard: heard, Err: err}
		case intake.Wait:
			if !sleep(c.ctx, e.For) {
				return nil, fmt.Errorf("session of %s: %w", open.Host, ErrBusy)
			}
			event = intake.Waited{}
		case intake.ProposeSession:
			results, index, err := p.Propose(c.ctx, []fleet.Item{e.Item})
			event = intake.Applied{Results: results, Index: index, Err: err}
		case intake.Opened:
			return p.opened(open, e)
		}
	}
}

func (p *Port) opened(open fleet.OpenSession, e intake.Opened) (any, error) {
	if e.Noted {
		p.limitedLog.Warn("clone", "another machine shows a host's identity", "host", open.Host, "clone", open.Addr)
	}
	if e.Unnoted != nil {
		p.limitedLog.Warn("too-old", "an agent that is too old could not be noted", "host", open.Host, "err", e.Unnoted)
	}
	if e.Err != nil {
		return nil, e.Err
	}
	e.Grant.Roster = p.roster()
	p.cfg.Logs.Info("host session opened", "host", open.Host, "session", e.Grant.Session, "index", e.Grant.Index)
	return e.Grant, nil
}

// heardAsk asks the leader whether a host is heard in a session.
type heardAsk struct {
	Host    fleet.HostID `cbor:"1,keyasint"`
	Session uint64       `cbor:"2,keyasint"`
	Left    int          `cbor:"3,keyasint,omitempty"` // how many more calls may be made to bring it to the leader
}

type heardAnswer struct {
	Heard bool `cbor:"1,keyasint,omitempty"`
}

// askHeard looks at this voter's own streams, then asks the leader, who knows of
// all voters'; with at most so many calls.
func (p *Port) askHeard(ctx context.Context, ask heardAsk, calls int) (bool, error) {
	if p.hub.hears(ask.Host, ask.Session) {
		return true, nil
	}
	log := p.log()
	if log == nil {
		return false, ErrNotHere
	}
	if log.IsLeader() {
		return p.detector.heard(ask.Host, ask.Session)
	}
	var out heardAnswer
	err := p.askLeader(ctx, log, PathHeard, calls, func(left int) any { ask.Left = left; return ask }, &out)
	return out.Heard, err
}

func (p *Port) heardHere(c *call) (any, error) {
	ask, err := decode[heardAsk](c)
	if err != nil {
		return nil, err
	}
	if err = relay.CheckLeft(ask.Left); err != nil {
		return nil, err
	}
	heard, err := p.askHeard(c.ctx, ask, ask.Left)
	if err != nil {
		return nil, err
	}
	return heardAnswer{Heard: heard}, nil
}

// ReportAnswer acknowledges a report: it is committed at Index, or was before.
type ReportAnswer struct {
	Index   uint64 `cbor:"1,keyasint"`
	Dropped int    `cbor:"2,keyasint,omitempty"`
}

func (p *Port) report(c *call) (any, error) {
	report, err := decode[fleet.Report](c)
	if err != nil {
		return nil, err
	}
	if report.Host != c.peer.Host {
		return nil, fmt.Errorf("report of %s sent by %s: %w", report.Host, c.peer.Host, ErrForbidden)
	}
	if len(report.Tasks) > maxReportTasks {
		return nil, fmt.Errorf("report of %d tasks, at most %d: %w", len(report.Tasks), maxReportTasks, ErrTooLarge)
	}
	st := c.log.State()
	known, err := intake.Known(st, report)
	switch {
	case err != nil:
		return nil, err
	case known:
		return ReportAnswer{Index: st.Index()}, nil
	}
	item := fleet.Item{Command: report, By: "host " + st.Host(report.Host).Name}
	result, index, err := p.batch.add(c.ctx, item, len(c.body))
	if err != nil {
		return nil, err
	}
	if result.Err != nil {
		return nil, result.Err
	}
	return ReportAnswer{Index: index, Dropped: result.Dropped}, nil
}

func (p *Port) starved() bool { return p.cfg.Starved != nil && p.cfg.Starved() }
