package main

import (
	"errors"
	"strings"
	"testing"
)

// What the command line refuses says which flag or argument, what is wrong with
// it in words, and where to read on.
func TestACommandLineIsRefusedInWords(t *testing.T) {
	for line, want := range map[string]string{
		"":                                        "expected one of \"status\"",
		"service scale web -5":                    "-5 is refused here: a number below 0 is never right",
		"service scale web x":                     `<desired>: "x" is refused: it must be a whole number`,
		"service scale web 1e3":                   `<desired>: "1e3" is refused: it must be a whole number`,
		"service scale web 0x10":                  `<desired>: "0x10" is refused: it must be a whole number`,
		"service scale web ''":                    `<desired>: "" is refused: it must be a whole number`,
		"service scale web 99999999999999999999":  "<desired>: 99999999999999999999 is too large",
		"service update web -n":                   "--desired-count: needs a whole number, like 3",
		"service update web -n x":                 `--desired-count: "x" is refused: it must be a whole number`,
		"service update web -n --strict":          "like 3, and what follows is the flag --strict",
		"service update web --expect -1":          "--expect: -1 is below 0",
		"service update web -f":                   "--file: needs a value",
		"service update web --task-definition ''": "--task-definition: must not be empty; leave it out instead",
		"tasks --host --json":                     "--host: needs a value, and what follows is the flag --json",
		"tasks --host ''":                         "--host: must not be empty; leave it out instead",
		"tasks ''":                                "<service>: must not be empty",
		"hosts forget ''":                         "<host>: must not be empty",
		"stop ''":                                 "<id>: must not be empty",
		"token create --for 1d":                   `--for: "1d" is refused: it must be a length of time`,
		"token create --for":                      "--for: needs a length of time",
		"events --after zz":                       `--after: "zz" is refused: it must be a whole number`,
	} {
		err := run(t.Context(), splitQuoted(line))
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("skein %s: %v, want %q", line, err, want)
			continue
		}
		for _, raw := range []string{"EOL", "bit int", "bit uint", " value but got ", "perhaps try"} {
			if strings.Contains(err.Error(), raw) {
				t.Errorf("skein %s: the parser's own words: %v", line, err)
			}
		}
		words, _, _ := strings.Cut(line, " ")
		if !strings.Contains(err.Error(), strings.TrimSpace("skein "+words)) || !strings.Contains(err.Error(), "--help") {
			t.Errorf("skein %s: does not say where its help is: %v", line, err)
		}
	}
}

// A number below 0 reaches the bounds of its field, which say what is allowed;
// leading zeros are no other base.
func TestNumbersAreReadAsPeopleWriteThem(t *testing.T) {
	for line, want := range map[string]int{"-n -5": -5, "-n=-5": -5, "-n5": 5, "-n=5": 5, "-n 010": 10,
		"--desired-count -5": -5, "--desired-count=-5": -5} {
		var all commands
		parser, err := newParser(t.Context(), &all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = parser.Parse(append([]string{"service", "update", "web"}, strings.Fields(line)...)); err != nil {
			t.Errorf("%s: %v", line, err)
		} else if got := *all.Service.Update.DesiredCount; got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}

// What a flag takes is said in words of this program, not in types of Go.
func TestNoFlagShowsATypeOfGo(t *testing.T) {
	for path, leaf := range leaves(t) {
		for _, flag := range leaf.Flags {
			if shown := flag.FormatPlaceHolder(); strings.Contains(shown, "INT-64") || shown == "STRING" || shown == "INT" {
				t.Errorf("%s --%s=%s", path, flag.Name, shown)
			}
		}
	}
}

func TestTextForPeopleMayBeEmpty(t *testing.T) {
	parser, err := newParser(t.Context(), &commands{})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.Parse([]string{"hosts", "cordon", "h1", "--why", ""})
	if err == nil {
		err = refuseEmpty(parsed)
	}
	if err != nil {
		t.Error(err)
	}
}
