package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/stream"
	"skein/agent/trust"
)

func isBehind(err error) bool { return errors.Is(err, ErrBehind) }

// runStream serves one host until either side ends it.
func (p *Port) runStream(s *hostStream, log Log, at stream.Position, reader *bufio.Reader) {
	p.hub.attach(log)
	if !p.hub.add(s) {
		_ = s.conn.Close()
		return
	}
	read := make(chan error, 1)
	go func() { read <- s.read(reader, p) }()
	ours, err := p.pump(s, log, at, read)
	_ = s.conn.Close()
	p.hub.remove(s, ours)
	if err != nil && ours {
		p.limitedLog.Warn("host stream cut", "host stream cut", "host", s.host, "session", s.session, "err", err)
		return
	}
	p.cfg.Logs.Debug("host stream ended", "host", s.host, "session", s.session, "err", err)
}

// pump writes the frames that are due. ours is true when this voter ended the
// stream.
func (p *Port) pump(s *hostStream, log Log, at stream.Position, read <-chan error) (ours bool, err error) {
	sender := stream.NewSender(s.host, log.State(), at)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case err := <-read:
			return errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrForbidden), err
		case <-s.done:
			return true, p.sendClose(s, s.why.Err(protocol.Codes))
		case <-s.woken:
			sender.Changed()
		case beat := <-s.asked:
			sender.Asked(beat)
		case <-timer.C:
		}
		if err := p.send(s, log, sender); err != nil {
			return true, p.sendClose(s, err)
		}
		timer.Reset(max(0, sender.Due()-s.clock.Mono()))
	}
}

// send brings the host up to date with what is due.
func (p *Port) send(s *hostStream, log Log, sender *stream.Sender) error {
	if err := p.mayStream(s, log); err != nil {
		return err
	}
	// How old State is at most is asked before it is taken: it may be newer than that says.
	view := stream.View{Confirmed: p.detector.confirmedAge(log), LeaderAge: p.detector.age(), Streams: p.hub.len(),
		Watch: p.hub.watching()}
	_, hears := log.Leader()
	view.NoLeader, view.State = !hears, log.State()
	frame, err := sender.Next(s.clock.Mono(), view)
	if err != nil || frame == nil {
		return err
	}
	if err := s.write(*frame); err != nil {
		return err
	}
	sender.Sent()
	return nil
}

// mayStream asks again what was asked when the stream opened: hosts are
// forgotten, certificates end and voters retire while streams are open.
func (p *Port) mayStream(s *hostStream, log Log) error {
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
func (p *Port) sendClose(s *hostStream, why error) error {
	problem, _ := trust.ProblemOf(why, protocol.Codes)
	if err := s.write(stream.VoterFrame{Kind: stream.KindClose, Why: &problem, LeaderAgeMs: -1}); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// leaderContext bounds what is asked of the leader between two beats.
func leaderContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, 2*protocol.AgesEvery)
}
