package containerd

import (
	"context"
	"fmt"
	"io"

	"github.com/containerd/containerd/v2/client"
)

// maxImported bounds the images of one archive: the probe's has one.
const maxImported = 8

// Import makes the images of an archive (OCI layout or docker save) present and
// unpacked under the names it gives them, without a registry. Errors:
// port.ErrRuntimeDown; others say what is wrong with the archive.
func (c *Client) Import(ctx context.Context, archive io.Reader) error {
	ctx, cancel := c.within(ctx, pullTimeout)
	defer cancel()
	imported, err := c.daemon.Import(ctx, archive)
	if err != nil {
		return c.fault(ctx, "import image", err)
	}
	if len(imported) > maxImported {
		return fmt.Errorf("import image: the archive holds %d images, at most %d", len(imported), maxImported)
	}
	for _, record := range imported {
		image := client.NewImage(c.daemon, record)
		if err := image.Unpack(ctx, c.config.Snapshotter); err != nil {
			return c.fault(ctx, "unpack "+record.Name, err)
		}
	}
	return nil
}
