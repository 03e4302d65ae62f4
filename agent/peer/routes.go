package peer

import (
	"context"
	"fmt"
	"net/http"

	"skein/agent/peer/protocol"
	"skein/agent/peer/rpc"
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
	ctx, cancel, err := rpc.WithDeadline(r)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	defer cancel()
	body, err := rpc.ReadBody(w, r, route.body, rpc.CallTime)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	out, err := route.handle(p, &call{ctx: ctx, peer: peer, authorization: authorization, body: body, log: log})
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	rpc.Answer(w, out)
}

func decode[T any](c *call) (T, error) {
	var v T
	if err := wire.Unmarshal(c.body, &v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return v, nil
}

// refuse answers with the reason, and logs what somebody may have to look into.
func (p *Port) refuse(w http.ResponseWriter, r *http.Request, peer trust.Peer, err error) {
	rpc.Refuse(w, err)
	if _, status := trust.ProblemOf(err, protocol.Codes); status == http.StatusServiceUnavailable ||
		status == http.StatusMisdirectedRequest {
		return
	}
	p.limitedLog.Warn("peer call refused", "peer call refused", "host", peer.Host, "call", r.URL.Path, "from",
		r.RemoteAddr, "err", err)
}
