package porttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program is where test images keep the program of testdata/program. What it
// does is its first argument:
//
//	exit N       ends with code N
//	wait         runs until SIGTERM, then ends with 0
//	ignore       runs through SIGTERM
//	say TEXT     prints a line and ends
//	describe     prints its arguments, environment, user, groups, folder, limits and privileges
//	alloc MIB    touches memory and ends with 0
//	touch PATH   makes a file; ends with 3 when it cannot
//	hang         runs for ever, with a child that does too
//	flood        prints 1 MB/s until SIGTERM, then ends with 0
//	serve PORT   answers every TCP connection with its host name
//	init -- CMD  runs a command as a first process does for others
//	connect PATH dials a unix socket, @ for abstract; ends with 4 when refused
//
// A twin runs the same words by their meaning.
const Program = "/prog"

// BuildProgram compiles the program, static, and returns its path.
func BuildProgram(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "prog")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out,
		"skein/agent/converge/porttest/testdata/program")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build test program: %v\n%s", err, text)
	}
	return out
}
