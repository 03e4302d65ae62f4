package peer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"skein/agent/peer/detector"
	"skein/agent/peer/stream"
	"skein/agent/trust"
)

// StreamProtocol is the Upgrade that turns GET wanted into a stream of frames:
// voter frames one way, host frames the other.
const StreamProtocol = "skein-stream"

func (p *Port) serveWanted(w http.ResponseWriter, r *http.Request) {
	peer, _, err := p.admit(r, accessHost)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	log, at, err := p.openWanted(r, peer)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	conn, reader, err := hijack(w)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	p.runStream(newStream(peer.Host, at.Session, peer, conn, p.cfg.Clock), log, at, reader)
}

// openWanted checks that this voter can serve the host from where it is, waiting
// a moment to catch up with it.
func (p *Port) openWanted(r *http.Request, peer trust.Peer) (Log, stream.Position, error) {
	log := p.log()
	if log == nil {
		return nil, stream.Position{}, ErrNotHere
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), StreamProtocol) {
		return nil, stream.Position{}, fmt.Errorf("want Upgrade: %s: %w", StreamProtocol, ErrMalformed)
	}
	at, err := stream.ParsePosition(r.URL.Query())
	if err != nil {
		return nil, at, err
	}
	if p.hub.tooSoon(peer.Host) {
		return nil, at, fmt.Errorf("the last stream of %s is younger than %s: %w", peer.Host, detector.StreamSpacing, ErrBusy)
	}
	if !p.streams.Allow() {
		return nil, at, fmt.Errorf("over %d new streams a second: %w", newStreams, ErrBusy)
	}
	ctx, cancel := context.WithTimeout(r.Context(), stream.CatchUp)
	defer cancel()
	for {
		err := stream.Reached(log.State(), peer.Host, at)
		if err == nil || !isBehind(err) {
			return log, at, err
		}
		if !sleep(ctx, stream.Coalesce) {
			return nil, at, err
		}
	}
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.Reader, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	if err = conn.SetDeadline(time.Now().Add(writeTime)); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		StreamProtocol)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, buffered.Reader, nil
}
