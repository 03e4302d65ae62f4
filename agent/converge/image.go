package converge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"skein/raftfsm/fleet"
	"skein/runtime/port"
)

// images is what is known of images on this host, and the registries they come
// from. One entry serves all tasks that want the image.
type images struct {
	known      map[port.ImageRef]*image
	registries map[string]*registry
	pulling    int
	waiting    []port.ImageRef // for a place among the pulls, in the order of asking
	retrying   []port.ImageRef // until their retryAt
}

// imageState is how far an image is on its way here.
type imageState uint8

const (
	imageWanted  imageState = iota // nothing in flight: look or pull next
	imageFinding                   // FindImage in flight
	imageQueued                    // waits for a place among the pulls
	imagePulling                   // Pull in flight
	imageReady
)

type image struct {
	ref     port.ImageRef
	state   imageState
	looked  bool   // FindImage has answered
	local   string // digest that is here; empty: none
	digest  string // imageReady: what to start
	readyAt time.Duration
	retryAt time.Duration
	tries   int           // pulls that failed
	err     error         // why the last one did, or why none is tried
	failing time.Duration // since the first failure; 0 = none
	waiters []fleet.TaskID
	cached  bool // a cold start: what is here is good enough
}

func (s *images) init() {
	s.known = make(map[port.ImageRef]*image)
	s.registries = make(map[string]*registry)
}

// pinned reports whether the reference can only ever mean one content.
func pinned(ref port.ImageRef) bool {
	return ref.Digest != "" || strings.Contains(ref.Image, "@sha256:")
}

// refOf is the image a container is to be made from, pinned where the fleet has
// resolved it.
func refOf(t *task, c *container) port.ImageRef {
	ref := port.ImageRef{Image: c.def.Image}
	if t.spec.wanted != nil {
		for _, pin := range t.spec.wanted.Images {
			if pin.Container == c.name {
				ref.Digest = pin.Digest
			}
		}
	}
	return ref
}

// imageOf is the image as it was found or pulled.
func (m *Machine) imageOf(t *task, c *container) port.ImageRef {
	ref := refOf(t, c)
	if i := m.images.known[ref]; i != nil && i.state == imageReady {
		ref.Digest = i.digest
	}
	return ref
}

func (t *task) needsImages() bool {
	return slices.ContainsFunc(t.containers, func(c *container) bool { return c.state == cNone || c.leftover })
}

// haveImages asks for the images of containers that are still to be made and
// reports whether all are here.
func (m *Machine) haveImages(t *task) bool {
	all := true
	for _, c := range t.containers {
		if c.state != cNone && !c.leftover {
			continue
		}
		if i := m.wantImage(t, refOf(t, c)); i.state != imageReady {
			all = false
			t.status.why = "waiting for image " + i.ref.Image
			if i.err != nil {
				t.status.why += ", tried again soon: " + i.err.Error()
			}
		}
	}
	return all
}

// wantImage has an image fetched for a task.
func (m *Machine) wantImage(t *task, ref port.ImageRef) *image {
	i := m.images.known[ref]
	if i == nil || i.stale(m.now.Mono) {
		i = &image{ref: ref}
		m.images.known[ref] = i
	}
	i.cached = i.cached || t.start.rerun
	if i.state == imageReady {
		return i
	}
	if !slices.Contains(i.waiters, t.id) {
		i.waiters = append(i.waiters, t.id)
	}
	m.fetch(i)
	return i
}

// stale reports whether a tag may mean something else by now.
func (i *image) stale(now time.Duration) bool {
	return i.state == imageReady && !pinned(i.ref) && now >= i.readyAt+tagKept
}

// fetch takes an image one step nearer: look here first, then the registry.
func (m *Machine) fetch(i *image) {
	switch {
	case i.state != imageWanted || m.now.Mono < i.retryAt:
	case !m.runtime.up:
		m.later(i, m.now.Mono)
	case !i.looked:
		i.state = imageFinding
		m.emit("", withinQuick, FindImage{Ref: i.ref})
	case i.local != "" && (pinned(i.ref) || i.cached || m.registryOff(i.ref)):
		m.imageIs(i, i.local)
	case m.registryOff(i.ref):
		m.registryWait(i)
	default:
		i.state = imageQueued
		m.images.waiting = append(m.images.waiting, i.ref)
		m.pullNext()
	}
}

func (m *Machine) pullNext() {
	s := &m.images
	for s.pulling < m.cfg.Limits.Pulls && len(s.waiting) > 0 {
		i := s.known[s.waiting[0]]
		s.waiting = s.waiting[1:]
		if i == nil || i.state != imageQueued {
			continue
		}
		i.state = imagePulling
		s.pulling++
		m.emit("", withinPull, Pull{Ref: i.ref})
	}
}

