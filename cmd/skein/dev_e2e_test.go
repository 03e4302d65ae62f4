//go:build e2e

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skein/cmd/skein/lab"
)

// TestE2EDevAgentIsAFleetOfOneHost starts `skein agent --dev` twice on a machine
// that has containerd and nothing else.
func TestE2EDevAgentIsAFleetOfOneHost(t *testing.T) {
	f := newFleet(t, lab.UpOptions{Zones: []string{"a"}, Empty: true})
	folder := t.TempDir()
	for _, start := range []string{"first", "second"} {
		ctx, stop := context.WithCancel(f.Context())
		ended := make(chan struct{})
		log, err := os.Create(filepath.Join(folder, start+".log"))
		f.must(err)
		go func() {
			defer close(ended)
			_, _ = f.lab.Exec(ctx, "h1", []string{os.Getenv("SKEIN_BINARY"), "agent", "--dev", "--name", "laptop",
				"--data-dir", filepath.Join(folder, "data"), "--operator-token-file", filepath.Join(folder, "operator.token")}, nil,
				nil, log)
		}()
		f.eventually(start+" start: the host is ready and leads", func() (string, bool) {
			out, err := os.Create(filepath.Join(folder, "status"))
			f.must(err)
			exit, err := f.lab.Exec(f.Context(), "h1", []string{os.Getenv("SKEIN_BINARY"), "status"}, nil, out, out)
			f.must(err)
			text, err := os.ReadFile(out.Name())
			f.must(err)
			return string(text), exit == 0 && strings.Contains(string(text), "leader laptop") &&
				strings.Contains(string(text), "1 ready of 1")
		})
		stop()
		select {
		case <-ended:
		case <-time.After(within):
			t.Fatal("the agent does not end")
		}
	}
}
