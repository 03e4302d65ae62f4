//go:build e2e

// Package systemd_test checks the units that are shipped with the programs
// that judge them on a real host.
package systemd_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// maxExposure is the highest exposure allowed, times ten, as systemd-analyze
// has it: a bare unit has 96, reliability needs what is left (see the unit).
const maxExposure = "50"

func TestE2EUnitIsHardened(t *testing.T) {
	out, err := analyze(t, "security", "--offline=yes", "--threshold="+maxExposure, "skein.service")
	if err != nil {
		t.Fatalf("exposure is above %s: %v\n%s", maxExposure, err, out)
	}
}

func TestE2EUnitsAreValid(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "skein")
	if err := os.WriteFile(program, []byte("#!/bin/true\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, unit := range []string{"skein.service", "skein.slice"} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.ReplaceAll(string(text), "/usr/bin/skein", program))
		if err := os.WriteFile(filepath.Join(folder, unit), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := analyze(t, "verify", "--man=no", filepath.Join(folder, "skein.service"),
		filepath.Join(folder, "skein.slice"))
	if err != nil || strings.Contains(out, folder) {
		t.Fatalf("systemd finds fault: %v\n%s", err, out)
	}
}

func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}
