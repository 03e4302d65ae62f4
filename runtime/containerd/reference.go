package containerd

import (
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"skein/runtime/port"
)

// imageName is a reference as containerd keeps it: with registry host and either
// a tag or a digest. "web" is "docker.io/library/web:latest".
type imageName struct {
	full   string
	digest digest.Digest // empty for a tag
}

// parseReference names the image of a reference. A malformed one is an image
// that does not exist anywhere.
func parseReference(ref port.ImageRef) (imageName, error) {
	named, err := reference.ParseDockerRef(ref.Image)
	if err != nil {
		return imageName{}, fmt.Errorf("image %q: %w: %w", ref.Image, port.ErrImageNotFound, err)
	}
	if ref.Digest != "" {
		d, err := digest.Parse(ref.Digest)
		if err != nil {
			return imageName{}, fmt.Errorf("image %q: digest %q: %w: %w", ref.Image, ref.Digest, port.ErrImageNotFound, err)
		}
		if named, err = reference.WithDigest(reference.TrimNamed(named), d); err != nil {
			return imageName{}, fmt.Errorf("image %q: %w: %w", ref.Image, port.ErrImageNotFound, err)
		}
	}
	name := imageName{full: named.String()}
	if digested, ok := named.(reference.Digested); ok {
		name.digest = digested.Digest()
	}
	return name, nil
}
