package containerd

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/pkg/identifiers"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// Labels that say all there is to know of a container.
const (
	labelID        = "skein.id"
	labelTask      = "skein.task"
	labelContainer = "skein.container"
	labelAttempt   = "skein.attempt"
	labelImage     = "skein.image"
	labelDigest    = "skein.digest"
	labelCgroup    = "skein.cgroup"
	labelStop      = "skein.stop-signal"
)

// runtimeID is the name under which containerd knows a container. Its names have
// at most 76 characters and a narrow alphabet, ours have a container's name of up
// to 255; the label skein.id has it whole.
func runtimeID(id string) string {
	if identifiers.Validate(id) == nil {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "c-" + hex.EncodeToString(sum[:16])
}

// idNames remembers ids of containers whose runtime id is another, for events,
// which have no labels.
type idNames struct {
	mu sync.Mutex
	by map[string]string
}

func (n *idNames) learn(id string) {
	key := runtimeID(id)
	if key == id {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.by == nil {
		n.by = map[string]string{}
	}
	n.by[key] = id
}

func (n *idNames) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.by, runtimeID(id))
}

// of is the id of a runtime id; one never met is returned as it is, which makes
// its hearer list.
func (n *idNames) of(key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, ok := n.by[key]; ok {
		return id
	}
	return key
}

// written are the labels that are ours; a spec may have others of the same family.
var written = []string{labelID, labelTask, labelContainer, labelAttempt, labelImage, labelDigest, labelCgroup,
	labelStop}

// maxLabel is containerd's limit of key and value together.
const maxLabel = 4096

func labelsOf(spec port.ContainerSpec, digest string, stopSignal int) (map[string]string, error) {
	labels := map[string]string{
		labelID:        spec.ID,
		labelTask:      string(spec.Task),
		labelContainer: spec.Def.Name,
		labelAttempt:   strconv.Itoa(spec.Attempt),
		labelImage:     spec.Image.Image,
		labelDigest:    digest,
		labelCgroup:    spec.CgroupPath,
		labelStop:      strconv.Itoa(stopSignal),
	}
	for key, value := range spec.Labels {
		if slices.Contains(written, key) || strings.HasPrefix(key, "containerd.io/") {
			return nil, fmt.Errorf("label %q: reserved", key)
		}
		labels[key] = value
	}
	for key, value := range labels {
		if len(key)+len(value) > maxLabel {
			return nil, fmt.Errorf("label %q: %d bytes with its value, at most %d", key, len(key)+len(value), maxLabel)
		}
	}
	return labels, nil
}

// statusOf reads back what labelsOf wrote; the state is filled in by the caller.
func statusOf(labels map[string]string) port.ContainerStatus {
	attempt, _ := strconv.Atoi(labels[labelAttempt])
	stop, err := strconv.Atoi(labels[labelStop])
	if err != nil {
		stop = sigterm
	}
	s := port.ContainerStatus{
		ID: labels[labelID], Task: fleet.TaskID(labels[labelTask]), Container: labels[labelContainer],
		Attempt: attempt, StopSignal: stop, Image: labels[labelImage], Digest: labels[labelDigest],
		Labels: map[string]string{},
	}
	for key, value := range labels {
		if !slices.Contains(written, key) && !strings.HasPrefix(key, "containerd.io/") {
			s.Labels[key] = value
		}
	}
	return s
}
