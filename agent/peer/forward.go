package peer

import (
	"errors"
	"fmt"
	"net/http"

	"skein/agent/peer/relay"
	"skein/agent/peer/rpc"
	"skein/raftfsm/fleet"
)

// APIPrefix is where a voter's API is found on its peer port.
const APIPrefix = "/v1/peer/api"

// API sends an API request to another agent's API and returns its answer, to be
// streamed on and closed by the caller. Path, query, headers (hop-by-hop ones
// aside) and body are the request's own. Errors are as for calls, those with
// which the other end's peer port refused to pass the request on included;
// ErrUnknown when it may have been carried out.
func (p *Port) API(to fleet.HostID, r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host, out.URL.Path = "https", string(to), APIPrefix+r.URL.Path
	if r.URL.RawPath != "" { // an encoded slash stays one
		out.URL.RawPath = APIPrefix + r.URL.RawPath
	}
	out.Host = string(to)
	dropHopByHop(out.Header)
	rpc.SetDeadline(r.Context(), out)
	response, err := p.client.RoundTrip(out)
	if err != nil {
		return nil, fmt.Errorf("forward %s %s to %s: %w", r.Method, r.URL.Path, to, err)
	}
	if response.Header.Get("Content-Type") == rpc.AnswerType {
		defer response.Body.Close()
		if err := rpc.ReadAnswer(response, nil); err != nil {
			return nil, fmt.Errorf("forward %s %s to %s: %w", r.Method, r.URL.Path, to, err)
		}
		return nil, fmt.Errorf("forward %s %s to %s: %w: %w", r.Method, r.URL.Path, to, ErrUnknown, ErrMalformed)
	}
	dropHopByHop(response.Header)
	return response, nil
}

// Forward proxies an API request to the leader, or to any voter when toLeader is
// false; a worker brings both to a voter, which knows who leads, and a voter
// without a link to the leader brings it to one that is nearer. A voter waits for
// the answer until the way moved. An error means that nothing was
// written to w; see NotDone for whether anything was done.
func (p *Port) Forward(w http.ResponseWriter, r *http.Request, toLeader bool) error {
	if log := p.log(); log != nil && toLeader {
		hop, err := p.nextHop(log, relay.MaxAway)
		if err != nil {
			return err
		}
		return p.forwardTo(w, r, log, hop)
	}
	err := error(ErrNoVoter)
	for _, to := range p.Voters() {
		if to == p.self {
			continue
		}
		var response *http.Response
		if response, err = p.API(to, r); err == nil {
			copyAnswer(w, response)
			return nil
		}
		if !elsewhere(err) || errors.Is(err, ErrUnknown) || !rewind(r) {
			return err
		}
	}
	return err
}

func (p *Port) forwardTo(w http.ResponseWriter, r *http.Request, log Log, hop relay.Hop) error {
	ctx, answered, cancel := p.untilMoved(r.Context(), log, hop)
	defer cancel()
	response, err := p.API(hop.To, r.WithContext(ctx))
	if answered(); err != nil {
		return err
	}
	copyAnswer(w, response)
	return nil
}

// rewind makes a request's body fit to be sent again.
func rewind(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	r.Body = body
	return err == nil
}

// copyAnswer passes an answer on as it comes: it may be a stream of events.
func copyAnswer(w http.ResponseWriter, response *http.Response) {
	defer response.Body.Close()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	flush := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := response.Body.Read(buffer)
		if n > 0 {
			if _, failed := w.Write(buffer[:n]); failed != nil {
				return
			}
			_ = flush.Flush()
		}
		if err != nil {
			return
		}
	}
}

// dropHopByHop drops the headers of one connection. Source: RFC 9110, 7.6.1.
func dropHopByHop(h http.Header) {
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade", rpc.DeadlineHeader} {
		h.Del(name)
	}
}
