package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"skein/runtime/port"
)

func TestCallersShareOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		var runs atomic.Int64
		work := func(ctx context.Context) (string, error) {
			runs.Add(1)
			select {
			case <-time.After(time.Second):
				return "digest", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
		results := make(chan error, 10)
		ask := func(ctx context.Context) {
			result, err := f.do(ctx, "web", work)
			if err == nil && result != "digest" {
				err = fmt.Errorf("result %q", result)
			}
			results <- err
		}
		for range 4 {
			go ask(t.Context())
		}
		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go ask(impatient)
		if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient one: %v", err)
		}
		for range 4 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if runs.Load() != 1 {
			t.Errorf("%d runs, want one", runs.Load())
		}
	})
}

func TestAFlightThatNobodyWaitsForEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		ended := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.do(ctx, "web", func(ctx context.Context) (string, error) {
			<-ctx.Done()
			close(ended)
			return "", ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("do: %v", err)
		}
		<-ended
		// A newcomer starts anew.
		if got, err := f.do(t.Context(), "web",
			func(context.Context) (string, error) { return "again", nil }); got != "again" || err != nil {
			t.Errorf("a newcomer got %q, %v", got, err)
		}
		if len(f.now) != 0 {
			t.Errorf("%d flights are left", len(f.now))
		}
	})
}

func TestASilentBodyIsCutOff(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first")
		w.(http.Flusher).Flush()
		<-release
	}))
	defer server.Close()
	defer close(release)
	client := &http.Client{Transport: stallGuard{http.DefaultTransport, 50 * time.Millisecond}}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if string(text) != "first" || !errors.Is(err, errStalled) {
		t.Errorf("read %q, %v; want the first part and errStalled", text, err)
	}
}

func TestASlowReaderIsNotCutOff(t *testing.T) {
	server := httptest.NewServer(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "all of it") }))
	defer server.Close()
	client := &http.Client{Transport: stallGuard{http.DefaultTransport, 20 * time.Millisecond}}
	response, err := client.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	<-time.After(60 * time.Millisecond) // longer than the guard: it watches reads only
	if text, err := io.ReadAll(response.Body); string(text) != "all of it" || err != nil {
		t.Errorf("read %q, %v", text, err)
	}
}

func TestOversizedImagesAreRefusedBeforeTheyAreRead(t *testing.T) {
	layers := 0
	inner := images.HandlerFunc(func(context.Context, ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		return make([]ocispec.Descriptor, layers+1), nil
	})
	h := limitImage("web")(inner)
	manifest := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 100}
	layers = maxLayers
	if _, err := h.Handle(t.Context(), manifest); err != nil {
		t.Errorf("%d layers: %v", layers, err)
	}
	layers = maxLayers + 1
	if _, err := h.Handle(t.Context(), manifest); !errors.Is(err, port.ErrImageNotFound) {
		t.Errorf("%d layers: %v", layers, err)
	}
	layers = 1
	for _, kind := range []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageConfig} {
		if _, err := h.Handle(t.Context(), ocispec.Descriptor{MediaType: kind, Size: maxManifest + 1}); !errors.Is(err,
			port.ErrImageNotFound) {
			t.Errorf("a huge %s: %v", kind, err)
		}
	}
	if _, err := h.Handle(t.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayerGzip,
		Size: 1 << 33}); err != nil {
		t.Errorf("a large layer: %v", err)
	}
}

