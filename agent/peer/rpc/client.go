package rpc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"time"

	"skein/agent/peer/intake"
	"skein/agent/peer/protocol"
	"skein/agent/trust"
	"skein/raftfsm/fleet"
	"skein/raftfsm/fleet/wire"
)

// CallTime bounds any call that is not a stream; a caller's shorter deadline counts.
const CallTime = intake.CallTime

// DeadlineHeader carries how many milliseconds the caller still waits, so that
// no work is done for a caller that has gone.
const DeadlineHeader = "Skein-Deadline-Ms"

// AnswerType marks answers of the peer port itself; the API never uses it.
const AnswerType = "application/cbor"

// IdleTime is how long a server keeps a connection without a call, and MaxHeader what a
// call or an answer may have before its body.
const (
	IdleTime  = 60 * time.Second
	MaxHeader = 32 << 10
)

// Client makes calls. It is safe for concurrent use.
type Client struct{ transport *http.Transport }

// NewClient makes a client that connects by a dialer.
func NewClient(d *Dialer) *Client { return &Client{transport: newTransport(d)} }

// CloseIdle closes the connections that have no call.
func (c *Client) CloseIdle() { c.transport.CloseIdleConnections() }

// newTransport speaks HTTP/1.1 to hosts by id: the URL's host is a HostID.
func newTransport(d *Dialer) *http.Transport {
	return &http.Transport{
		DialTLSContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, &NotSentError{Err: err}
			}
			return d.Dial(ctx, fleet.HostID(host), trust.ProtocolRPC)
		},
		MaxIdleConnsPerHost: 4,
		MaxIdleConns:        64,
		// Below the server's, so that a connection is not used as it is closed.
		IdleConnTimeout:        IdleTime - 10*time.Second,
		MaxResponseHeaderBytes: MaxHeader,
		DisableCompression:     true,
	}
}

// Call asks one thing of one host. in and out are wire values; either may be
// nil, and in may be bytes that are encoded already. Errors are the other end's
// sentinels; a NotSentError when nothing was sent; else, when no answer came,
// protocol.ErrUnknown.
func (c *Client) Call(ctx context.Context, host fleet.HostID, path string, in, out any) error {
	body, ok := in.([]byte)
	if !ok && in != nil {
		var err error
		if body, err = wire.Marshal(in); err != nil {
			return fmt.Errorf("%s: encode: %w: %w", path, protocol.ErrMalformed, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, CallTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(host)+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	SetDeadline(ctx, request)
	response, err := c.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", path, host, err)
	}
	defer response.Body.Close()
	return ReadAnswer(response, out)
}

// RoundTrip distinguishes a request that was never sent from one that may have been
// carried out. A call that ends during its dial returns the context's error while the
// library goes on dialing; nothing was sent before it had a connection.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	connected := false
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }}
	response, err := c.transport.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	switch {
	case err == nil:
		return response, nil
	case NotSent(err):
		return nil, err
	case !connected:
		return nil, &NotSentError{Err: err}
	}
	return nil, fmt.Errorf("%w: %w", protocol.ErrUnknown, err)
}

// SetDeadline tells the other end how long the caller still waits.
func SetDeadline(ctx context.Context, r *http.Request) {
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline) * 9 / 10 // a tenth for the way back
		r.Header.Set(DeadlineHeader, strconv.FormatInt(left.Milliseconds(), 10))
	}
}
