package fake

import (
	"context"
	"fmt"
	"strings"

	"skein/runtime/port"
)

// Put stores an image in the registry under a name.
func (c *Containers) Put(name string, image Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.registry[name] = &image
	c.registry[name+"@"+image.Digest] = &image
}

// Pulls counts how often an image was taken from the registry.
func (c *Containers) Pulls(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulls[name]
}

// Forget removes a pulled image, as garbage collection does.
func (c *Containers) Forget(digest string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, digest)
}

// Pull makes an image present; see converge.Containers.
func (c *Containers) Pull(ctx context.Context, ref port.ImageRef) (string, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return "", fmt.Errorf("pull %s: %w", ref.Image, err)
	}
	if digest, image := c.local(ref); image != nil && ref.Digest != "" {
		return digest, nil
	}
	if c.faults.PullDelay > 0 {
		due := c.now().Add(c.faults.PullDelay)
		if err := c.wait(ctx, func() bool { return !c.now().Before(due) }); err != nil {
			return "", fmt.Errorf("pull %s: %w", ref.Image, err)
		}
		if digest, image := c.local(ref); image != nil && ref.Digest != "" {
			return digest, nil // another's pull has brought it
		}
	}
	image, err := c.fetch(ref)
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", ref.Image, err)
	}
	c.pulls[ref.Image]++
	c.held[image.Digest] = image
	if ref.Digest == "" {
		c.names[ref.Image] = image.Digest
	}
	return image.Digest, nil
}

// HasImage looks for a pulled image; see converge.Containers.
func (c *Containers) HasImage(ctx context.Context, ref port.ImageRef) (string, bool, error) {
	defer c.mu.Unlock()
	if err := c.enter(ctx); err != nil {
		return "", false, fmt.Errorf("look for %s: %w", ref.Image, err)
	}
	digest, image := c.local(ref)
	return digest, image != nil, nil
}

func (c *Containers) fetch(ref port.ImageRef) (*Image, error) {
	name := ref.Image
	if ref.Digest != "" {
		name += "@" + ref.Digest
	}
	image := c.registry[name]
	switch {
	case ref.Image == "" || strings.Contains(ref.Image, " "):
		return nil, port.ErrImageNotFound
	case c.faults.RegistryDown:
		return nil, port.ErrRegistry
	case c.faults.PullError != nil:
		return nil, c.faults.PullError
	case image == nil:
		return nil, port.ErrImageNotFound
	}
	return image, nil
}

// local is a pulled image, or nil.
func (c *Containers) local(ref port.ImageRef) (string, *Image) {
	digest := ref.Digest
	if digest == "" {
		digest = c.names[ref.Image]
	}
	image := c.held[digest]
	if image == nil {
		return "", nil
	}
	return digest, image
}
