package peer

import (
	"context"
	"fmt"
	"strconv"

	"skein/agent/peer/detector"
	"skein/agent/peer/protocol"
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
	st := c.log.State()
	h := st.Host(open.Host)
	if h == nil || st.Fleet() == nil {
		return nil, fmt.Errorf("session of %s: %w", open.Host, ErrBehind)
	}
	if err = open.CheckFormat(st); err != nil {
		p.noteTooOld(c.ctx, h, open)
		return nil, err
	}
	if !open.SameMachine(h) {
		if open.Contested, err = p.formerHeard(c.ctx, h); err != nil {
			return nil, err
		}
	}
	if open.Contested && h.CloneNoted(st.Now()) {
		return nil, clonedError(h, open)
	}
	results, index, err := p.Propose(c.ctx, []fleet.Item{{Command: open, By: "host " + h.Name}})
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("session of %s: %d results: %w", open.Host, len(results), ErrUnknown)
	}
	if results[0].Err != nil {
		return nil, results[0].Err
	}
	if open.Contested && len(results[0].IDs) == 0 {
		p.limitedLog.warn("clone", "another machine shows a host's identity", "host", h.Name, "at", h.Addr, "clone",
			open.Addr)
		return nil, clonedError(h, open)
	}
	n, err := strconv.ParseUint(first(results[0].IDs), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("session of %s has no number: %w", open.Host, ErrUnknown)
	}
	p.cfg.Logs.Info("host session opened", "host", h.Name, "session", n, "index", index)
	return protocol.SessionGrant{Epoch: st.Fleet().Epoch, Index: index, Session: n, Roster: p.roster()}, nil
}

// noteTooOld has the host's row say which agent was refused, where it does not. What
// comes of it makes no difference to that agent, which asks again.
func (p *Port) noteTooOld(ctx context.Context, h *fleet.Host, open fleet.OpenSession) {
	if h.Refuses(open) {
		return
	}
	open.TooOld = true
	if _, _, err := p.Propose(ctx, []fleet.Item{{Command: open, By: "host " + h.Name}}); err != nil {
		p.limitedLog.warn("too-old", "an agent that is too old could not be noted", "host", h.Name, "err", err)
	}
}

func clonedError(h *fleet.Host, open fleet.OpenSession) error {
	return fmt.Errorf("session of %s at %s: that host is heard at %s: %w: wipe the data folder of one of both machines "+
		"and join it anew",
		h.Name, open.Addr, h.Addr, ErrCloned)
}

// formerHeard reports whether the machine that has a host's present session is
// alive while another asks for one. A byte that came before the other asked could
// be its last, so one that comes afterwards is waited for.
func (p *Port) formerHeard(ctx context.Context, h *fleet.Host) (bool, error) {
	ask := heardAsk{Host: h.ID, Session: h.Session.N}
	for range 2 {
		heard, err := p.askHeard(ctx, ask, maxAway)
		if err != nil || !heard {
			return false, err
		}
		if !sleep(ctx, detector.HeardWithin+protocol.AgesEvery) {
			return false, fmt.Errorf("session of %s: %w", h.Name, ErrBusy)
		}
	}
	return p.askHeard(ctx, ask, maxAway)
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
	if err = checkLeft(ask.Left); err != nil {
		return nil, err
	}
	heard, err := p.askHeard(c.ctx, ask, ask.Left)
	if err != nil {
		return nil, err
	}
	return heardAnswer{Heard: heard}, nil
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
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
	h := st.Host(report.Host)
	switch {
	case h == nil || h.Session.N < report.Session:
		return nil, fmt.Errorf("session %d of %s is not seen here yet: %w", report.Session, report.Host, ErrBehind)
	case h.Session.N > report.Session:
		// Told without the log's help: two agents with one identity must not fill it.
		return nil, fmt.Errorf("report in session %d, now %d: %w", report.Session, h.Session.N, fleet.ErrOldSession)
	case report.Seq <= h.ReportSeq:
		return ReportAnswer{Index: st.Index()}, nil
	}
	result, index, err := p.batch.add(c.ctx, fleet.Item{Command: report, By: "host " + h.Name}, len(c.body))
	if err != nil {
		return nil, err
	}
	if result.Err != nil {
		return nil, result.Err
	}
	return ReportAnswer{Index: index, Dropped: result.Dropped}, nil
}

func (p *Port) starved() bool { return p.cfg.Starved != nil && p.cfg.Starved() }
