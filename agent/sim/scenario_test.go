package sim_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"skein/agent/sim"
)

var update = flag.Bool("update", false, "write what is instead of comparing; commit only changes you understand")

// The golden scenarios: commands and faults in, decisions and rows out, one for
// each rule that matters.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := sim.PlayScenario(string(want))
			if err != nil {
				t.Fatal(err)
			}
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

func TestAScenarioThatCannotBePlayedSaysWhy(t *testing.T) {
	for text, want := range map[string]string{
		"> kill h1":               "begins with a fleet",
		"> fleet":                 "has hosts",
		"> fleet h1=a\n> kill h9": "line 2: kill h9: there is no host \"h9\"",
		"> fleet h1=a\n> dance":   "no operation",
		"> fleet h1=a cpu=many":   "no number",
		"> fleet h1=a\n> run":     "how long",
	} {
		if _, err := sim.PlayScenario(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
}

func FuzzParseOperations(f *testing.F) {
	f.Add("1s kill h1\n# a word\n2m30s service web 3 cpu=64 check=5\n")
	f.Add("0s cut h1,h2 h3")
	f.Fuzz(func(t *testing.T, text string) {
		operations, err := sim.ParseOperations(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, d := range operations {
			b.WriteString(d.String() + "\n")
		}
		again, err := sim.ParseOperations(b.String())
		if err != nil || len(again) != len(operations) {
			t.Errorf("%q reads as %d operations, which do not read back: %v", text, len(operations), err)
		}
	})
}
