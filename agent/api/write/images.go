package write

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"skein/agent/api/types"
	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Images finds the digest behind an image reference.
type Images interface {
	// Resolve asks the registry. Errors: port.ErrImageNotFound, or any other when
	// the registry does not answer.
	Resolve(ctx context.Context, image string) (digest string, err error)
}

// resolveTime is all that finding digests may take from a write.
const resolveTime = 2 * time.Second

// pin finds the digests behind a definition's images, so that all tasks of a
// revision run the same bytes. What cannot be found in time is left to the
// hosts, with a warning: a registry that is down must not stop a write.
func pin(ctx context.Context, images Images, def *fleet.TaskDef) ([]fleet.ImagePin, []strictjson.Warning) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	digests, errs := make([]string, len(def.Containers)), make([]error, len(def.Containers))
	var group sync.WaitGroup
	for i := range def.Containers {
		group.Go(func() { digests[i], errs[i] = resolve(ctx, images, def.Containers[i].Image) })
	}
	group.Wait()
	var pins []fleet.ImagePin
	var warnings []strictjson.Warning
	for i := range def.Containers {
		c := &def.Containers[i]
		if errs[i] == nil {
			pins = append(pins, fleet.ImagePin{Container: c.Name, Digest: digests[i]})
			continue
		}
		warnings = append(warnings, strictjson.Warning{Field: fmt.Sprintf("containerDefinitions[%d].image", i),
			Message: unpinned(c.Image, errs[i])})
	}
	return pins, warnings
}

var errNoRegistry = errors.New("this agent asks no registry")

// resolve answers with the digest in the reference itself, when it has one.
func resolve(ctx context.Context, images Images, image string) (string, error) {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest, nil
	}
	if images == nil {
		return "", errNoRegistry
	}
	return images.Resolve(ctx, image)
}

func unpinned(image string, err error) string {
	if errors.Is(err, port.ErrImageNotFound) {
		return fmt.Sprintf("not pinned: the registry says that %s does not exist; no task can start until it does",
			types.Clean(image))
	}
	return fmt.Sprintf("not pinned: the digest of %s could not be found within %s (%v); every host takes what the tag "+
		"means when it pulls", types.Clean(image), resolveTime, err)
}
