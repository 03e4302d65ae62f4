package peer

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"skein/agent/trust"
	"skein/raftfsm/fleet"
)

// StreamProtocol is the Upgrade that turns GET wanted into a stream of frames:
// Down one way, Up the other.
const StreamProtocol = "skein-stream"

// position is what a host quotes when it opens a stream.
type position struct {
	epoch, index uint64 // the newest intent it has accepted: older is refused
	session      uint64
	resume       bool // it holds the whole part as of (epoch, index), in this session
}

func (at position) query() string {
	q := url.Values{}
	q.Set("epoch", strconv.FormatUint(at.epoch, 10))
	q.Set("index", strconv.FormatUint(at.index, 10))
	q.Set("session", strconv.FormatUint(at.session, 10))
	q.Set("resume", strconv.FormatBool(at.resume))
	return q.Encode()
}

func parsePosition(q url.Values) (at position, err error) {
	read := func(name string, into *uint64) {
		n, parseErr := strconv.ParseUint(q.Get(name), 10, 64)
		if parseErr != nil && err == nil {
			err = fmt.Errorf("%s is not a number: %w", name, ErrMalformed)
		}
		*into = n
	}
	read("epoch", &at.epoch)
	read("index", &at.index)
	read("session", &at.session)
	at.resume = q.Get("resume") == "true"
	return at, err
}

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
	p.runStream(newStream(peer.Host, at.session, peer, conn, p.cfg.Clock), log, at, reader)
}

// openWanted checks that this voter can serve the host from where it is, waiting
// a moment to catch up with it.
func (p *Port) openWanted(r *http.Request, peer trust.Peer) (Log, position, error) {
	log := p.log()
	if log == nil {
		return nil, position{}, ErrNotHere
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), StreamProtocol) {
		return nil, position{}, fmt.Errorf("want Upgrade: %s: %w", StreamProtocol, ErrMalformed)
	}
	at, err := parsePosition(r.URL.Query())
	if err != nil {
		return nil, at, err
	}
	if p.hub.tooSoon(peer.Host) {
		return nil, at, fmt.Errorf("the last stream of %s is younger than %s: %w", peer.Host, streamSpacing, ErrBusy)
	}
	if !p.streams.Allow() {
		return nil, at, fmt.Errorf("over %d new streams a second: %w", newStreams, ErrBusy)
	}
	ctx, cancel := context.WithTimeout(r.Context(), catchUp)
	defer cancel()
	for {
		err := reached(log.State(), peer.Host, at)
		if err == nil || !isBehind(err) {
			return log, at, err
		}
		if !sleep(ctx, coalesce) {
			return nil, at, err
		}
	}
}

// reached checks that State is not behind what the host has seen, and that the
// host's session has not ended.
func reached(st *fleet.State, host fleet.HostID, at position) error {
	row, h := st.Fleet(), st.Host(host)
	if row == nil || h == nil {
		return fmt.Errorf("%s is not known here yet: %w", host, ErrBehind)
	}
	if row.Epoch < at.epoch || row.Epoch == at.epoch && st.Index() < at.index {
		return fmt.Errorf("at epoch %d index %d, asked for %d and %d: %w", row.Epoch, st.Index(), at.epoch, at.index, ErrBehind)
	}
	if h.Session.N < at.session {
		return fmt.Errorf("session %d is not seen here yet: %w", at.session, ErrBehind)
	}
	if h.Session.N > at.session {
		return fmt.Errorf("stream of session %d, now %d: %w", at.session, h.Session.N, fleet.ErrOldSession)
	}
	if h.State == fleet.HostLost {
		// A host without tasks has nothing to report, and would never learn otherwise
		// that only another session brings it back.
		return fmt.Errorf("%s was declared lost, which ended session %d: %w", host, at.session, fleet.ErrOldSession)
	}
	return nil
}

func hijack(w http.ResponseWriter) (net.Conn, *bufio.Reader, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("take over connection: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(writeTime)); err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", StreamProtocol)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, buffered.Reader, nil
}
