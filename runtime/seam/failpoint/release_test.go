package failpoint_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The probe is a program with one place registered and one hit.
func buildProbe(t *testing.T, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds a program")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out := filepath.Join(t.TempDir(), "probe")
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", out}, args...), "./testdata/probe")...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
	}
	return out
}

func placesIn(t *testing.T, binary string) int {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(content, []byte("place-in-the-binary"))
}

func TestAReleaseBuildContainsNoFailpoint(t *testing.T) {
	if n := placesIn(t, buildProbe(t)); n != 0 {
		t.Errorf("the release build names %d failpoints", n)
	}
}

func TestABuildWithTheTagContainsThemAndObeysTheEnvironment(t *testing.T) {
	probe := buildProbe(t, "-tags", "failpoints")
	if placesIn(t, probe) == 0 {
		t.Error("the tagged build names no failpoint: the release test proves nothing")
	}
	run := func(env string) int {
		cmd := exec.Command(probe)
		cmd.Env = append(os.Environ(), "SKEIN_FAILPOINTS="+env)
		_ = cmd.Run()
		return cmd.ProcessState.ExitCode()
	}
	for env, want := range map[string]int{
		"":                                      0,
		"probe/hit-place-in-the-binary=error":   3,
		"probe/hit-place-in-the-binary=2*error": 0,
		"probe/hit-place-in-the-binary=kill":    -1, // a signal
		"probe/hit-place-in-the-binary=sleep":   2,  // refused at start
		"no-action":                             2,
	} {
		if got := run(env); got != want {
			t.Errorf("SKEIN_FAILPOINTS=%q: exit code %d, want %d", env, got, want)
		}
	}
}
