//go:build e2e

package containerd

import (
	"archive/tar"
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"skein/agent/converge/porttest"
	"skein/runtime/port"
)

// hub is a registry in this process that can be switched off and slowed.
type hub struct {
	address string
	store   http.Handler
	server  *http.Server
	pulls   atomic.Int64
	// onBlob, when set, serves blobs instead.
	onBlob atomic.Pointer[http.HandlerFunc]
	digest map[string]string
}

var (
	theHub     hub
	theProgram string // porttest.Program on this side
	madeImages sync.Once
)

func (h *hub) listen(t testing.TB) {
	t.Helper()
	address := h.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	must(t, err)
	h.address = l.Addr().String()
	h.server = &http.Server{Handler: http.HandlerFunc(h.serve)}
	go func() { _ = h.server.Serve(l) }()
}

func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/manifests/") {
		h.pulls.Add(1)
	}
	if f := h.onBlob.Load(); f != nil && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		(*f)(w, r)
		return
	}
	h.store.ServeHTTP(w, r)
}

func (h *hub) up(t testing.TB, up bool) {
	t.Helper()
	if up {
		h.listen(t)
		return
	}
	must(t, h.server.Close())
}

// testImages makes the registry with its images, once.
func testImages(t testing.TB) *hub {
	t.Helper()
	madeImages.Do(func() {
		theHub.store = registry.New(registry.Logger(slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)))
		theHub.digest = map[string]string{}
		theHub.listen(t)
		program, err := os.ReadFile(porttest.BuildProgram(t))
		must(t, err)
		theProgram = filepath.Join(porttest.Dir(), "prog")
		must(t, os.WriteFile(theProgram, program, 0o755))
		files := map[string]string{
			"etc/passwd": "root:x:0:0::/:/none\nweb:x:1001:2001::/:/none\n",
			"etc/group":  "root:x:0:\nwww:x:2001:\nextra:x:3001:web\n",
			"srv/here":   "x",
		}
		plain := v1.Config{Entrypoint: []string{porttest.Program}, Cmd: []string{"exit", "42"}}
		theHub.push(t, "web", program, files, plain)
		rich := plain
		rich.Env = []string{"PATH=/bin", "FROM=image", "BOTH=image"}
		rich.User, rich.WorkingDir, rich.StopSignal = "web", "/srv", "SIGINT"
		theHub.push(t, "rich", program, files, rich)
		hostile := plain
		hostile.User = "4294967296"
		theHub.push(t, "hostile", program, files, hostile)
	})
	return &theHub
}

func (h *hub) push(t testing.TB, called string, program []byte, files map[string]string, config v1.Config) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(name string, mode int64, text []byte) {
		must(t, w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := w.Write(text)
		must(t, err)
	}
	add(strings.TrimPrefix(porttest.Program, "/"), 0o755, program)
	for name, text := range files {
		add(name, 0o644, []byte(text))
	}
	must(t, w.Close())
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(layer.Bytes(), types.DockerUncompressedLayer))
	must(t, err)
	file, err := image.ConfigFile()
	must(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", "amd64", config
	image, err = mutate.ConfigFile(image, file)
	must(t, err)
	ref, err := name.ParseReference(h.address+"/"+called+":1", name.Insecure)
	must(t, err)
	must(t, remote.Write(ref, image))
	digest, err := image.Digest()
	must(t, err)
	h.digest[called] = digest.String()
}

func (h *hub) ref(called string) port.ImageRef {
	return port.ImageRef{Image: h.address + "/" + called + ":1", Digest: h.digest[called]}
}

// restore switches the registry on for the next test if this one left it off.
func restore(t *testing.T) {
	if c, err := net.DialTimeout("tcp", theHub.address, time.Second); err == nil {
		c.Close()
		return
	}
	theHub.up(t, true)
}
