package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// printed runs a command line and returns what it prints.
func printed(t *testing.T, ctx context.Context, args ...string) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	all := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(r) // what came before an error is what was printed
		all <- string(b)
	}()
	err = run(ctx, args)
	_ = w.Close() // nobody writes to it any more
	return <-all, err
}

func TestSimLivesAMonthAndDrawsIt(t *testing.T) {
	plot := filepath.Join(t.TempDir(), "month.svg")
	out, err := printed(t, t.Context(), "sim", "--hosts", "6", "--tasks", "30", "--days", "0.5", "--seed", "7", "--plot",
		plot)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"machines    6", "decisions", "tasks-placed", "rules checked", "worst gap",
		"simulated days"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in the report:\n%s", want, out)
		}
	}
	svg, err := os.ReadFile(plot)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(svg, new(any)); err != nil || !strings.Contains(string(svg), "Hosts by state") {
		t.Errorf("the picture is none: %v", err)
	}
}

func TestSimTellsTheStoryOfAFailureAndMakesItSmall(t *testing.T) {
	out, err := printed(t, t.Context(), "sim", "--life", "--seed", "1", "--mutation", "delta-is-whole", "--shrink")
	if err == nil || !strings.Contains(err.Error(), "seed 1") || !strings.Contains(err.Error(), "I10") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out, "BROKEN I10") || !strings.Contains(out, "# hosts") {
		t.Errorf("the story or the small life is missing:\n%s", out)
	}
}

func TestSimPlaysScenariosAndOperations(t *testing.T) {
	dir := t.TempDir()
	scenario, operations, wrong := filepath.Join(dir, "s.txt"), filepath.Join(dir, "d.txt"), filepath.Join(dir, "w.txt")
	for name, text := range map[string]string{
		scenario:   "> fleet h1=a h2=b\n> service web 2\n> steady web 1m\n",
		operations: "1s service web 1\n10s kill h1\n20s start h1\n", wrong: "1s dance h1\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := printed(t, t.Context(), "sim", "--scenario", scenario); err != nil ||
		!strings.Contains(out, "web: placed") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := printed(t, t.Context(), "sim", "--life", "--seed", "3", "--operations", operations); err != nil ||
		!strings.Contains(out, "kill") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := printed(t, t.Context(), "sim", "--verbs"); err != nil || !strings.Contains(out, "isolate HOST") {
		t.Errorf("%v\n%s", err, out)
	}
	var usage *usageError
	for _, args := range [][]string{
		{"--life", "--operations", wrong}, {"--life", "--operations", filepath.Join(dir, "none")},
		{"--scenario", filepath.Join(dir, "none")},
		{"--hosts", "0"}, {"--days", "0"}, {"--workload", "mine"},
	} {
		if _, err := printed(t, t.Context(), append([]string{"sim"}, args...)...); !errors.As(err, &usage) {
			t.Errorf("%v: got %v, want what the caller can mend", args, err)
		}
	}
}

func TestSimSoaksUntilItIsTold(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	out, err := printed(t, ctx, "sim", "--soak", filepath.Join(t.TempDir(), "soak"))
	if !strings.Contains(out, "states reached") {
		t.Errorf("%v\n%s", err, out)
	}
}
