package converge

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"skein/runtime/port"
)

// registry is how a registry has answered.
type registry struct {
	failures  int // in a row
	notBefore time.Duration
	err       error
}

// registryOf is the host part of an image name, as registries count it.
func registryOf(image string) string {
	host, _, found := strings.Cut(image, "/")
	if !found || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return "docker.io"
	}
	return host
}

// registryOff reports whether the image's registry is being left alone.
func (m *Machine) registryOff(ref port.ImageRef) bool {
	r := m.images.registries[registryOf(ref.Image)]
	return r != nil && m.now.Mono < r.notBefore
}

// registryWait waits with an image until its registry may be asked again, not
// for ever.
func (m *Machine) registryWait(i *image) {
	r := m.images.registries[registryOf(i.ref.Image)]
	if i.failing == 0 {
		i.failing = m.stamp()
	}
	if m.now.Mono >= i.failing+pullGiveUp {
		m.imageFails(i, r.err)
		return
	}
	i.err = r.err
	m.later(i, min(r.notBefore, i.failing+pullGiveUp))
	m.touchWaiters(i)
}

// registryFailed leaves a registry alone for a while, for all its images.
func (m *Machine) registryFailed(name string, err error) {
	r := m.images.registries[name]
	if r == nil {
		r = &registry{}
		m.images.registries[name] = r
	}
	r.failures++
	r.err = err
	r.notBefore = m.now.Mono + m.spread(backOff(registryBackOff, registryCap, r.failures), name)
	m.recordNote("", NoteRetry, fmt.Sprintf("registry %s: %v", name, err))
}

// spread lengthens a delay by up to a half, differently on each host, so that
// hosts that failed together do not come back together.
func (m *Machine) spread(d time.Duration, subject string) time.Duration {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%s", m.cfg.Host, subject)
	return d + d/2*time.Duration(h.Sum32()%1000)/1000
}
