package plan_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/agent/plan/deploy"
	"skein/agent/plan/hosts"
	"skein/agent/plan/placement"
	"skein/agent/plan/plantest"
	"skein/agent/plan/service"
)

var update = flag.Bool("update", false, "write what is instead of comparing; commit only changes you understand")

// Scenarios are scripts whose outcomes are checked in: text in, plans out.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := plantest.Run(t, string(want), hosts.Next, deploy.Next, service.Next, placement.Next)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
			}
		})
	}
}
