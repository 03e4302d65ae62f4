package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"skein/agent/peer/protocol"
	"skein/agent/peer/relay"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// deadlineHeader carries how many milliseconds the caller still waits, so that
// no work is done for a caller that has gone.
const deadlineHeader = "Skein-Deadline-Ms"

// problemType marks answers of the peer port itself; the API never uses it.
const problemType = "application/cbor"

// newTransport speaks HTTP/1.1 to hosts by id: the URL's host is a HostID.
func (p *Port) newTransport() *http.Transport {
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, &dialError{err}
			}
			return p.dial(ctx, fleet.HostID(host), trust.ProtocolRPC)
		},
		MaxIdleConnsPerHost: 4,
		MaxIdleConns:        64,
		// Below the server's, so that a connection is not used as it is closed.
		IdleConnTimeout:        idleTime - 10*time.Second,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true,
	}
}

// call asks one thing of one host. in and out are wire values; either may be
// nil, and in may be bytes that are encoded already. Errors are the other end's
// sentinels; a *dialError when nothing was sent; else, when no answer came,
// ErrUnknown.
func (p *Port) call(ctx context.Context, host fleet.HostID, path string, in, out any) error {
	body, ok := in.([]byte)
	if !ok && in != nil {
		var err error
		if body, err = wire.Marshal(in); err != nil {
			return fmt.Errorf("%s: encode: %w: %w", path, ErrMalformed, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(host)+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	setDeadline(ctx, request)
	response, err := p.roundTrip(request)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", path, host, err)
	}
	defer response.Body.Close()
	return readAnswer(response, out)
}

// roundTrip distinguishes a request that was never sent from one that may have been
// carried out. A call that ends during its dial returns the context's error while the
// library goes on dialing; nothing was sent before it had a connection.
func (p *Port) roundTrip(r *http.Request) (*http.Response, error) {
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	response, err := p.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	switch {
	case err == nil:
		return response, nil
	case NotSent(err):
		return nil, err
	case !connected:
		return nil, &dialError{err}
	}
	return nil, fmt.Errorf("%w: %w", ErrUnknown, err)
}

func setDeadline(ctx context.Context, r *http.Request) {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline) * 9 / 10 // a tenth for the way back
		r.Header.Set(deadlineHeader, strconv.FormatInt(left.Milliseconds(), 10))
	}
}

func readAnswer(response *http.Response, out any) error {
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("%w: read answer: %w", ErrUnknown, err)
	}
	if len(text) > maxAnswer {
		return fmt.Errorf("%w: answer longer than %d bytes: %w", ErrUnknown, maxAnswer, ErrTooLarge)
	}
	if response.StatusCode != http.StatusOK {
		var problem trust.Problem
		if err := wire.Unmarshal(text, &problem); err != nil {
			return fmt.Errorf("%w: answered %s without a reason: %w", ErrUnknown, response.Status, ErrMalformed)
		}
		return problem.Err(protocol.Codes)
	}
	if out == nil {
		return nil
	}
	if err := wire.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: decode answer: %w: %w", ErrUnknown, ErrMalformed, err)
	}
	return nil
}

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
	setDeadline(r.Context(), out)
	response, err := p.roundTrip(out)
	if err != nil {
		return nil, fmt.Errorf("forward %s %s to %s: %w", r.Method, r.URL.Path, to, err)
	}
	if response.Header.Get("Content-Type") == problemType {
		defer response.Body.Close()
		if err := readAnswer(response, nil); err != nil {
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
		"Upgrade", deadlineHeader} {
		h.Del(name)
	}
}
