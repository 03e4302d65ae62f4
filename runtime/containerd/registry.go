package containerd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
)

// How long a registry may stay silent, step by step. A slow registry is fine, a
// dead one must not hold a pull: another try may meet a better one.
const (
	connectTimeout = 5 * time.Second
	tlsTimeout     = 10 * time.Second
	headerTimeout  = 20 * time.Second
	stallTimeout   = 30 * time.Second // without one byte of a body
)

var errStalled = errors.New("registry sent nothing for 30 s")

// registryHosts says how to reach a registry.
type registryHosts struct {
	plain  []string
	client *http.Client
	auth   docker.Authorizer
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: headerTimeout,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
}

func newRegistryHosts(plain []string, transport http.RoundTripper) registryHosts {
	c := &http.Client{Transport: stallGuard{transport, stallTimeout}}
	return registryHosts{
		plain: plain, client: c,
		auth: docker.NewDockerAuthorizer(docker.WithAuthClient(c)),
	}
}

func (h registryHosts) resolver() remotes.Resolver {
	return docker.NewResolver(docker.ResolverOptions{Hosts: h.of})
}

func (h registryHosts) of(host string) ([]docker.RegistryHost, error) {
	address, err := docker.DefaultHost(host)
	if err != nil {
		return nil, err
	}
	scheme := "https"
	if slices.Contains(h.plain, host) {
		scheme = "http"
	}
	return []docker.RegistryHost{{
		Client: h.client, Authorizer: h.auth, Host: address, Scheme: scheme, Path: "/v2",
		Capabilities: docker.HostCapabilityPull | docker.HostCapabilityResolve,
	}}, nil
}

// stallGuard ends a response whose body stays silent too long.
type stallGuard struct {
	next  http.RoundTripper
	after time.Duration
}

func (g stallGuard) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := g.next.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(err)
		return nil, err
	}
	response.Body = &guardedBody{body: response.Body, after: g.after, cancel: cancel, ctx: ctx}
	return response, nil
}

// guardedBody watches each read of a body; between reads the reader may take
// its time.
type guardedBody struct {
	body   io.ReadCloser
	after  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
	close  sync.Once
}

func (b *guardedBody) Read(p []byte) (int, error) {
	timer := time.AfterFunc(b.after, func() { b.cancel(errStalled) })
	n, err := b.body.Read(p)
	timer.Stop()
	if err != nil && errors.Is(context.Cause(b.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

func (b *guardedBody) Close() error {
	err := b.body.Close()
	b.close.Do(func() { b.cancel(context.Canceled) })
	return err
}
