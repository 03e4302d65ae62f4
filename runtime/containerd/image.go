package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"skein/runtime/port"
)

// Limits of what a registry may hand out.
const (
	maxManifest = 4 << 20 // bytes of a manifest, an index or a configuration
	maxLayers   = 128     // overlayfs stacks no more
)

// Pull makes an image present and unpacked and returns its digest. With a digest
// and the content here it asks no registry; with a tag it always asks. Errors:
// port.ErrImageNotFound, port.ErrRegistry, port.ErrRuntimeDown.
func (c *Client) Pull(ctx context.Context, ref port.ImageRef) (string, error) {
	name, err := parseReference(ref)
	if err != nil {
		return "", fmt.Errorf("pull: %w", err)
	}
	return c.flights.do(ctx, name.full, func(ctx context.Context) (string, error) {
		ctx, cancel := c.within(ctx, pullTimeout)
		defer cancel()
		if name.digest != "" {
			if image, err := c.localUnpacked(ctx, name); err != nil || image != nil {
				return name.digest.String(), c.fault(ctx, "pull "+name.full, err)
			}
		}
		return c.fetch(ctx, name)
	})
}

func (c *Client) fetch(ctx context.Context, name imageName) (string, error) {
	var asked asked
	image, err := c.daemon.Pull(ctx, name.full,
		client.WithPullUnpack,
		client.WithPullSnapshotter(c.config.Snapshotter),
		client.WithResolver(c.hosts.resolver()),
		client.WithImageHandlerWrapper(func(h images.Handler) images.Handler { return asked.note(limitImage(name.full)(h)) }),
	)
	if corrupt(err) {
		err = errors.Join(err, c.discard(ctx, asked.all()))
	}
	if err != nil {
		return "", c.pullFault(ctx, "pull "+name.full, err)
	}
	facts, err := c.facts(ctx, image)
	if err == nil {
		err = facts.runsOn(image.Platform())
	}
	if err != nil {
		return "", c.pullFault(ctx, "pull "+name.full, err)
	}
	return image.Target().Digest.String(), nil
}

// discard throws away what was received of some contents. The daemon would go on
// with it at the next pull, and fail again, for a day.
func (c *Client) discard(ctx context.Context, received []ocispec.Descriptor) error {
	var errs []error
	for _, d := range received {
		errs = append(errs, ignoreMissing(c.daemon.ContentStore().Abort(ctx, remotes.MakeRefKey(ctx, d))))
	}
	return errors.Join(errs...)
}

// asked notes what a pull asks for.
type asked struct {
	mu       sync.Mutex
	contents []ocispec.Descriptor
}

func (a *asked) note(next images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		a.mu.Lock()
		a.contents = append(a.contents, d)
		a.mu.Unlock()
		return next.Handle(ctx, d)
	})
}

func (a *asked) all() []ocispec.Descriptor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.contents
}

// Resolve asks the registry which digest a tag has now; a reference with a
// digest answers itself. Errors as Pull.
func (c *Client) Resolve(ctx context.Context, image string) (string, error) {
	name, err := parseReference(port.ImageRef{Image: image})
	if err != nil {
		return "", fmt.Errorf("resolve: %w", err)
	}
	if name.digest != "" {
		return name.digest.String(), nil
	}
	ctx, cancel := c.within(ctx, callTimeout+headerTimeout)
	defer cancel()
	_, descriptor, err := c.hosts.resolver().Resolve(ctx, name.full)
	if err != nil {
		return "", c.pullFault(ctx, "resolve "+name.full, err)
	}
	return descriptor.Digest.String(), nil
}

// HasImage reports whether a container of the image can start without a
// registry, and its digest.
func (c *Client) HasImage(ctx context.Context, ref port.ImageRef) (string, bool, error) {
	name, err := parseReference(ref)
	if err != nil {
		return "", false, nil
	}
	ctx, cancel := c.within(ctx, callTimeout)
	defer cancel()
	image, err := c.local(ctx, name)
	if err != nil {
		return "", false, c.fault(ctx, "look for "+name.full, err)
	}
	if image == nil {
		return "", false, nil
	}
	usable, err := c.complete(ctx, image)
	if err != nil {
		return "", false, c.fault(ctx, "look for "+name.full, err)
	}
	return image.Target().Digest.String(), usable, nil
}

// local is the image on record under a name or, for a digest, under any name;
// nil when there is none.
func (c *Client) local(ctx context.Context, name imageName) (client.Image, error) {
	image, err := c.daemon.GetImage(ctx, name.full)
	if err == nil {
		return image, nil
	}
	if !missing(err) || name.digest == "" {
		return nil, ignoreMissing(err)
	}
	same, err := c.daemon.ImageService().List(ctx, fmt.Sprintf("target.digest==%q", name.digest))
	if err != nil || len(same) == 0 {
		return nil, err
	}
	return client.NewImage(c.daemon, same[0]), nil
}

func ignoreMissing(err error) error {
	if missing(err) {
		return nil
	}
	return err
}

