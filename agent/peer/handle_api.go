package peer

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// serveAPI answers a request that another agent forwarded. Its answer may be a
// stream, so it has no deadline of its own.
func (p *Port) serveAPI(w http.ResponseWriter, r *http.Request) {
	peer, authorization, err := p.admit(r, accessReader)
	if err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	if p.log() == nil || p.cfg.API == nil {
		p.refuse(w, r, peer, ErrNotHere)
		return
	}
	caller := Caller{Host: peer.Host, Voter: authorization.Voter}
	if caller.Operator, err = p.operator(r); err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !read && !caller.MayWrite() {
		p.refuse(w, r, peer, fmt.Errorf("a worker's write needs an operator token (Authorization: Bearer skein1o...): %w",
			ErrForbidden))
		return
	}
	if err := p.flight.enter(peer.Host, authorization.Voter); err != nil {
		p.refuse(w, r, peer, err)
		return
	}
	defer p.flight.leave(peer.Host)
	p.cfg.API.ServeHTTP(w, inner(w, r, caller))
}

// inner is the request as it was made to the agent that forwarded it.
func inner(w http.ResponseWriter, r *http.Request, caller Caller) *http.Request {
	out := r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
	out.Body = http.MaxBytesReader(w, r.Body, apiBody)
	out.URL = new(url.URL)
	*out.URL = *r.URL
	out.URL.Path = strings.TrimPrefix(r.URL.Path, APIPrefix)
	out.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, APIPrefix)
	return out
}
