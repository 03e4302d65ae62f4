package node

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"skein/runtime/port"
	"skein/runtime/selfcheck"
)

// ociRuntimes are the OCI runtimes that may make this host's containers, the
// most wanted first: paths of programs, or empty for containerd's own, runc. The
// first that passes the probe is used for new containers; those that run keep
// theirs. Until a probe has passed containerd's own is used, unless one was named.
type ociRuntimes struct {
	candidates []string
	probe      func(ctx context.Context, program string) error
	use        func(program string) error
}

// runtimeCandidates turns the configuration (auto, runc, crun, or a path) into
// the programs to try. crun starts a container in less processor time than runc.
func runtimeCandidates(configured string, lookPath func(string) (string, error)) ([]string, error) {
	switch configured {
	case "runc":
		return []string{""}, nil
	case "auto":
		if crun, err := lookPath("crun"); err == nil && filepath.IsAbs(crun) {
			return []string{crun, ""}, nil
		}
		return []string{""}, nil
	}
	program, err := lookPath(configured)
	if err != nil {
		return nil, fmt.Errorf("containerd.runtime %s: %w: install it, or configure auto or runc", configured, err)
	}
	return []string{program}, nil
}

// choose probes the candidates in order, each within its share of the time, and
// has the first that passes make new containers. It says which, and why none
// before it.
func (r *ociRuntimes) choose(ctx context.Context) (string, error) {
	var refused []error
	for _, program := range r.candidates {
		err := r.within(ctx, program)
		if err == nil {
			err = r.use(program)
		}
		if err == nil {
			return r.says(program, refused), nil
		}
		refused = append(refused, fmt.Errorf("with %s: %w", runtimeName(program), err))
		if ctx.Err() != nil || errors.Is(err, port.ErrRuntimeDown) {
			break // no fault of the candidate's
		}
	}
	return "", errors.Join(refused...)
}

func (r *ociRuntimes) within(ctx context.Context, program string) error {
	ctx, cancel := context.WithTimeout(ctx, selfcheck.Timeout/time.Duration(len(r.candidates)))
	defer cancel()
	return r.probe(ctx, program)
}

func (r *ociRuntimes) says(program string, refused []error) string {
	detail := "a container of this binary ran with " + runtimeName(program)
	if len(refused) > 0 {
		detail += "; not used: " + strings.ReplaceAll(errors.Join(refused...).Error(), "\n", "; ")
	}
	return detail
}

func runtimeName(program string) string {
	if program == "" {
		return "runc"
	}
	return program
}
