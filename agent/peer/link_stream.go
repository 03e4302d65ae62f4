package peer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"skein/agent/peer/link"
	"skein/agent/peer/protocol"
	"skein/agent/peer/rpc"
	"skein/agent/peer/stream"
	"skein/agent/plan"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
	"skein/runtime/seam/clock"
)

// stream dials a voter, then reads its frames and sends beats until the stream
// or work ends. ctx is the link's life, work this attempt's.
func (l *Link) stream(ctx, work context.Context, do link.Dial) {
	conn, reader, err := l.dialStream(work, do)
	l.post(ctx, link.Dialled{Attempt: do.Attempt, Err: err})
	if err != nil {
		return
	}
	defer context.AfterFunc(work, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	beats, cancel := context.WithCancel(work)
	defer cancel()
	l.mu.Lock()
	l.traffic.Opened()
	l.mu.Unlock()
	l.work.Go(func() { l.beat(beats, conn) })
	l.cfg.Logs.Info("voter stream opened", "voter", do.Voter, "session", do.At.Session, "index", do.At.Index)
	for {
		var d stream.VoterFrame
		err := conn.SetReadDeadline(time.Now().Add(streamSilence))
		if err == nil {
			err = wire.ReadFrame(reader, &d)
		}
		if err != nil {
			l.post(ctx, link.StreamEnded{Attempt: do.Attempt, Err: fmt.Errorf("stream of %s: %w", do.Voter, err)})
			return
		}
		if d.Watch != nil {
			l.watch(d.Watch.Groups)
		}
		select {
		case l.events <- link.FrameCame{Attempt: do.Attempt, Frame: d}:
		case <-work.Done():
			return
		}
	}
}

// dialStream opens a stream; refusals are the voter's sentinels.
func (l *Link) dialStream(ctx context.Context, do link.Dial) (net.Conn, *bufio.Reader, error) {
	conn, err := l.p.dialer.Dial(ctx, do.Voter, trust.ProtocolRPC)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	reader, err := upgrade(conn, do)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, reader, nil
}

func upgrade(conn net.Conn, do link.Dial) (*bufio.Reader, error) {
	if err := conn.SetDeadline(time.Now().Add(protocol.HandshakeTime + stream.CatchUp)); err != nil {
		return nil, err
	}
	_, err := fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", PathWanted,
		do.At.Query(), do.Voter, StreamProtocol)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a stream: %w", do.Voter, err)
	}
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s for a stream: %w", do.Voter, err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return reader, conn.SetDeadline(time.Time{})
	}
	defer response.Body.Close()
	if err := rpc.ReadAnswer(response, nil); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s answered %s to a stream: %w", do.Voter, response.Status, ErrMalformed)
}

// beat sends a sign of life each BeatUp, with the capacity report when it is
// new on this stream.
func (l *Link) beat(ctx context.Context, conn net.Conn) {
	timer := time.NewTimer(clock.UntilNext(l.cfg.Clock.Mono(), protocol.HostBeat))
	defer timer.Stop()
	var sent fleet.CapacityReport
	for {
		up := stream.HostFrame{Starved: l.p.starved(), WallMs: l.cfg.Clock.Now().UnixMilli()}
		l.mu.Lock()
		up.Served, up.Traffic = l.status.Served, l.nextTraffic()
		l.mu.Unlock()
		if l.cfg.Beat != nil {
			up.Beat = l.cfg.Beat()
		}
		if l.cfg.Entries != nil {
			up.Leaving, up.Troubles = l.cfg.Entries()
		}
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
		case <-l.moved:
		case <-timer.C:
		}
		timer.Reset(clock.UntilNext(l.cfg.Clock.Mono(), protocol.HostBeat))
	}
}

// watch notes of which target groups the voter wants to hear.
func (l *Link) watch(groups []fleet.TargetGroupName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.traffic.Watch(groups[:min(len(groups), plan.MaxWatched)])
}

// nextTraffic is what to tell of the ingress's counts; nil for nothing. l.mu is held.
func (l *Link) nextTraffic() *fleet.HostTraffic {
	if l.cfg.Traffic == nil {
		return nil
	}
	told := &fleet.HostTraffic{}
	told.Groups = l.traffic.Next(l.cfg.Clock.Mono(), func(groups []fleet.TargetGroupName) (counts []fleet.GroupTraffic) {
		told.Start, counts = l.cfg.Traffic(groups)
		return counts
	})
	if len(told.Groups) == 0 {
		return nil
	}
	return told
}

// Report hands a report to the fleet: Session and Seq are the caller's. It is
// sent, to one voter after another, until Acked is told, a newer one takes its
// place or its session is over; the same report again changes nothing.
func (l *Link) Report(r fleet.Report) {
	r.Host = l.p.self
	l.mu.Lock()
	l.outbox.Offer(r)
	l.mu.Unlock()
	select {
	case l.offered <- struct{}{}:
	default:
	}
}

func (l *Link) runReports(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if send, ok := l.nextReport(); ok {
			l.sendReport(ctx, send)
			continue
		}
		l.mu.Lock()
		due := l.outbox.Due()
		l.mu.Unlock()
		timer.Reset(max(0, due-l.cfg.Clock.Mono()))
		select {
		case <-ctx.Done():
			return
		case <-l.offered:
		case <-timer.C:
		}
	}
}

func (l *Link) nextReport() (link.Send, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outbox.Next(l.cfg.Clock.Mono(), func() []fleet.HostID { return l.status.ReportTo(l.p.Voters()) })
}

// sendReport asks one voter to commit a report, and says what became of it.
func (l *Link) sendReport(ctx context.Context, s link.Send) {
	var out ReportAnswer
	call, done := l.whileStreamed(ctx, s.Voter)
	call, cancel := context.WithTimeout(call, link.ReportTime)
	err := l.p.call(call, s.Voter, PathReports, s.Report, &out)
	cancel()
	done()
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	fate := l.outbox.Answered(l.cfg.Clock.Mono(), s, err)
	l.mu.Unlock()
	report := s.Report
	switch fate {
	case link.Committed:
		l.cfg.Acked(report.Session, report.Seq)
	case link.OldSession:
		l.post(ctx, link.SessionEnded{Session: report.Session})
	case link.Refused:
		l.cfg.Logs.Error("report refused", "voter", s.Voter, "session", report.Session, "seq", report.Seq, "err", err)
		if l.cfg.Refused != nil {
			l.cfg.Refused(report.Session, report.Seq, err)
		}
	case link.Pending:
		l.limitedLog.Warn("report", "report not delivered", "voter", s.Voter, "session", report.Session, "seq", report.Seq,
			"err", err)
	}
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
