package runner

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"skein/agent/deployment"
	"skein/agent/effects"
)

// probe sends requests through this host's own ingress, one after the other, until all
// were well or one was not. A port that nobody answers on says nothing of the target:
// another host tries.
func (r *runners) probe(ctx context.Context, job effects.Job) effects.Answer {
	in, err := deployment.ReadProbe(job.Input)
	if err != nil {
		return probed(deployment.Probed{Why: "its requests cannot be read: " + err.Error()})
	}
	at := loopback
	if in.Alias != 0 {
		at = r.AliasAddr(in.Alias)
	}
	dial := r.Dial
	if in.Proxy {
		dial = r.introduced
	}
	address := netip.AddrPortFrom(at, uint16(in.Port)).String()
	client := newClient(dial, &tls.Config{
		ServerName: in.Host,
		// The certificate is this host's own, or a test's; what is probed is the target behind it.
		InsecureSkipVerify: true, //nolint:gosec
	})
	var all deployment.Probed
	for range in.Count {
		took, wrong, err := ask(ctx, client, address, &in)
		switch {
		case ctx.Err() != nil:
			return effects.Retry("its time is over after " + strconv.Itoa(all.Well) + " requests that were well")
		case err != nil:
			return effects.Retry(err.Error())
		}
		all.Sent++
		all.WorstM = max(all.WorstM, took)
		if wrong != "" {
			all.Why = wrong
			break
		}
		all.Well++
	}
	return probed(all)
}

// proxyHeader is that of a relay which speaks for itself. Source: haproxy.org, The PROXY
// protocol, version 1.
const proxyHeader = "PROXY UNKNOWN\r\n"

// introduced connects to a listener that asks for a PROXY header.
func (r *runners) introduced(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := r.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if _, err = io.WriteString(conn, proxyHeader); err != nil {
		_ = conn.Close()
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return conn, nil
}

// ask sends one request and says what is wrong with the answer. Its error is that of a
// connection that was never made.
func ask(
	ctx context.Context, client *http.Client, address string, in *deployment.Probe,
) (tookMs int, wrong string, err error) {
	limit := time.Duration(in.LatencyMs) * time.Millisecond
	within, stop := context.WithTimeout(ctx, limit+dialWithin)
	defer stop()
	scheme := "http://"
	if in.TLS {
		scheme = "https://"
	}
	method := in.Method
	if method == "" {
		method = http.MethodGet
	}
	request, err := http.NewRequestWithContext(within, method, scheme+address+in.Target, nil)
	if err != nil {
		return 0, "its address: " + clean(err).Error(), nil
	}
	request.Host = in.Host
	request.Header.Set("User-Agent", "skein")
	for _, h := range in.Headers {
		request.Header.Set(h.Name, h.Value)
	}
	began := time.Now()
	answer, err := exchange(client, request, deployment.MaxProbeBody)
	took := int(time.Since(began).Milliseconds())
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		return 0, "", err
	case err != nil:
		return took, err.Error(), nil
	}
	return took, in.Judge(answer.status, string(answer.body), took), nil
}

func probed(p deployment.Probed) effects.Answer { return done(p.Encode()) }
