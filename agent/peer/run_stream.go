package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

func isBehind(err error) bool { return errors.Is(err, ErrBehind) }

// runStream serves one host until either side ends it.
func (p *Port) runStream(s *stream, log Log, at position, reader *bufio.Reader) {
	p.hub.attach(log)
	if !p.hub.add(s) {
		_ = s.conn.Close()
		return
	}
	read := make(chan error, 1)
	go func() { read <- s.read(reader, p.reported) }()
	ours, err := p.pump(s, log, at, read)
	_ = s.conn.Close()
	p.hub.remove(s, ours)
	if err != nil && ours {
		p.limitedLog.warn("host stream cut", "host stream cut", "host", s.host, "session", s.session, "err", err)
		return
	}
	p.cfg.Logs.Debug("host stream ended", "host", s.host, "session", s.session, "err", err)
}

// pump writes frames: at once when State changes, else a beat a second. ours is
// true when this voter ended the stream.
func (p *Port) pump(s *stream, log Log, at position, read <-chan error) (ours bool, err error) {
	beat := time.NewTicker(VoterBeat)
	defer beat.Stop()
	sent := &ledger{}
	if at.resume {
		resumeAt(sent, log.State(), s.host, at)
	}
	if err := p.send(s, log, sent, true); err != nil {
		return true, p.sendClose(s, err)
	}
	var settled <-chan time.Time // set while changes gather
	for {
		select {
		case err := <-read:
			return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrForbidden), err
		case <-s.done:
			return true, p.sendClose(s, s.why.Err(codes))
		case <-s.woken:
			if settled != nil {
				continue
			}
			settled = time.After(coalesce)
			err = p.send(s, log, sent, false)
		case <-settled:
			settled = nil
			err = p.send(s, log, sent, false)
		case <-beat.C:
			err = p.send(s, log, sent, true)
		}
		if err != nil {
			return true, p.sendClose(s, err)
		}
	}
}

// resumeAt makes the ledger that of a host which holds all up to at, unless its
// part has changed since.
func resumeAt(sent *ledger, st *fleet.State, host fleet.HostID, at position) {
	h := st.Host(host)
	if h == nil || h.WantedModifyIndex > at.index || h.Session.N != at.session || st.Fleet().Epoch != at.epoch {
		return
	}
	sent.resume(st.Wanted(host))
}

// send brings the host up to date. Without always it sends nothing when nothing
// of the host's part has changed.
func (p *Port) send(s *stream, log Log, sent *ledger, always bool) error {
	if err := p.mayStream(s, log); err != nil {
		return err
	}
	st := log.State()
	h := st.Host(s.host)
	if err := reached(st, s.host, position{epoch: sent.epoch, index: sent.index, session: s.session}); err != nil {
		return err
	}
	d := VoterFrame{Kind: KindBeat, Fleet: st.Fleet().ID, Epoch: st.Fleet().Epoch, Index: st.Index(), Session: s.session}
	switch {
	case !sent.begun || h.WantedModifyIndex > sent.index || d.Epoch != sent.epoch:
		d = sent.frame(st.Wanted(s.host))
	case !always:
		return nil
	default:
		sent.index = d.Index
	}
	if roster := trust.RosterOf(st); !roster.Same(sent.roster) {
		sent.roster, d.Roster = roster, &roster
	}
	d.LeaderAgeMs = p.detector.age().Milliseconds()
	d.Streams, d.LogsOut = p.hub.len(), st.LogsOut(s.host)
	return s.write(d)
}

// mayStream asks again what was asked when the stream opened: hosts are
// forgotten, certificates end and voters retire while streams are open.
func (p *Port) mayStream(s *stream, log Log) error {
	if p.log() != log {
		return ErrNotHere
	}
	if _, err := trust.Check(p.authority, s.peer); err != nil {
		return err
	}
	if err := s.peer.Valid(p.cfg.Clock.Now()); err != nil {
		return fmt.Errorf("the certificate of this connection is not good any more: %w", err)
	}
	return nil
}

// sendClose tells the host why its stream ends, and returns it.
func (p *Port) sendClose(s *stream, why error) error {
	problem, _ := trust.ProblemOf(why, codes)
	if err := s.write(VoterFrame{Kind: KindClose, Why: &problem, LeaderAgeMs: -1}); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// leaderContext bounds what is asked of the leader between two beats.
func leaderContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*agesEvery)
}