func TestWhatErrorsMean(t *testing.T) {
	c := &Client{}
	httpStatus := func(code int) error { return remoteerrors.ErrUnexpectedStatus{StatusCode: code} }
	for name, want := range map[string]struct{ err, is, isNot error }{
		"a registry that is busy":     {httpStatus(503), port.ErrRegistry, port.ErrImageNotFound},
		"a registry that throttles":   {httpStatus(429), port.ErrRegistry, port.ErrImageNotFound},
		"access denied":               {httpStatus(403), port.ErrImageNotFound, port.ErrRegistry},
		"a registry that asks a name": {httpStatus(401), port.ErrImageNotFound, port.ErrRegistry},
		"an image that is not there":  {fmt.Errorf("web: %w", errdefs.ErrNotFound), port.ErrImageNotFound, port.ErrRegistry},
		"a stalled body":              {fmt.Errorf("copy: %w", errStalled), port.ErrRegistry, port.ErrRuntimeDown},
		"a daemon that is down":       {status.Error(codes.Unavailable, "x"), port.ErrRuntimeDown, port.ErrRegistry},
		"a daemon that hangs":         {status.Error(codes.DeadlineExceeded, "x"), port.ErrRuntimeDown, port.ErrRegistry},
	} {
		got := c.pullFault(t.Context(), "pull web", want.err)
		if !errors.Is(got, want.is) || errors.Is(got, want.isNot) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if c.fault(t.Context(), "x", nil) != nil || c.pullFault(t.Context(), "x", nil) != nil {
		t.Error("no error became one")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.fault(ctx, "x", status.Error(codes.Canceled, "x")); !errors.Is(got, context.Canceled) ||
		errors.Is(got, port.ErrRuntimeDown) {
		t.Errorf("a caller that gave up: %v", got)
	}
}

func TestShimsAreKnownByTheirArguments(t *testing.T) {
	own := []string{"/usr/bin/containerd-shim-runc-v2", "-namespace", "skein", "-id", "t.main", "-address", "/run/c.sock"}
	if got := parseShim(own, "skein", "/run/c.sock"); got != "t.main" {
		t.Errorf("ours is the shim of %q", got)
	}
	for name, argv := range map[string][]string{
		"another namespace": {"containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", "x", "-address", "/run/c.sock"},
		"another daemon":    {"containerd-shim-runc-v2", "-namespace", "skein", "-id", "x", "-address", "/run/other.sock"},
		"another program":   {"sh", "-namespace", "skein", "-id", "x", "-address", "/run/c.sock"},
		"nothing":           nil,
		"no arguments":      {"containerd-shim-runc-v2"},
	} {
		if got := parseShim(argv, "skein", "/run/c.sock"); got != "" {
			t.Errorf("%s is the shim of %q", name, got)
		}
	}
}

func TestStartTimesOfProcesses(t *testing.T) {
	proc := t.TempDir()
	put := func(pid, stat string) {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rest := " 1 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 1"
	put("1", "1 (a shim) S"+rest)
	put("2", "2 (a) Z) ) S"+rest)
	put("3", "3 (dead) Z"+rest)
	put("4", "4 (short) S 1")
	put("5", "")
	for pid, want := range map[int]uint64{1: 4711, 2: 4711, 3: 0, 4: 0, 5: 0, 6: 0} {
		if got, ok := startTime(proc, pid); got != want || ok != (want > 0) {
			t.Errorf("process %d: %d, %v; want %d", pid, got, ok, want)
		}
	}
}

func TestOutOfMemoryKillsAreCounted(t *testing.T) {
	for text, want := range map[string]int{
		"oom_kill_disable 0\nunder_oom 0\noom_kill 2\n":       2,
		"low 0\nhigh 0\nmax 5\noom 1\noom_kill 1\n":           1,
		"oom_kill_disable 1\nunder_oom 0\n":                   0,
		"":                                                    0,
		strings.Repeat("x", 100):                              0,
		"oom_group_kill 9\noom_kill 3":                        3,
		"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\nsock_thr 1": 0,
	} {
		if got := parseOOMKills(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestLogsAreAppendedTo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "b.log")
	for range 2 {
		uri, err := openLog(name)
		if err != nil || uri != "file://"+name {
			t.Fatalf("openLog = %q, %v", uri, err)
		}
		if err := os.WriteFile(name, []byte("kept"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(name); string(text) != "kept" {
		t.Errorf("the log holds %q", text)
	}
	if uri, err := openLog(""); uri != "" || err != nil {
		t.Errorf("no log: %q, %v", uri, err)
	}
	if uri, err := openLog("relative"); err == nil {
		t.Errorf("a relative path: %q", uri)
	}
}

func TestWithoutADaemonCallsFailAndSaySo(t *testing.T) {
	c, err := Open(Config{Address: filepath.Join(t.TempDir(), "none.sock")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ref := port.ImageRef{Image: "web", Digest: "sha256:" + strings.Repeat("ab", 32)}
	spec := port.ContainerSpec{ID: "t.main", Image: ref}
	for name, call := range map[string]func() error{
		"Ready":    func() error { _, err := c.Ready(ctx); return err },
		"Pull":     func() error { _, err := c.Pull(ctx, ref); return err },
		"HasImage": func() error { _, _, err := c.HasImage(ctx, ref); return err },
		"Create":   func() error { _, err := c.Create(ctx, spec); return err },
		"Start":    func() error { return c.Start(ctx, "t.main") },
		"Signal":   func() error { return c.Signal(ctx, "t.main", 15, false) },
		"Delete":   func() error { return c.Delete(ctx, "t.main") },
		"List":     func() error { _, err := c.List(ctx); return err },
		"Exec":     func() error { _, err := c.Exec(ctx, "t.main", []string{"x"}); return err },
		"Watch":    func() error { return c.Watch(ctx, make(chan string)) },
		"Orphans":  func() error { _, err := c.Orphans(ctx, nil); return err },
	} {
		if err := call(); !errors.Is(err, port.ErrRuntimeDown) {
			t.Errorf("%s: %v, want ErrRuntimeDown", name, err)
		}
	}
}
