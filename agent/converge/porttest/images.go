package porttest

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sync/errgroup"

	"skein/runtime/port"
)

func init() { containerCases = append(containerCases, imageCases...) }

var imageCases = []containerCase{
	{"a pulled image is there, with its digest", func(t *testing.T, b *containerBed) {
		if _, ok, err := b.Containers.HasImage(t.Context(), b.Image); err != nil || ok {
			t.Fatalf("HasImage before the pull = %v, %v", ok, err)
		}
		digest, err := b.Containers.Pull(t.Context(), b.Image)
		if err != nil || digest != b.Image.Digest {
			t.Fatalf("Pull = %q, %v; want %q", digest, err, b.Image.Digest)
		}
		if digest, ok, err := b.Containers.HasImage(t.Context(), b.Image); err != nil || !ok || digest != b.Image.Digest {
			t.Errorf("HasImage = %q, %v, %v", digest, ok, err)
		}
	}},
	{"a pull by tag tells the digest, by which it can then be had", func(t *testing.T, b *containerBed) {
		digest, err := b.Containers.Pull(t.Context(), b.Tagged)
		if err != nil || digest != b.Image.Digest {
			t.Fatalf("Pull = %q, %v; want %q", digest, err, b.Image.Digest)
		}
		for _, ref := range []port.ImageRef{b.Tagged, b.Image} {
			if digest, ok, err := b.Containers.HasImage(t.Context(), ref); err != nil || !ok || digest != b.Image.Digest {
				t.Errorf("HasImage %+v = %q, %v, %v", ref, digest, ok, err)
			}
		}
	}},
	{"an image that the registry does not have is not found", func(t *testing.T, b *containerBed) {
		if _, err := b.Containers.Pull(t.Context(), b.Missing); !errors.Is(err, port.ErrImageNotFound) ||
			errors.Is(err, port.ErrRegistry) {
			t.Errorf("Pull: %v, want ErrImageNotFound", err)
		}
		spec := b.spec(t, "a", "exit", "0")
		spec.Image = b.Missing
		if _, err := b.Containers.Create(t.Context(), spec); !errors.Is(err, port.ErrImageNotFound) {
			t.Errorf("Create: %v, want ErrImageNotFound", err)
		}
		if s := find(t, b.Containers, spec.ID); s != nil {
			t.Errorf("the refused Create left %+v", s)
		}
	}},
	{"a malformed image name is not found", func(t *testing.T, b *containerBed) {
		for _, ref := range []port.ImageRef{{}, {Image: "web:not a tag"}, {Image: b.Image.Image, Digest: "sha256:short"}} {
			if _, err := b.Containers.Pull(t.Context(), ref); !errors.Is(err, port.ErrImageNotFound) {
				t.Errorf("Pull %+v: %v, want ErrImageNotFound", ref, err)
			}
		}
	}},
	{"a registry that is down is not a missing image", func(t *testing.T, b *containerBed) {
		b.Registry(false)
		for _, ref := range []port.ImageRef{b.Image, b.Tagged} {
			if _, err := b.Containers.Pull(t.Context(), ref); !errors.Is(err, port.ErrRegistry) ||
				errors.Is(err, port.ErrImageNotFound) {
				t.Errorf("Pull %+v: %v, want ErrRegistry", ref, err)
			}
		}
		b.Registry(true)
		if _, err := b.Containers.Pull(t.Context(), b.Image); err != nil {
			t.Errorf("Pull once the registry is back: %v", err)
		}
	}},
	{"what is here by digest needs no registry", func(t *testing.T, b *containerBed) {
		if _, err := b.Containers.Pull(t.Context(), b.Tagged); err != nil {
			t.Fatal(err)
		}
		b.Registry(false)
		if digest, err := b.Containers.Pull(t.Context(), b.Image); err != nil || digest != b.Image.Digest {
			t.Fatalf("Pull by digest = %q, %v", digest, err)
		}
		b.pulled = true
		spec := b.spec(t, "a", "exit", "4")
		b.start(t, spec)
		if s := b.ended(t, spec.ID); s.ExitCode != 4 {
			t.Errorf("exit code %d, want 4", s.ExitCode)
		}
	}},
	{"many who ask at once share one pull", func(t *testing.T, b *containerBed) {
		var g errgroup.Group
		for range 20 {
			g.Go(func() error {
				_, err := b.Containers.Pull(t.Context(), b.Image)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		if n := b.Pulls(); n != 1 {
			t.Errorf("the registry was asked %d times", n)
		}
	}},
	{"one who gives up does not end the others' pull", func(t *testing.T, b *containerBed) {
		impatient, cancel := context.WithCancel(t.Context())
		cancel()
		results := make(chan error, 2)
		go func() { _, err := b.Containers.Pull(impatient, b.Image); results <- err }()
		go func() { _, err := b.Containers.Pull(t.Context(), b.Image); results <- err }()
		one, two := <-results, <-results
		if one != nil && two != nil {
			t.Errorf("both failed: %v; %v", one, two)
		}
		for _, err := range []error{one, two} {
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Errorf("Pull: %v", err)
			}
		}
	}},
}
