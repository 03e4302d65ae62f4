package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layout is an OCI layout archive, unpacked.
func layout(t *testing.T, archive io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(archive); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[head.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheProbeImageHoldsTheProgramUnderRightDigests(t *testing.T) {
	program := bytes.Repeat([]byte("skein"), 1000)
	var archive bytes.Buffer
	if err := writeProbeImage(&archive, bytes.NewReader(program), int64(len(program)),
		"skein.local/probe:v1"); err != nil {
		t.Fatal(err)
	}
	files := layout(t, &archive)
	read := func(d ocispec.Descriptor, into any) []byte {
		t.Helper()
		text, ok := files[blobPath(d)]
		sum := sha256.Sum256(text)
		if !ok || hex.EncodeToString(sum[:]) != path.Base(blobPath(d)) || int64(len(text)) != d.Size {
			t.Fatalf("blob %s: there %v, %d bytes", d.Digest, ok, len(text))
		}
		if into != nil {
			if err := json.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
		return text
	}
	var index ocispec.Index
	if err := json.Unmarshal(files[ocispec.ImageIndexFile], &index); err != nil || len(index.Manifests) != 1 {
		t.Fatalf("index %s: %v", files[ocispec.ImageIndexFile], err)
	}
	if name := index.Manifests[0].Annotations[annotationName]; name != "skein.local/probe:v1" {
		t.Errorf("the image is named %q", name)
	}
	var manifest ocispec.Manifest
	read(index.Manifests[0], &manifest)
	var image ocispec.Image
	read(manifest.Config, &image)
	layer := read(manifest.Layers[0], nil)
	if image.RootFS.DiffIDs[0] != manifest.Layers[0].Digest || image.Architecture != runtime.GOARCH {
		t.Errorf("configuration %+v does not fit layer %s", image, manifest.Layers[0].Digest)
	}
	if got := layout(t, bytes.NewReader(layer))["skein"]; !bytes.Equal(got, program) {
		t.Errorf("the layer holds %d bytes of the program's %d", len(got), len(program))
	}
}

// zeros is a program of a given size that takes no memory.
type zeros struct{ at, size int64 }

func (z *zeros) Seek(to int64, _ int) (int64, error) { z.at = to; return to, nil }

func (z *zeros) Read(p []byte) (int, error) {
	if z.at >= z.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.size-z.at)
	clear(p[:n])
	z.at += n
	return int(n), nil
}

func TestTheProbeImageIsWrittenWithoutHoldingTheProgram(t *testing.T) {
	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := writeProbeImage(io.Discard, &zeros{size: size}, size, "skein.local/probe:v1"); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/16 {
		t.Errorf("an image of %d MiB took %d KiB of memory", size>>20, took>>10)
	}
}

func TestAProgramThatIsShorterThanToldIsRefused(t *testing.T) {
	if err := writeProbeImage(io.Discard, bytes.NewReader([]byte("short")), 100, "skein.local/probe:v1"); err == nil {
		t.Error("accepted")
	}
}

func TestImageTagsAreLegalWhateverTheVersion(t *testing.T) {
	for version, want := range map[string]string{"1.2.3": "v1.2.3", "a+b c": "va_b_c", strings.Repeat("x", 200): "v" +
		strings.Repeat("x", 127)} {
		if got := imageTag(version); got != want {
			t.Errorf("%q gives %q, want %q", version, got, want)
		}
	}
}