func (m *Machine) imageFound(ref port.ImageRef, d Done) {
	i := m.images.known[ref]
	if i == nil || i.state != imageFinding {
		return
	}
	i.state = imageWanted
	if d.Err != nil {
		m.later(i, m.now.Mono+retryBackOffBase) // the runtime is slow or away: neither here nor absent
		return
	}
	i.looked, i.local = true, d.Digest
	m.fetch(i)
}

func (m *Machine) imagePulled(ref port.ImageRef, d Done) {
	m.images.pulling--
	if i := m.images.known[ref]; i != nil && i.state == imagePulling {
		i.state = imageWanted
		m.pullResult(i, d)
	}
	m.pullNext()
}

func (m *Machine) pullResult(i *image, d Done) {
	name := registryOf(i.ref.Image)
	switch {
	case d.Err == nil:
		delete(m.images.registries, name)
		m.imageIs(i, d.Digest)
	case errors.Is(d.Err, port.ErrRuntimeDown):
		m.later(i, m.now.Mono+retryBackOffBase) // says nothing of the image or its registry
	case i.local == "" && errors.Is(d.Err, port.ErrImageNotFound):
		m.imageFails(i, d.Err)
	default:
		if unknown(d.Err) || errors.Is(d.Err, port.ErrRegistry) {
			m.registryFailed(name, d.Err)
		}
		if i.local != "" {
			m.imageIs(i, i.local) // not the newest perhaps, but here (ECS guide, image pull behaviour)
			return
		}
		m.pullAgain(i, d.Err)
	}
}

func (m *Machine) pullAgain(i *image, err error) {
	i.tries++
	if i.failing == 0 {
		i.failing = m.stamp()
	}
	if i.tries >= pullTries || m.now.Mono >= i.failing+pullGiveUp {
		m.imageFails(i, err)
		return
	}
	i.err = err
	m.later(i, m.now.Mono+backOff(registryBackOff, registryCap, i.tries))
	m.touchWaiters(i)
}

// imageIs makes an image ready for all who wait.
func (m *Machine) imageIs(i *image, digest string) {
	i.state, i.digest, i.readyAt = imageReady, digest, m.now.Mono
	m.wakeWaiters(i)
	m.trimImages()
}

// imageFails ends all tasks that wait for an image. The next task that wants it starts
// from nothing.
func (m *Machine) imageFails(i *image, err error) {
	m.dropImage(i.ref)
	why := fmt.Errorf("image %q: %w", i.ref.Image, err)
	for _, id := range i.waiters {
		t := m.tasks[id]
		if t == nil || t.phase != phaseStarting {
			continue
		}
		for _, c := range t.containers {
			if (c.state == cNone || c.leftover) && refOf(t, c) == i.ref {
				m.failContainer(t, c, "CannotPullContainerError", why)
			}
		}
	}
	m.wakeWaiters(i)
}

func (m *Machine) wakeWaiters(i *image) {
	m.touchWaiters(i)
	i.waiters = nil
}

func (m *Machine) touchWaiters(i *image) {
	for _, id := range i.waiters {
		if t := m.tasks[id]; t != nil {
			m.touch(t)
		}
	}
}

func (m *Machine) dropImage(ref port.ImageRef) { delete(m.images.known, ref) }

// later delays the next try of an image.
func (m *Machine) later(i *image, at time.Duration) {
	i.retryAt = at
	if !slices.Contains(m.images.retrying, i.ref) {
		m.images.retrying = append(m.images.retrying, i.ref)
	}
}

// wakeImages continues with the images whose retry time has come.
func (m *Machine) wakeImages() {
	s := &m.images
	waiting := s.retrying
	s.retrying = nil
	for _, ref := range waiting {
		switch i := s.known[ref]; {
		case i == nil || i.state != imageWanted:
		case m.now.Mono < i.retryAt || !m.runtime.up:
			s.retrying = append(s.retrying, ref)
		default:
			m.fetch(i)
		}
	}
}

// imagesDue is when the next image may be tried again.
func (m *Machine) imagesDue() time.Duration {
	due := noTime
	for _, ref := range m.images.retrying {
		if i := m.images.known[ref]; i != nil && i.retryAt > m.now.Mono {
			due = min(due, i.retryAt)
		}
	}
	return due
}

// trimImages forgets ready images that nobody has asked for lately; one that is
// wanted again is only looked for again.
func (m *Machine) trimImages() {
	if len(m.images.known) <= maxImages {
		return
	}
	for ref, i := range m.images.known {
		if i.state == imageReady && m.now.Mono >= i.readyAt+tagKept {
			delete(m.images.known, ref)
		}
	}
}
