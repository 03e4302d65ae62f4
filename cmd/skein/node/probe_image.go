package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// annotationName is by which containerd names an image of an archive.
const annotationName = "io.containerd.image.name"

// writeProbeImage writes an OCI layout archive with one image, of nothing but a
// static program. The program is read twice and never held: an agent's memory is
// not the size of its binary. The layer is not compressed, since it goes to this
// host's own store.
func writeProbeImage(w io.Writer, program io.ReadSeeker, size int64, name string) error {
	err := func() error {
		layer, err := describeLayer(program, size)
		if err != nil {
			return err
		}
		texts, err := probeDocuments(layer, name)
		if err != nil {
			return err
		}
		archive := tar.NewWriter(w)
		for _, t := range texts {
			if err := writeEntry(archive, t.path, int64(len(t.text)), bytes.NewReader(t.text).WriteTo); err != nil {
				return err
			}
		}
		body := func(w io.Writer) (int64, error) { return layer.Size, writeLayer(w, program, size) }
		return errors.Join(writeEntry(archive, blobPath(layer), layer.Size, body), archive.Close())
	}()
	if err != nil {
		return fmt.Errorf("write image %s: %w", name, err)
	}
	return nil
}

func writeEntry(archive *tar.Writer, path string, size int64, body func(io.Writer) (int64, error)) error {
	if err := archive.WriteHeader(&tar.Header{Name: path, Typeflag: tar.TypeReg, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err := body(archive)
	return err
}

// layoutFile is a document of an OCI layout.
type layoutFile struct {
	path string
	text []byte
}

// probeDocuments are all files of the layout but the layer's.
func probeDocuments(layer ocispec.Descriptor, name string) ([]layoutFile, error) {
	config, configFile, err := document(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Entrypoint: []string{"/skein"}, User: "65534:65534", WorkingDir: "/"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}},
	})
	if err != nil {
		return nil, err
	}
	manifest, manifestFile, err := document(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	if err != nil {
		return nil, err
	}
	manifest.Annotations = map[string]string{annotationName: name}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{manifest},
	})
	layout := []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)
	return []layoutFile{{ocispec.ImageLayoutFile, layout}, {ocispec.ImageIndexFile, index}, configFile, manifestFile}, err
}

func blobPath(d ocispec.Descriptor) string {
	return strings.Join([]string{ocispec.ImageBlobsDir, d.Digest.Algorithm().String(), d.Digest.Encoded()}, "/")
}

// document is a value as a blob of the layout.
func document(mediaType string, v any) (ocispec.Descriptor, layoutFile, error) {
	text, err := json.Marshal(v)
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(text), Size: int64(len(text))}
	return d, layoutFile{blobPath(d), text}, err
}

// describeLayer reads the program once for the digest of its layer.
func describeLayer(program io.ReadSeeker, size int64) (ocispec.Descriptor, error) {
	sum := sha256.New()
	var length counted
	if err := writeLayer(io.MultiWriter(sum, &length), program, size); err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageLayer, Digest: digest.NewDigest(digest.SHA256, sum), Size: int64(length),
	}, nil
}

// counted counts the bytes written to it.
type counted int64

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}

// writeLayer is the same for the same program: no times, no owners.
func writeLayer(w io.Writer, program io.ReadSeeker, size int64) error {
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return err
	}
	layer := tar.NewWriter(w)
	if err := layer.WriteHeader(&tar.Header{Name: "skein", Typeflag: tar.TypeReg, Mode: 0o755, Size: size}); err != nil {
		return err
	}
	if _, err := io.CopyN(layer, program, size); err != nil {
		return err
	}
	return layer.Close()
}
