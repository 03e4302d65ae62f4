package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"skein/agent/api/types"
	"skein/cmd/skein/lab"
	"skein/raftfsm/fleet"
)

func TestNamesCannotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out, "NAME", "WHY")
	table.row("a\x1b]0;title\x07b", "c\nd\u202ee")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07\u202e") || strings.Count(got, "\n") != 2 {
		t.Errorf("printed %q", got)
	}
}

func TestAges(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for want, since := range map[string]time.Duration{"0s": -time.Minute, "90s": 90 * time.Second, "3m": 3 * time.Minute,
		"5h": 5 * time.Hour, "3d": 75 * time.Hour} {
		if got := ago(types.Stamp(fleet.TimeOf(now.Add(-since))), now); got != want {
			t.Errorf("%s ago reads %q, want %q", since, got, want)
		}
	}
	if got := ago(0, now); got != "-" {
		t.Errorf("no time reads %q", got)
	}
}

func TestWhyATaskIsAsItIs(t *testing.T) {
	code := 137
	tests := map[string]struct {
		task types.Task
		want string
	}{
		"a pending task says all that it waits for": {types.Task{Last: "PENDING",
			Conditions: []types.Condition{{Message: "no room"}, {Message: "starts fail"}}}, "no room; starts fail"},
		"a stopped task says code, reason and exit": {
			types.Task{Last: "STOPPED", StopCode: "UserInitiated", Reason: "by hand",
				Containers: []types.Container{{Name: "web", ExitCode: &code}}},
			"UserInitiated: by hand [web exit 137]"},
		"a running task says nothing": {types.Task{Last: "RUNNING"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := why(&tt.task); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnAlarmNamesBothMachines(t *testing.T) {
	var out bytes.Buffer
	printAlarms(&out, types.Host{Name: "h1"},
		types.Host{Name: "h4", Addr: "10.0.0.4:7700", Clone: &types.Clone{Addr: "10.0.0.9:7700"}})
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "h4 runs at 10.0.0.4:7700") ||
		!strings.Contains(got, "at 10.0.0.9:7700") {
		t.Errorf("printed %q", got)
	}
}

func TestTheStateOfAHost(t *testing.T) {
	tests := map[string]struct {
		host types.Host
		want string
	}{
		"a host that is well":                   {types.Host{State: "ready", Gossip: "alive"}, "ready"},
		"a host whose agent is down":            {types.Host{State: "ready", Gossip: "failed"}, "ready, not heard"},
		"a host that is dead is not said twice": {types.Host{State: "silent", Gossip: "failed"}, "silent"},
		"a cordoned host whose agent stands still": {types.Host{State: "ready", Gossip: "failed", Cordon: &types.Cordon{}},
			"ready, not heard, cordoned"},
		"a host whose disk was copied": {types.Host{State: "ready", Clone: &types.Clone{}},
			"ready, cloned disk?"},
		"a host whose agent is refused": {types.Host{State: "ready", Gossip: "alive", TooOld: &types.TooOld{}},
			"ready, agent too old"},
		"a host that gossip knows nothing of (yet)": {types.Host{State: "ready", Gossip: "unknown"}, "ready"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := hostState(&tt.host); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestATableWithoutAHeadingHasNoEmptyFirstLine(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out)
	table.row("field", "value")
	if err := table.flush(); err != nil || out.String() != "field  value\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}

func TestColumnsStandBelowEachOtherWhereRowsHaveFewerCells(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out, "GROUP", "SHARE", "HEALTHY", "SERVICE")
	table.row("shop-blue", "100 %", "3/3", "shop")
	table.row("  shop/1", "")
	table.row("a-group-of-a-longer-name", "0 %", "", "shop")
	if err := table.flush(); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"GROUP                     SHARE  HEALTHY  SERVICE",
		"shop-blue                 100 %  3/3      shop",
		"  shop/1",
		"a-group-of-a-longer-name  0 %             shop",
		"",
	}, "\n")
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
}

func TestTheClientTokenOfAServiceComesFromFlagFileOrChance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "service.json")
	if err := os.WriteFile(file, []byte(`{"desiredCount": 2, "clientToken": "of-the-file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ flag, file, want string }{
		"a flag wins over the file":   {"of-the-flag", file, "of-the-flag"},
		"the file serves without one": {"", file, "of-the-file"},
		"otherwise one is made":       {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := write{ClientToken: tt.flag}
			_, body, err := (&serviceFlags{File: tt.file}).prepare(t.Context(), &target{Socket: "/nowhere"}, &w, "web")
			if err != nil {
				t.Fatal(err)
			}
			if _, twice := body["clientToken"]; twice || body["serviceName"] != "web" {
				t.Errorf("body %v", body)
			}
			if tt.want != "" && w.ClientToken != tt.want || w.ClientToken == "" {
				t.Errorf("token %q, want %q", w.ClientToken, tt.want)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want int
	}{
		"a refused command line": {&usageError{errors.New("x")}, 2},
		"a machine that lacks":   {&lab.Missing{}, 2},
		"another program's own":  {&exitError{7}, 7},
		"anything else":          {errors.New("x"), 1},
	} {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("%s: exit code %d, want %d", name, got, tt.want)
		}
	}
}

func TestWhatTheCallerCanMendEndsWithTwo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "agent.toml")
	if err := os.WriteFile(file, []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"an unknown command":                {"nonsense"},
		"an unknown flag":                   {"status", "--nonsense"},
		"an argument that is missing":       {"stop"},
		"a bad value of a key":              {"agent", "--zone", "a b"},
		"an unknown key in the file":        {"agent", "--config", file},
		"a configuration that is not there": {"agent", "--config", file + "2"},
		"the name of a lab that cannot be":  {"lab", "list", "--lab", "A/B"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), args); err == nil || exitCode(err) != exitUsage {
				t.Errorf("exit code %d: %v", exitCode(err), err)
			}
		})
	}
}

func TestALabThatIsNotThereHasNoSocket(t *testing.T) {
	l, err := lab.New(lab.Options{Name: "nothere"})
	if err != nil {
		t.Fatal(err)
	}
	for _, via := range []string{"", "h1"} {
		if socket, err := (&target{Via: via}).labSocket(l); err == nil || socket != "" {
			t.Errorf("via %q: %q, %v", via, socket, err)
		}
	}
}
