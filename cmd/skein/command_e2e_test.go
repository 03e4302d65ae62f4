//go:build e2e

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"skein/agent/api/types"
)

// skein runs the binary on one host of the lab, as an operator would.
func (f *fleetUnderTest) skein(via string, args ...string) (stdout, stderr string, exit int) {
	f.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(f.Context(), os.Getenv("SKEIN_BINARY"),
		append(args, "--lab", f.lab.Name(), "--via", via)...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		f.Fatal(err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

// step is one command and what it must say: parts of standard output, or of
// standard error for one that fails.
type step struct {
	args string
	exit int
	say  []string
}

func (f *fleetUnderTest) steps(via string, all ...step) {
	f.Helper()
	for _, s := range all {
		out, complaints, exit := f.skein(via, strings.Fields(s.args)...)
		if exit != s.exit {
			f.Fatalf("skein %s ended with %d: %s%s", s.args, exit, out, complaints)
		}
		for _, want := range s.say {
			if !strings.Contains(out+complaints, want) {
				f.Errorf("skein %s does not say %q:\n%s%s", s.args, want, out, complaints)
			}
		}
	}
}

// workerCarriesCommands: a fourth host is a worker, and every command works
// through it, although its own certificate may change nothing.
func (f *fleetUnderTest) workerCarriesCommands() {
	worker, err := f.lab.Add(f.Context(), "b")
	f.must(err)
	f.awaitReady(worker, 4, 3)
	file := filepath.Join(f.TempDir(), "taskdef.json")
	def := webTaskDefinition(f.image)
	def["family"] = "cli"
	def["containerDefinitions"].([]any)[0].(map[string]any)["logConfiguration"] = map[string]any{"logDriver": "awslogs"}
	text, err := json.Marshal(def)
	f.must(err)
	f.must(os.WriteFile(file, text, 0o600))

	f.steps(worker,
		step{"hosts", 0, []string{worker, "worker"}},
		step{"taskdef register --strict " + file, 1, []string{"logConfiguration: mapped", "strict"}},
		step{"taskdef register --client-token once " + file, 0,
			[]string{"cli:1", "warning: containerDefinitions[0].logConfiguration"}},
		step{"taskdef register --client-token once " + file, 0, []string{"cli:1"}},
		step{"service create cli --task-definition cli -n 2", 0, []string{
			"created cli/1", "defaults taken:", "deploymentConfiguration.minimumHealthyPercent", "100",
			"deploymentConfiguration.maximumPercent", "200", "spread over zones"}},
		step{"service create cli --task-definition cli -n 2", 1, []string{"exists"}},
		step{"service scale cli 3", 0, []string{"desired count is 3"}},
		step{"service update cli --min-percent 50 --force", 0, []string{"cli is now cli/2"}},
	)
	f.awaitHealthy("h1", "cli", 3)
	ran, complaints, _ := f.skein(worker, "run", "cli:1", "-n", "2", "--started-by", "test")
	ids := strings.Fields(ran)
	if len(ids) != 2 {
		f.Fatalf("run printed %q %s", ran, complaints)
	}
	f.steps(worker,
		step{"stop " + ids[0] + " --reason enough", 0, []string{ids[0]}},
		step{"stop nothing-like-this", 1, []string{"not found"}},
		step{"hosts cordon h2 --why disk", 0, []string{"h2"}},
		step{"hosts uncordon h2", 0, []string{"h2"}},
		step{"service delete cli", 1, []string{"desired count is 3"}},
		step{"service delete cli --force", 0, []string{"being removed"}},
		step{"stop " + ids[1], 0, nil},
		step{"hosts forget " + worker, 1, []string{"is ready"}},
	)
	f.eventually("the stopped task says why", func() (string, bool) {
		task, err := get[types.Task](f, "h1", "/v1/tasks/"+ids[0])
		return fmt.Sprintf("%+v %v", task, err), err == nil && task.Last == "STOPPED" &&
			strings.Contains(task.Reason, "enough")
	})
	f.must(f.lab.Kill(f.Context(), worker))
	f.steps("h1", step{"hosts forget --force " + worker, 0, []string{"joins anew"}})
	f.eventually("the forgotten host is no longer listed", func() (string, bool) {
		out, _, _ := f.skein("h2", "hosts")
		return out, !strings.Contains(out, worker)
	})
	f.awaitHealthy("h1", "web", 6)
}
