package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"skein/agent/ecs/strictjson"
	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// pin finds the digests behind a definition's images, so that all tasks of a
// revision run the same bytes. What cannot be found in time is left to the
// hosts, with a warning: a registry that is down must not stop a write.
func (a *API) pin(ctx context.Context, def *fleet.TaskDef) ([]fleet.ImagePin, []strictjson.Warning) {
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	digests, errs := make([]string, len(def.Containers)), make([]error, len(def.Containers))
	var group sync.WaitGroup
	for i := range def.Containers {
		group.Go(func() { digests[i], errs[i] = a.resolve(ctx, def.Containers[i].Image) })
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
func (a *API) resolve(ctx context.Context, image string) (string, error) {
	if _, digest, ok := strings.Cut(image, "@"); ok {
		return digest, nil
	}
	if a.Images == nil {
		return "", errNoRegistry
	}
	return a.Images.Resolve(ctx, image)
}

func unpinned(image string, err error) string {
	if errors.Is(err, port.ErrImageNotFound) {
		return fmt.Sprintf("not pinned: the registry says that %s does not exist; no task can start until it does",
			clean(image))
	}
	return fmt.Sprintf("not pinned: the digest of %s could not be found within %s (%v); every host takes what the tag "+
		"means when it pulls", clean(image), resolveTime, err)
}
