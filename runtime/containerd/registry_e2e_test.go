//go:build e2e

package containerd

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"skein/runtime/port"
)

// onBlob serves blobs of the registry in another way during a test.
func onBlob(t *testing.T, f http.HandlerFunc) {
	testImages(t)
	theHub.onBlob.Store(&f)
	t.Cleanup(func() { theHub.onBlob.Store(nil) })
}

func TestRegistriesThatMisbehave(t *testing.T) {
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		want  error
	}{
		"serves 500": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, port.ErrRegistry},
		"throttles":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, port.ErrRegistry},
		"lost a blob": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
			port.ErrImageNotFound},
		"forbids": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, port.ErrImageNotFound},
		"hangs up": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
			port.ErrRegistry},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			onBlob(t, c.serve)
			if _, err := b.Pull(t.Context(), theHub.ref("web")); !errors.Is(err, c.want) {
				t.Errorf("Pull: %v, want %v", err, c.want)
			}
			theHub.onBlob.Store(nil)
			if _, err := b.Pull(t.Context(), theHub.ref("web")); err != nil {
				t.Errorf("Pull once it behaves: %v", err)
			}
		})
	}
}

func TestARegistryThatStallsIsGivenUp(t *testing.T) {
	b := newBed(t)
	b.hosts = newRegistryHosts(b.config.PlainHTTP, stallGuard{b.transport, 200 * time.Millisecond})
	over := make(chan struct{})
	defer close(over)
	onBlob(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		_, _ = w.Write([]byte("a little"))
		w.(http.Flusher).Flush()
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	start := time.Now()
	if _, err := b.Pull(t.Context(), theHub.ref("web")); !errors.Is(err, port.ErrRegistry) {
		t.Errorf("Pull: %v, want ErrRegistry", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestACorruptBlobIsNotAccepted(t *testing.T) {
	b := newBed(t)
	var served atomic.Int64
	onBlob(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		recorder := &flipper{ResponseWriter: w}
		theHub.store.ServeHTTP(recorder, r)
	})
	if digest, err := b.Pull(t.Context(), theHub.ref("web")); err == nil {
		t.Errorf("Pull = %s", digest)
	}
	if served.Load() == 0 {
		t.Error("no blob was asked for: the test proves nothing")
	}
	theHub.onBlob.Store(nil)
	if _, err := b.Pull(t.Context(), theHub.ref("web")); err != nil {
		t.Errorf("Pull of the true one: %v", err)
	}
}

// flipper changes the first byte of a body.
type flipper struct {
	http.ResponseWriter
	done bool
}

func (f *flipper) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		f.done = true
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	return f.ResponseWriter.Write(p)
}

func TestATagIsResolvedWithoutAPull(t *testing.T) {
	b := newBed(t)
	ref := theHub.ref("web")
	if digest, err := b.Resolve(t.Context(), ref.Image); err != nil || digest != ref.Digest {
		t.Errorf("Resolve = %q, %v; want %q", digest, err, ref.Digest)
	}
	if digest, err := b.Resolve(t.Context(), ref.Image+"@"+ref.Digest); err != nil || digest != ref.Digest {
		t.Errorf("Resolve of a digest = %q, %v", digest, err)
	}
	if _, err := b.Resolve(t.Context(), theHub.address+"/none:1"); !errors.Is(err, port.ErrImageNotFound) {
		t.Errorf("Resolve of nothing: %v", err)
	}
	if _, ok, err := b.HasImage(t.Context(), ref); err != nil || ok {
		t.Errorf("HasImage = %v, %v: resolving pulled", ok, err)
	}
}

func TestARegistryWithTLSIsNotSpokenToWithout(t *testing.T) {
	b := newBed(t)
	b.hosts = newRegistryHosts(nil, b.transport)
	if _, err := b.Pull(t.Context(), theHub.ref("web")); !errors.Is(err, port.ErrRegistry) {
		t.Errorf("Pull: %v, want ErrRegistry", err)
	}
}
