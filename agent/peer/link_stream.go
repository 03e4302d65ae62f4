package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// stream dials a voter, then reads its frames and sends beats until the stream
// or work ends. ctx is the link's life, work this attempt's.
func (l *Link) stream(ctx, work context.Context, a doDial) {
	conn, reader, err := l.dialStream(work, a)
	l.post(ctx, linkDialled{attempt: a.attempt, err: err})
	if err != nil {
		return
	}
	defer context.AfterFunc(work, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	beats, cancel := context.WithCancel(work)
	defer cancel()
	l.work.Go(func() { l.beat(beats, conn) })
	l.cfg.Logs.Info("voter stream opened", "voter", a.voter, "session", a.at.session, "index", a.at.index)
	for {
		var d VoterFrame
		err := conn.SetReadDeadline(time.Now().Add(streamSilence))
		if err == nil {
			err = wire.ReadFrame(reader, &d)
		}
		if err != nil {
			l.post(ctx, linkEnded{attempt: a.attempt, err: fmt.Errorf("stream of %s: %w", a.voter, err)})
			return
		}
		select {
		case l.events <- linkFrame{attempt: a.attempt, frame: d}:
		case <-work.Done():
			return
		}
	}
}

// dialStream opens a stream; refusals are the voter's sentinels.
func (l *Link) dialStream(ctx context.Context, a doDial) (net.Conn, *bufio.Reader, error) {
	conn, err := l.p.dial(ctx, a.voter, trust.ProtocolRPC)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reader, err := upgrade(conn, a)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, reader, nil
}

func upgrade(conn net.Conn, a doDial) (*bufio.Reader, error) {
	if err := conn.SetDeadline(time.Now().Add(HandshakeTime + catchUp)); err != nil {
		return nil, err
	}
	_, err := fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", PathWanted, a.at.query(), a.voter, StreamProtocol)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a stream: %w", a.voter, err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a stream: %w", a.voter, err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return reader, conn.SetDeadline(time.Time{})
	}
	defer response.Body.Close()
	if err := readAnswer(response, nil); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s answered %s to a stream: %w", a.voter, response.Status, ErrMalformed)
}

// beat sends a sign of life each HostBeat, with the capacity report when it is
// new on this stream.
func (l *Link) beat(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(HostBeat)
	defer tick.Stop()
	var sent fleet.CapacityReport
	for {
		up := HostFrame{Starved: l.p.starved(), WallMs: l.cfg.Clock.Now().UnixMilli()}
		if l.cfg.Late != nil {
			up.LateMs = l.cfg.Late().Milliseconds()
		}
		if l.cfg.Capacity != nil {
			if report, ok := l.cfg.Capacity(); ok && (sent.Host == "" || report.Newer(&sent)) {
				report.Clip()
				sent, up.Capacity = report, &report
			}
		}
		err := conn.SetWriteDeadline(time.Now().Add(writeTime))
		if err == nil {
			err = wire.WriteFrame(conn, up)
		}
		if err != nil {
			_ = conn.Close() // the reader tells
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Report hands a report to the fleet: Session and Seq are the caller's. It is
// sent, to one voter after another, until Acked is told, a newer one takes its
// place or its session is over; the same report again changes nothing.
func (l *Link) Report(r fleet.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.pending; p != nil && (r.Session < p.Session || r.Session == p.Session && r.Seq <= p.Seq) {
		return
	}
	r.Host = l.p.self
	l.pending = &r
	select {
	case l.offered <- struct{}{}:
	default:
	}
}

func (l *Link) runReports(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.offered:
		}
		for tries := 0; ; tries++ {
			report := l.due()
			if report == nil {
				break
			}
			if l.sendReport(ctx, report) {
				tries = 0
				continue
			}
			if !l.pauseReports(ctx, tries) {
				return
			}
		}
	}
}

// pauseReports waits out a failure, less when a newer report comes.
func (l *Link) pauseReports(ctx context.Context, tries int) bool {
	timer := time.NewTimer(linkBackoff + min(linkBackoffCap, linkBackoff<<min(tries, 10))/2)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-l.offered:
	}
	return true
}

func (l *Link) due() *fleet.Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pending
}

// settle forgets a report that is done with, unless a newer one took its place.
func (l *Link) settle(report *fleet.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pending == report {
		l.pending = nil
	}
}

// sendReport tries the voter streamed from, then the others. It returns true
// when the report is done with, one way or the other.
func (l *Link) sendReport(ctx context.Context, report *fleet.Report) bool {
	ctx, cancel := context.WithTimeout(ctx, reportTime)
	defer cancel()
	body, err := wire.Marshal(report)
	if err != nil {
		l.cfg.Logs.Error("report not encoded", "err", err)
		l.settle(report)
		return true
	}
	for _, voter := range l.reportTo() {
		var out ReportAnswer
		call, done := l.whileStreamed(ctx, voter)
		err = l.p.call(call, voter, PathReports, body, &out)
		done()
		switch {
		case err == nil:
			l.settle(report)
			l.cfg.Acked(report.Session, report.Seq)
			return true
		case errors.Is(err, fleet.ErrOldSession):
			l.settle(report)
			l.post(ctx, linkOldSession{session: report.Session})
			return true
		case errors.Is(err, fleet.ErrInvalid), errors.Is(err, ErrTooLarge), errors.Is(err, ErrMalformed), errors.Is(err, ErrForbidden):
			l.cfg.Logs.Error("report refused", "voter", voter, "session", report.Session, "seq", report.Seq, "err", err)
			l.settle(report)
			if l.cfg.Refused != nil {
				l.cfg.Refused(report.Session, report.Seq, err)
			}
			return true
		}
		if l.due() != report || ctx.Err() != nil {
			break // a newer one waits
		}
	}
	if err != nil {
		l.limitedLog.warn("report", "report not delivered", "session", report.Session, "seq", report.Seq, "err", err)
	}
	return false
}

// whileStreamed ends a call to the voter streamed from with the stream: a voter
// that went silent does not answer the report either, and others wait behind it.
func (l *Link) whileStreamed(ctx context.Context, voter fleet.HostID) (context.Context, func()) {
	call, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.status.Up || l.status.Voter != voter {
		return call, cancel
	}
	stop := context.AfterFunc(l.present, cancel)
	return call, func() { stop(); cancel() }
}

// reportTo is the voters to try, the one streamed from first. Without a stream
// the one that was just lost comes last.
func (l *Link) reportTo() []fleet.HostID {
	voters := l.p.Voters()
	l.mu.Lock()
	up, streamed, left := l.status.Up, l.status.Voter, l.left
	l.mu.Unlock()
	if up && !slices.Contains(voters, streamed) {
		voters = append(voters, streamed)
	}
	slices.SortStableFunc(voters, func(a, b fleet.HostID) int {
		rank := func(v fleet.HostID) int {
			switch {
			case up && v == streamed:
				return -1
			case !up && v == left:
				return 1
			}
			return 0
		}
		return rank(a) - rank(b)
	})
	return voters
}
