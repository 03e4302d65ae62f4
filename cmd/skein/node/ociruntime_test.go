package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"skein/runtime/port"
	"skein/runtime/selfcheck"
)

func TestRuntimeCandidates(t *testing.T) {
	installed := func(programs ...string) func(string) (string, error) {
		return func(name string) (string, error) {
			if slices.Contains(programs, name) {
				if name[0] == '/' {
					return name, nil
				}
				return "/usr/bin/" + name, nil
			}
			return "", errors.New("not found")
		}
	}
	tests := map[string]struct {
		configured string
		look       func(string) (string, error)
		want       []string
		err        string
	}{
		"auto with crun tries it before runc": {"auto", installed("crun"), []string{"/usr/bin/crun", ""}, ""},
		"auto without crun is runc":           {"auto", installed(), []string{""}, ""},
		"runc is runc though crun is there":   {"runc", installed("crun"), []string{""}, ""},
		"crun is nothing else":                {"crun", installed("crun"), []string{"/usr/bin/crun"}, ""},
		"crun that is not there is an error":  {"crun", installed(), nil, "install it"},
		"a path is nothing else":              {"/opt/run", installed("/opt/run"), []string{"/opt/run"}, ""},
		"a path to nothing is an error":       {"/opt/run", installed(), nil, "/opt/run"},
		"auto trusts no program of its folder": {"auto", func(string) (string, error) { return "./crun", nil }, []string{""},
			""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := runtimeCandidates(tt.configured, tt.look)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) ||
				!slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestTheFirstRuntimeThatPassesTheProbeIsUsed(t *testing.T) {
	broken := errors.New("unknown version")
	down := fmt.Errorf("no socket: %w", port.ErrRuntimeDown)
	tests := map[string]struct {
		fails  map[string]error
		probed []string
		used   []string
		says   string // of the detail, or of the error
	}{
		"crun that passes is used, runc not probed": {nil, []string{"/crun"}, []string{"/crun"}, "ran with /crun"},
		"crun that fails gives way to runc": {map[string]error{"/crun": broken}, []string{"/crun", ""},
			[]string{""}, "ran with runc; not used: with /crun: unknown version"},
		"none that passes is a failure of both": {map[string]error{"/crun": broken, "": broken}, []string{"/crun", ""},
			nil, "with runc: unknown version"},
		"a containerd that is down changes no choice": {map[string]error{"/crun": down}, []string{"/crun"}, nil, "no socket"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var probed, used []string
			r := &ociRuntimes{
				candidates: []string{"/crun", ""},
				probe: func(_ context.Context, program string) error {
					probed = append(probed, program)
					return tt.fails[program]
				},
				use: func(program string) error { used = append(used, program); return nil },
			}
			detail, err := r.choose(t.Context())
			if (err == nil) != (tt.used != nil) || !slices.Equal(probed, tt.probed) || !slices.Equal(used, tt.used) {
				t.Errorf("probed %q, used %q, %v", probed, used, err)
			}
			if !strings.Contains(fmt.Sprint(detail, err), tt.says) {
				t.Errorf("says %q, %v; want %q", detail, err, tt.says)
			}
		})
	}
}

func TestAProbeThatHangsLeavesTimeForTheNextRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), selfcheck.Timeout)
		defer cancel()
		r := &ociRuntimes{candidates: []string{"/hangs", ""}, use: func(string) error { return nil }}
		r.probe = func(ctx context.Context, program string) error {
			if program == "" {
				return ctx.Err()
			}
			<-ctx.Done()
			return ctx.Err()
		}
		if detail, err := r.choose(ctx); err != nil {
			t.Errorf("%q, %v", detail, err)
		}
	})
}
