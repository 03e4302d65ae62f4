package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet/wire"
)

// Calls of the peer port. All are POST, but for PathWanted and the API.
const (
	prefix      = "/v1/peer"
	PathPing    = prefix + "/ping"
	PathSession = prefix + "/session"
	PathWanted  = prefix + "/wanted"
	PathReports = prefix + "/reports"
	PathRenew   = prefix + "/renew"
	PathJoin    = prefix + "/join"
	PathProbe   = prefix + "/probe"
	PathAges    = prefix + "/ages"
	PathHeard   = prefix + "/heard"
	PathPropose = prefix + "/propose"
	PathRelay   = prefix + "/relay"
	PathCommit  = prefix + "/commit"
	PathCurrent = prefix + "/current"
	PathPrepare = prefix + "/voter/prepare"
	PathRetire  = prefix + "/voter/retire"
	PathEffects = prefix + "/effects"
)

// route is one call: who may make it, of whom, and how large it may be.
type route struct {
	path    string
	need    access
	atVoter bool
	body    int64
	handle  func(p *Port, c *call) (any, error)
}

// table is every call but the wanted stream and the API. A worker's certificate
// reaches those without accessVoter, and each of them speaks of the caller only.
var table = []route{
	{path: PathPing, need: accessHost, body: smallBody, handle: (*Port).ping},
	{path: PathSession, need: accessHost, atVoter: true, body: smallBody, handle: (*Port).openSession},
	{path: PathReports, need: accessHost, atVoter: true, body: reportBody, handle: (*Port).report},
	{path: PathRenew, need: accessRenew, atVoter: true, body: smallBody, handle: (*Port).renew},
	{path: PathJoin, need: accessHost, atVoter: true, body: trust.MaxJoinBody, handle: (*Port).joinForwarded},
	{path: PathProbe, need: accessVoter, body: smallBody, handle: (*Port).probe},
	{path: PathAges, need: accessVoter, atVoter: true, body: agesBody, handle: (*Port).takeAges},
	{path: PathHeard, need: accessVoter, atVoter: true, body: smallBody, handle: (*Port).heardHere},
	{path: PathPropose, need: accessVoter, atVoter: true, body: proposeBody, handle: (*Port).proposeHere},
	{path: PathRelay, need: accessVoter, atVoter: true, body: proposeBody, handle: (*Port).relayHere},
	{path: PathCommit, need: accessVoter, atVoter: true, body: smallBody, handle: (*Port).commitIndex},
	{path: PathCurrent, need: accessVoter, atVoter: true, body: smallBody, handle: (*Port).currentHere},
	{path: PathPrepare, need: accessVoter, body: smallBody, handle: (*Port).prepareVoter},
	{path: PathRetire, need: accessVoter, body: smallBody, handle: (*Port).retireVoter},
	{path: PathEffects, need: accessVoter, body: smallBody, handle: (*Port).takeEffect},
}

// call is one request as its handler sees it.
type call struct {
	ctx           context.Context
	peer          trust.Peer
	authorization trust.Authorization
	body          []byte
	log           Log // nil on workers, never where atVoter
}

func (p *Port) routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range table {
		mux.HandleFunc("POST "+r.path, func(w http.ResponseWriter, request *http.Request) { p.serve(w, request, r) })
	}
	mux.HandleFunc("GET "+PathWanted, p.serveWanted)
	mux.HandleFunc(APIPrefix+"/", p.serveAPI)
	return mux
}

func (p *Port) serve(w http.ResponseWriter, r *http.Request, route route) {
	peer, authorization, err := p.admit(r, route.need)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	log := p.log()
	if route.atVoter && log == nil {
		p.refuse(w, r, peer, ErrNotHere)
		return
	}
	if err = p.flight.enter(peer.Host, authorization.Voter); err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	defer p.flight.leave(peer.Host)
	ctx, cancel, err := limited(r)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	defer cancel()
	body, err := readBody(w, r, route.body, callTime)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	out, err := route.handle(p, &call{ctx: ctx, peer: peer, authorization: authorization, body: body, log: log})
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	answer(w, out)
}

// readBody reads a body whose declared and real size are within the limit.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, within time.Duration) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("body of %d bytes, at most %d: %w", r.ContentLength, limit, ErrTooLarge)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, fmt.Errorf("body over %d bytes: %w", limit, ErrTooLarge)
	}
	if err != nil {
		return nil, fmt.Errorf("read body: %w: %w", ErrMalformed, err)
	}
	return body, nil
}

// limited gives a call the time its caller still waits, at most callTime.
func limited(r *http.Request) (context.Context, context.CancelFunc, error) {
	left := callTime
	if text := r.Header.Get(deadlineHeader); text != "" {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", deadlineHeader, ErrMalformed)
		}
		if ms <= 0 {
			return nil, nil, fmt.Errorf("the caller's time is up: %w", ErrBusy)
		}
		left = min(left, time.Duration(min(ms, callTime.Milliseconds()))*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(r.Context(), left)
	return ctx, cancel, nil
}

func decode[T any](c *call) (T, error) {
	var v T
	if err := wire.Unmarshal(c.body, &v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v, nil
}

func answer(w http.ResponseWriter, out any) {
	if out == nil {
		return
	}
	text, err := wire.Marshal(out)
	if err != nil {
		writeProblem(w, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", problemType)
	_, _ = w.Write(text)
}

func writeProblem(w http.ResponseWriter, err error) {
	problem, status := trust.ProblemOf(err, protocol.Codes)
	text, encodeErr := wire.Marshal(problem)
	if encodeErr != nil {
		http.Error(w, "", status)
		return
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// refuse answers with the reason, and logs what somebody may have to look into.
func (p *Port) refuse(w http.ResponseWriter, r *http.Request, peer trust.Peer, err error) {
	writeProblem(w, err)
	if _, status := trust.ProblemOf(err, protocol.Codes); status == http.StatusServiceUnavailable ||
		status == http.StatusMisdirectedRequest {
		return
	}
	p.limitedLog.warn("peer call refused", "peer call refused", "host", peer.Host, "call", r.URL.Path, "from",
		r.RemoteAddr, "err", err)
}
