package lab

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// WebImage is the repository and tag of the image that Up's caller may build.
const WebImage = "skein/web:1"

// maxBinaryBytes bounds what is put into an image.
const maxBinaryBytes = 512 << 20

// PushWeb builds the web image from the lab's program and pushes it to the lab's
// registry. It returns the reference for a task definition.
func (l *Lab) PushWeb(ctx context.Context) (string, error) {
	s, err := l.load()
	if err != nil {
		return "", err
	}
	image, err := BuildImage(labBinary(s.Dir))
	if err != nil {
		return "", err
	}
	reference := s.registry().String() + "/" + WebImage
	return reference, Push(ctx, image, reference)
}

// BuildImage makes an image of nothing but a static binary, /skein, that runs
// its web subcommand at port 8080 as an unprivileged user.
func BuildImage(binary string) (v1.Image, error) {
	layer, err := binaryLayer(binary)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint:   []string{"/skein"},
		Cmd:          []string{"web"}, // a task's command replaces it
		User:         "65534:65534",
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
	}
	image, err = mutate.ConfigFile(image, file)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	return image, nil
}

// binaryLayer is the same for the same binary: no times, no owners.
func binaryLayer(binary string) (v1.Layer, error) {
	info, err := os.Stat(binary)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	if info.Size() > maxBinaryBytes {
		return nil, fmt.Errorf("build image: %s has %d bytes, at most %d", binary, info.Size(), maxBinaryBytes)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	var packed bytes.Buffer
	archive := tar.NewWriter(&packed)
	if err = archive.WriteHeader(&tar.Header{Name: "skein", Typeflag: tar.TypeReg, Mode: 0o755,
		Size: int64(len(content))}); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	if _, err = archive.Write(content); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	if err = archive.Close(); err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithCompressionLevel(gzip.BestSpeed), tarball.WithCompressedCaching)
	if err != nil {
		return nil, fmt.Errorf("build image: %w", err)
	}
	return layer, nil
}

// Push sends an image to a registry spoken to without TLS.
func Push(ctx context.Context, image v1.Image, reference string) error {
	ref, err := name.ParseReference(reference, name.Insecure, name.StrictValidation)
	if err != nil {
		return fmt.Errorf("push image: %w", err)
	}
	if err := remote.Write(ref, image, remote.WithContext(ctx), remote.WithAuth(authn.Anonymous)); err != nil {
		return fmt.Errorf("push image %s: %w", reference, err)
	}
	return nil
}
