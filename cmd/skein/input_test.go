package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"skein/cmd/skein/config"
)

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A command that waits for its input ends when it is told to.
func TestAnInterruptEndsTheWaitForInput(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"taskdef register PIPE", "service create -f PIPE",
		"service scale web 3 --operator-token-file PIPE"} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- run(ctx, append(strings.Fields(strings.ReplaceAll(line, "PIPE", pipe)), "--socket", "/nowhere"))
		}()
		cancel()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("%s: %v", line, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: does not end", line)
		}
	}
	// Readers that are left wait for a writer: let them go.
	if writer, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
		_ = writer.Close()
	}
}

func TestAServiceFileIsRefusedInWords(t *testing.T) {
	for text, want := range map[string]string{
		"":                               "the document ends too early",
		`{"a": 1`:                        "the document ends too early",
		"[]":                             "the document must be an object",
		"null":                           "the document must be an object",
		"\"x\"":                          "the document must be an object",
		"{} {}":                          "something follows the document's end",
		"{\n\"a\": 1,\nb}":               "line 3",
		"{\"a\": 1, \"a\": 2}":           "a: given twice in one object; keep one",
		`{"clientToken": 5}`:             "clientToken: must be a string",
		`{"deploymentConfiguration": 5}`: "deploymentConfiguration: the document must be an object",
		`{"deploymentConfiguration": {"x": 1, "x": 2}}`: "deploymentConfiguration: x: given twice",
	} {
		percent := 50
		flags := serviceFlags{File: writeFile(t, text), MinPercent: &percent}
		_, _, err := flags.prepare(t.Context(), &target{Socket: "/nowhere"}, &write{}, "web")
		var usage *usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), flags.File) ||
			strings.Contains(err.Error(), "Go value") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// What flags do not change reaches the agent as it was written, so that it is the
// agent that judges it.
func TestAServiceFileIsSentAsItWasWritten(t *testing.T) {
	percent := 50
	flags := serviceFlags{MinPercent: &percent, File: writeFile(t, `{"desiredCount": 12345678901234567890, "x": 1e400,
		"tags": [{"key": "a", "key": "b"}], "deploymentConfiguration": {"maximumPercent": 150.50}}`)}
	body, err := flags.body(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"deploymentConfiguration":{"maximumPercent":150.50,"minimumHealthyPercent":50},` +
		`"desiredCount":12345678901234567890,"serviceName":"web","tags":[{"key":"a","key":"b"}],"x":1e400}`
	if string(sent) != want {
		t.Errorf("sent %s\nwant %s", sent, want)
	}
}

func TestAnOperatorTokenFileThatIsNamedIsRead(t *testing.T) {
	for name, c := range map[string]struct{ file, token, want string }{
		"a file with a line end":       {writeFile(t, "secret\n"), "secret", ""},
		"a file that is not there":     {"/nowhere/token", "", "--operator-token-file: open /nowhere/token: no such file"},
		"a folder":                     {t.TempDir(), "", "is a directory"},
		"a file that is no token file": {writeFile(t, strings.Repeat("x", maxInput+1)), "", "are not read"},
	} {
		got, err := (&target{OperatorTokenFile: c.file}).operatorToken(t.Context())
		if got != c.token || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := os.Stat(config.OperatorTokenFile); errors.Is(err, os.ErrNotExist) {
		usual := target{OperatorTokenFile: config.OperatorTokenFile}
		if got, err := usual.operatorToken(t.Context()); got != "" || err != nil {
			t.Errorf("the usual file, which is not there: %q, %v", got, err)
		}
	}
}

func TestTheUsualTokenFileIsOne(t *testing.T) {
	for _, leaf := range leaves(t) {
		for _, flag := range leaf.Flags {
			if flag.Name == "operator-token-file" && flag.Default != config.OperatorTokenFile {
				t.Errorf("%s: %s, want %s", leaf.FullPath(), flag.Default, config.OperatorTokenFile)
			}
		}
	}
}

func TestWhereToAskMayBeTheAddressOrItsPage(t *testing.T) {
	for given, want := range map[string]string{
		"10.0.0.5": "http://10.0.0.5:7702", "10.0.0.5:80": "http://10.0.0.5:80", "h1.example": "http://h1.example:7702",
		"http://10.0.0.5:7702/": "http://10.0.0.5:7702", "fd00::5": "http://[fd00::5]:7702",
		"https://10.0.0.5:7702": "", "10.0.0.5:99999": "", ":::": "", "http://": "", "10.0.0.5/v1": "",
	} {
		got, err := statusURL(given)
		if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "like 10.0.0.5:7702") {
			t.Errorf("%q: %q, %v, want %q", given, got, err, want)
		}
	}
}

// 0 stands for "not given" in the request, so it must not be sent where it was given.
func TestATokenIsNotMadeOfZeros(t *testing.T) {
	for line, want := range map[string]string{
		"": "join 1 3600", "--uses 3 --for 2h": "join 3 7200", "--operator": "operator 0 3600",
		"--uses 0": "--uses: 0 is below 1", "--uses -1": "--uses: -1 is below 1", "--for 0s": "--for: 0s is below 1s",
		"--for 500ms": "--for: 500ms is below 1s", "--for -1h": "--for: -1h0m0s is below 1s",
		"--operator --uses 3": "--uses: an operator token",
	} {
		var all commands
		parser, err := newParser(t.Context(), &all)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = parser.Parse(append([]string{"token", "create"}, strings.Fields(line)...)); err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got, err := all.Token.Create.body()
		text, _ := json.Marshal([]any{got.Kind, got.Uses, got.ValidSeconds})
		said := strings.NewReplacer("[", "", "]", "", `"`, "", ",", " ").Replace(string(text))
		if err != nil {
			said = err.Error()
		}
		if !strings.HasPrefix(said, want) {
			t.Errorf("%s: %s, want %s", line, said, want)
		}
	}
}

func TestAGuardOfZeroIsAGuard(t *testing.T) {
	var none uint64
	if got := (&expectation{Expect: &none}).query().Get("expect"); got != "0" {
		t.Errorf("--expect 0 is sent as %q", got)
	}
	if got := (&expectation{}).query(); len(got) != 0 {
		t.Errorf("without a guard: %v", got)
	}
}
