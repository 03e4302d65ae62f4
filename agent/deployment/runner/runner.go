// Package runner carries out the effects of deployments on a host: it calls webhooks,
// asks Prometheus servers, probes the host's own ingress and reads the last lines of a
// task's log. See package deployment for what is asked and answered.
//
// It trusts nobody that it asks. Addresses are asked only while the fleet's allow-list has
// them, redirects are not followed, what is read is bounded, and a call ends with its
// attempt. It decides nothing: what an answer means is package deployment's, and what
// follows is the planner's.
package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"skein/agent/deployment"
	"skein/agent/effects"
	"skein/raftfsm/fleet"
)

// Config is what the runners need of their host.
type Config struct {
	// Allowed refuses an address that the fleet's allow-list does not have: it had it when
	// the hook or the alarm was made. ErrUnknown where this host cannot tell.
	Allowed func(url string) error
	Now     func() time.Time // wall time, of signatures
	// LogFile is the file that a task's container writes to. The names are checked, not
	// trusted.
	LogFile func(task fleet.TaskID, container string) (string, error)
	// AliasAddr is where this host answers at the alias of a number; nil: at its loopback address.
	AliasAddr func(number int) netip.Addr
	// ReadFile reads a file of this host, at most most bytes of it.
	ReadFile func(name string, most int64) ([]byte, error)
	// Dial connects to servers; nil: as the host does. TLS is how HTTPS servers are
	// verified; nil: by the host's own authorities.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	TLS  *tls.Config
}

// ByKind returns the runners by the kinds of effects that they carry out.
func (c Config) ByKind() map[string]effects.Runner {
	if c.Dial == nil {
		c.Dial = dial
	}
	if c.AliasAddr == nil {
		c.AliasAddr = func(int) netip.Addr { return loopback }
	}
	r := &runners{Config: c, client: newClient(c.Dial, c.TLS)}
	return map[string]effects.Runner{
		deployment.KindWebhook: r.webhook,
		deployment.KindQuery:   r.query,
		deployment.KindProbe:   r.probe,
		deployment.KindLogTail: r.logTail,
	}
}

// dial connects as the host does. A name does not lead to a link-local address, where clouds
// keep the credentials of hosts: the allow-list has names, and whoever answers for one chooses
// where it leads. Who means such an address allows it as a number.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialWithin}
	if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host) == nil {
		dialer.Control = func(_, resolved string, _ syscall.RawConn) error { return checkResolved(host, resolved) }
	}
	return dialer.DialContext(ctx, network, address)
}

func checkResolved(host, resolved string) error {
	to, err := netip.ParseAddrPort(resolved)
	if err == nil && to.Addr().Unmap().IsLinkLocalUnicast() {
		return fmt.Errorf("%s leads to %s, a link-local address: allow it as a number if it is meant", host, to.Addr())
	}
	return err
}

// loopback is where a host has its own ports.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

type runners struct {
	Config
	client *http.Client
}

// Limits of one exchange with a server.
const (
	dialWithin = 5 * time.Second
	maxHeader  = 32 << 10
)

// newClient is a client for servers of strangers. It keeps no connection: calls are
// seconds apart.
func newClient(dial func(context.Context, string, string) (net.Conn, error), config *tls.Config) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, TLSClientConfig: config, TLSHandshakeTimeout: dialWithin, DisableKeepAlives: true,
			DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refused is why an address must not be asked; empty where it may. Where this host cannot
// tell, another may: the attempt ends with retry.
func (r *runners) refused(address string) (why string, retry *effects.Answer) {
	switch err := r.Allowed(address); {
	case err == nil:
		return "", nil
	case errors.Is(err, ErrUnknown):
		return "", again(err.Error())
	default:
		return err.Error(), nil
	}
}

// call sends a request to a server of the allow-list. One that gives no answer, or cannot
// answer now, is asked again: the attempt ends with retry.
func (r *runners) call(request *http.Request) (answer reply, retry *effects.Answer) {
	request.Header.Set("User-Agent", "skein")
	answer, err := exchange(r.client, request, deployment.MaxAnswer)
	switch {
	case err != nil:
		return answer, again(err.Error())
	case answer.later():
		return answer, again("status " + http.StatusText(answer.status))
	}
	return answer, nil
}

func again(why string) *effects.Answer {
	answer := effects.Retry(why)
	return &answer
}

// reply is an answer of a server, its body cut behind the bound that was asked for.
type reply struct {
	status   int
	location string
	body     []byte
}

// exchange sends a request and reads the answer, one byte more than most of its body.
func exchange(client *http.Client, request *http.Request, most int64) (reply, error) {
	response, err := client.Do(request)
	if err != nil {
		return reply{}, clean(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return reply{}, fmt.Errorf("read the answer: %w", clean(err))
	}
	return reply{response.StatusCode, response.Header.Get("Location"), body}, nil
}

// clean leaves the address out, whose query may hold a secret, and names a time-out.
func clean(err error) error {
	var named interface{ Unwrap() error }
	if errors.As(err, &named) && strings.Contains(fmt.Sprintf("%T", err), "url.Error") {
		err = named.Unwrap()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("no answer within the time of the call")
	}
	return err
}

// redirects reports whether an answer sends the caller elsewhere.
func (r reply) redirects() bool { return r.status >= 300 && r.status <= 399 }

// later reports whether an answer says that the server cannot answer now.
func (r reply) later() bool {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// ErrUnknown says that a host does not know the fleet's allow-list: another may.
var ErrUnknown = errors.New("this host has no log that says what hooks may call")
