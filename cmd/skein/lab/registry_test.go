package lab

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"archive/tar"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestTheWebImageIsPushedAndComesBackWhole(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "skein")
	if err := os.WriteFile(binary, []byte("a static program"), 0o700); err != nil {
		t.Fatal(err)
	}
	image, err := BuildImage(binary)
	if err != nil {
		t.Fatal(err)
	}
	blobs := t.TempDir()
	server := httptest.NewServer(newRegistryServer(netip.AddrPort{}, blobs))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/" + WebImage
	if err = Push(t.Context(), image, reference); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	file, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1.Config{
		Entrypoint: []string{"/skein"}, Cmd: []string{"web"}, User: "65534:65534", WorkingDir: "/",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}, file.Config); diff != "" || file.OS != "linux" || file.Architecture != runtime.GOARCH {
		t.Errorf("%s/%s (-want +got):\n%s", file.OS, file.Architecture, diff)
	}
	layers, err := pulled.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	archive := tar.NewReader(content)
	header, err := archive.Next()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(archive)
	if err != nil || header.Name != "skein" || header.Mode != 0o755 || string(b) != "a static program" {
		t.Errorf("%s %o %q %v", header.Name, header.Mode, b, err)
	}
	again, err := BuildImage(binary)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := image.Digest()
	two, _ := again.Digest()
	if one != two {
		t.Errorf("the same program gave %s and %s", one, two)
	}
}

func TestABadReferenceIsRefused(t *testing.T) {
	if err := Push(t.Context(), nil, "no registry here"); err == nil {
		t.Error("pushed to nowhere")
	}
	if _, err := BuildImage("/no/such/program"); err == nil {
		t.Error("built an image of nothing")
	}
}

func TestASlowRegistryKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRegistryServer(netip.AddrPort{}, t.TempDir())
		s.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 10*burst))
		})
		fetch := func() time.Duration {
			begin := time.Now()
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v2/", nil))
			if w.Body.Len() != 10*burst {
				t.Errorf("got %d bytes", w.Body.Len())
			}
			return time.Since(begin)
		}
		if took := fetch(); took != 0 {
			t.Errorf("without a limit: %s", took)
		}
		if answer := s.answer(t.Context(), request{Op: opSlow, Rate: burst}, nil); answer.Error != "" {
			t.Fatal(answer.Error)
		}
		if took := fetch(); took < 8*time.Second || took > 10*time.Second {
			t.Errorf("10 bursts at one a second took %s", took)
		}
		_ = s.answer(t.Context(), request{Op: opSlow}, nil)
		if took := fetch(); took != 0 {
			t.Errorf("with the limit gone: %s", took)
		}
		if answer := s.answer(t.Context(), request{Op: "dance"}, nil); answer.Error == "" {
			t.Error("an unknown request was taken")
		}
	})
}