// localUnpacked is an image that is here, unpacked and on record under its name,
// so that it stays when other names of it go; nil when it must be pulled.
func (c *Client) localUnpacked(ctx context.Context, name imageName) (client.Image, error) {
	image, err := c.local(ctx, name)
	if err != nil || image == nil {
		return nil, err
	}
	usable, err := c.complete(ctx, image)
	if err != nil || !usable {
		return nil, err
	}
	if image.Name() != name.full {
		record := images.Image{Name: name.full, Target: image.Target()}
		if _, err := c.daemon.ImageService().Create(ctx, record); err != nil && !exists(err) {
			return nil, err
		}
		image = client.NewImage(c.daemon, record)
	}
	if unpacked, err := c.unpacked(ctx, image); err != nil || unpacked {
		return image, err
	}
	if err := image.Unpack(ctx, c.config.Snapshotter); err != nil {
		return nil, err
	}
	return image, nil
}

// complete: unpacked, or everything is here to unpack it from.
func (c *Client) complete(ctx context.Context, image client.Image) (bool, error) {
	unpacked, err := c.unpacked(ctx, image)
	if err != nil || unpacked {
		return unpacked, err
	}
	found, _, _, absent, err := images.Check(ctx, c.daemon.ContentStore(), image.Target(), image.Platform())
	return found && len(absent) == 0, ignoreMissing(err)
}

func (c *Client) unpacked(ctx context.Context, image client.Image) (bool, error) {
	facts, err := c.facts(ctx, image)
	if err != nil {
		return false, ignoreMissing(err)
	}
	_, err = c.daemon.SnapshotService(c.config.Snapshotter).Stat(ctx, facts.chain)
	return err == nil, ignoreMissing(err)
}

// imageFacts are what a container takes from its image.
type imageFacts struct {
	config   ocispec.ImageConfig
	platform ocispec.Platform // empty where the image does not say
	chain    string           // the snapshot of all its layers
}

// runsOn refuses an image that is made for other machines. An index is searched for
// this host's platform by the library; an image that is one manifest is not, and its
// programs would end with code 1 and no word. The levels of amd64 are not compared.
func (f *imageFacts) runsOn(host platforms.Matcher) error {
	made := platforms.Normalize(ocispec.Platform{OS: f.platform.OS, Architecture: f.platform.Architecture,
		Variant: f.platform.Variant})
	if made.Architecture == "amd64" {
		made.Variant = ""
	}
	if f.platform.OS == "" || f.platform.Architecture == "" || host.Match(made) {
		return nil
	}
	return fmt.Errorf("%w: it is made for %s, this host runs %s: push it for this platform too", port.ErrImageNotFound,
		platforms.Format(made), platforms.Format(platforms.DefaultSpec()))
}

// configCache keeps facts by digest: they never change.
type configCache struct {
	mu sync.Mutex
	by map[digest.Digest]imageFacts
}

// maxCachedConfigs bounds the cache; a host runs far fewer images, and a lost
// entry costs two reads.
const maxCachedConfigs = 512

func (c *Client) facts(ctx context.Context, image client.Image) (imageFacts, error) {
	key := image.Target().Digest
	c.configs.mu.Lock()
	facts, ok := c.configs.by[key]
	c.configs.mu.Unlock()
	if ok {
		return facts, nil
	}
	facts, err := readFacts(ctx, image)
	if err != nil {
		return imageFacts{}, err
	}
	c.configs.mu.Lock()
	defer c.configs.mu.Unlock()
	if c.configs.by == nil || len(c.configs.by) >= maxCachedConfigs {
		c.configs.by = map[digest.Digest]imageFacts{}
	}
	c.configs.by[key] = facts
	return facts, nil
}

func readFacts(ctx context.Context, image client.Image) (imageFacts, error) {
	descriptor, err := image.Config(ctx)
	if err != nil {
		return imageFacts{}, err
	}
	if !images.IsConfigType(descriptor.MediaType) || descriptor.Size > maxManifest {
		return imageFacts{}, fmt.Errorf("image %s: configuration of type %q and %d bytes", image.Name(), descriptor.MediaType,
			descriptor.Size)
	}
	blob, err := content.ReadBlob(ctx, image.ContentStore(), descriptor)
	if err != nil {
		return imageFacts{}, err
	}
	var parsed ocispec.Image
	if err := json.Unmarshal(blob, &parsed); err != nil {
		return imageFacts{}, fmt.Errorf("image %s: read configuration: %w", image.Name(), err)
	}
	return imageFacts{config: parsed.Config, platform: parsed.Platform,
		chain: identity.ChainID(parsed.RootFS.DiffIDs).String()}, nil
}

// limitImage refuses images that no honest build makes, before they are read.
func limitImage(name string) func(images.Handler) images.Handler {
	return func(next images.Handler) images.Handler {
		return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
			document := images.IsManifestType(d.MediaType) || images.IsIndexType(d.MediaType) || images.IsConfigType(d.MediaType)
			if document && d.Size > maxManifest {
				return nil, fmt.Errorf("image %s: %w: %s of %d bytes, at most %d", name, port.ErrImageNotFound, d.MediaType, d.Size,
					maxManifest)
			}
			children, err := next.Handle(ctx, d)
			if err == nil && images.IsManifestType(d.MediaType) && len(children) > maxLayers+1 {
				return nil, fmt.Errorf("image %s: %w: %d layers, at most %d", name, port.ErrImageNotFound, len(children)-1,
					maxLayers)
			}
			return children, err
		})
	}
}
