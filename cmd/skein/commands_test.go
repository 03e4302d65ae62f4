package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"skein/cmd/skein/config"
)

// leaves are all commands that do something, by their path.
func leaves(t *testing.T) map[string]*kong.Node {
	t.Helper()
	parser, err := newParser(t.Context(), &commands{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*kong.Node{}
	for _, leaf := range parser.Model.Leaves(false) {
		path := leaf.Path()
		if at := strings.Index(path, " <"); at >= 0 {
			path = path[:at]
		}
		all[strings.TrimPrefix(path, "skein ")] = leaf
	}
	if len(all) < 30 {
		t.Fatalf("only %d commands were found", len(all))
	}
	return all
}

// A variable in somebody's environment must not skip a guard or narrow a list.
func TestOnlyConnectionOutputAndConfigurationHaveVariables(t *testing.T) {
	connection := []string{"socket", "address", "lab", "via", "token", "operator-token-file", "json"}
	var keys []string
	for _, key := range config.Keys() {
		keys = append(keys, strings.NewReplacer(".", "-", "_", "-").Replace(key))
	}
	keys = append(keys, "config")
	configured := []string{"agent", "init", "join"}
	for path, leaf := range leaves(t) {
		for _, flag := range leaf.Flags {
			var want []string
			if slices.Contains(configured, path) && slices.Contains(keys, flag.Name) || !slices.Contains(configured, path) &&
				slices.Contains(connection, flag.Name) {
				want = []string{config.Env(flag.Name)}
			}
			if !slices.Equal(flag.Envs, want) {
				t.Errorf("%s --%s: variables %v, want %v", path, flag.Name, flag.Envs, want)
			}
		}
	}
}

func TestAVariableSkipsNoGuardAndNarrowsNoList(t *testing.T) {
	for name, value := range map[string]string{"SKEIN_FORCE": "true", "SKEIN_HOST": "h3", "SKEIN_ALL": "true",
		"SKEIN_CLIENT_TOKEN": "again", "SKEIN_STRICT": "true"} {
		t.Setenv(name, value)
	}
	t.Setenv("SKEIN_SOCKET", "/from/the/environment.sock")
	var all commands
	parser, err := newParser(t.Context(), &all)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"service", "delete", "web"}, {"tasks"}} {
		if _, err := parser.Parse(args); err != nil {
			t.Fatal(err)
		}
	}
	if all.Service.Delete.Force || all.Service.Delete.ClientToken != "" || all.Tasks.Host != "" || all.Tasks.All {
		t.Errorf("the environment steers commands: %+v %+v", all.Service.Delete, all.Tasks)
	}
	if all.Tasks.Socket != "/from/the/environment.sock" {
		t.Errorf("SKEIN_SOCKET is not read: %q", all.Tasks.Socket)
	}
}

// Each command shows an example, and the example is one of that command.
func TestEveryCommandHasAnExampleThatParses(t *testing.T) {
	for path, leaf := range leaves(t) {
		t.Run(path, func(t *testing.T) {
			example := leaf.Tag.Get("example")
			if example == "" || !strings.Contains(leaf.Detail, example) {
				t.Fatalf("no example in its help: %q", leaf.Detail)
			}
			args, ok := strings.CutPrefix(example, "skein ")
			if !ok {
				t.Fatalf("%q does not begin with skein", example)
			}
			parser, err := newParser(context.Background(), &commands{})
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := kong.Trace(parser, splitQuoted(args))
			if err != nil || parsed.Error != nil {
				t.Fatalf("%q: %v %v", example, err, parsed.Error)
			}
			if parsed.Selected() == nil || parsed.Selected().Target.Type() != leaf.Target.Type() {
				t.Errorf("%q is a command of %v", example, parsed.Selected())
			}
		})
	}
}

// splitQuoted splits a command line as a shell does that knows single quotes.
func splitQuoted(line string) []string {
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

func TestAnAgentOfNoFleetSaysHowToBeOfOne(t *testing.T) {
	err := run(t.Context(), []string{"agent", "--data-dir", t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "skein init") || !strings.Contains(err.Error(), "skein join") {
		t.Errorf("got %v", err)
	}
}
