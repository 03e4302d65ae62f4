package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// accessFolder is a data folder whose access log was rotated once, and torn by a crash.
func accessFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{
		"access.log.1": `{"time":"2026-11-30T10:00:00Z","client":"10.0.0.1","method":"GET","host":"shop","path":"/1",` +
			`"status":200,"revision":"shop/1"}` + "\n" + `{"time":"2026-11-30T10:0` + "\n",
		"access.log": `{"time":"2026-11-30T10:00:01Z","client":"10.0.0.2","method":"GET","host":"shop","path":"/2",` +
			`"status":502,"revision":"shop/2","dropped":3}` + "\n" +
			`{"time":"2026-11-30T10:00:02Z","client":"10.0.0.3","method":"GET","host":"cart","path":"/3","status":0,` +
			`"revision":"cart/1"}` + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestTheNewestLinesOfTheAccessLogThatAreWanted(t *testing.T) {
	tests := map[string]struct {
		command accessLogCommand
		want    string // the paths
	}{
		"all, in order":        {accessLogCommand{Limit: 50}, "/1 /2 /3"},
		"the newest two":       {accessLogCommand{Limit: 2}, "/2 /3"},
		"those that failed":    {accessLogCommand{Limit: 50, Failed: true}, "/2 /3"},
		"those of one service": {accessLogCommand{Limit: 50, Service: "shop"}, "/1 /2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			newest, err := tt.command.newest(filepath.Join(accessFolder(t), "access.log"))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := tt.command.print(&out, newest); err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, line := range strings.Split(out.String(), "\n")[1:] {
				if at := strings.LastIndex(line, "/"); at >= 0 {
					paths = append(paths, line[at:])
				}
			}
			if got := strings.Join(paths, " "); got != tt.want {
				t.Errorf("%q, want %q, of\n%s", got, tt.want, out.String())
			}
		})
	}
}

func TestLinesThatWereNotWrittenAreTold(t *testing.T) {
	var out bytes.Buffer
	c := accessLogCommand{Limit: 50}
	newest, err := c.newest(filepath.Join(accessFolder(t), "access.log"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.print(&out, newest); err != nil || !strings.Contains(out.String(), "(3 more were not written)") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

func TestAHostWithoutAnAccessLogSaysWhy(t *testing.T) {
	_, err := (&accessLogCommand{Limit: 1}).newest(filepath.Join(t.TempDir(), "access.log"))
	if err == nil || !strings.Contains(err.Error(), "access_log.sample") {
		t.Errorf("%v", err)
	}
}
