package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// shared are packages that everybody may import: the nouns, what is asked of a host, and
// all of runtime/seam, which replaces or bounds what the standard library does.
func shared(imported string) bool {
	return slices.Contains([]string{
		"skein/raftfsm/fleet", "skein/raftfsm/fleet/text", "skein/raftfsm/fleet/wire", "skein/runtime/port",
	}, imported) || strings.HasPrefix(imported, "skein/runtime/seam/")
}

// rules say what a package may import of this module; the first rule whose
// prefix fits counts. Source: cmd/skein/DESIGN.md "Facts and verbs".
var rules = []struct {
	prefix, why string
	allowed     func(imported string) bool
}{
	{"skein/raftfsm/fleet/wire", "the codec knows the nouns only", only("skein/raftfsm/fleet")},
	{"skein/raftfsm/fleet", "the pure core imports nothing of ours", only()},
	{"skein/runtime/port", "port types know the nouns only", only("skein/raftfsm/fleet")},
	{"skein/runtime/seam", "seams import nothing of ours, not even each other", only()},
	{"skein/raftfsm/keeper", "the voter keeper is pure", shared},
	{"skein/raftfsm/voter", "which log a host holds is decided by pure rules", only("skein/raftfsm/fleet")},
	{"skein/raftfsm", "adapters know what is shared, never each other or agent", shared},
	{"skein/gossip", "adapters know what is shared, never each other or agent", shared},
	{"skein/runtime/ingress/http1", "the reader of messages knows nothing of ours", only()},
	{"skein/runtime/ingress/proxyproto", "the reader of headers knows nothing of ours", only()},
	{"skein/runtime/ingress/upstream", "pools know what is shared", shared},
	{"skein/runtime/ingress/route", "the choice of targets knows the nouns, and whose parts it asks about",
		only("skein/raftfsm/fleet", "skein/runtime/ingress/http1", "skein/runtime/ingress/upstream")},
	{"skein/runtime/ingress/metrics", "metrics read what the ingress says of itself",
		only("skein/raftfsm/fleet", "skein/runtime/ingress")},
	{"skein/runtime/ingress", "the ingress knows what is shared and its own parts", func(imported string) bool {
		return shared(imported) || strings.HasPrefix(imported, "skein/runtime/ingress/")
	}},
	{"skein/runtime", "adapters know what is shared, never each other or agent", shared},
	{"skein/agent/plan/plantest", "fixtures know plan, the core, and what effects answer",
		only("skein/raftfsm/fleet", "skein/agent/plan", "skein/agent/deployment")},
	{"skein/agent/plan", "planners know plan and the core",
		only("skein/raftfsm/fleet", "skein/raftfsm/fleet/text", "skein/agent/plan", "skein/agent/deployment")},
	{"skein/agent/deployment/runner", "runners know effects, not who plans them",
		only("skein/raftfsm/fleet", "skein/raftfsm/fleet/text", "skein/agent/deployment", "skein/agent/effects")},
	{"skein/agent/deployment", "what planner and runners say to each other is pure",
		only("skein/raftfsm/fleet", "skein/raftfsm/fleet/text", "skein/raftfsm/fleet/wire", "skein/agent/ecs/strictjson")},
	{"skein/agent/sim", "the simulator stands on twins, and steps what is pure", func(imported string) bool {
		return shared(imported) || strings.HasPrefix(imported, "skein/agent/") ||
			imported == "skein/raftfsm/keeper" || imported == "skein/raftfsm/voter" || imported == "skein/runtime/fake"
	}},
	{"skein/agent/api/types", "a client and the server share it: it knows the nouns only",
		only("skein/raftfsm/fleet", "skein/raftfsm/fleet/text")},
	{"skein/agent/api/page", "the page asks the API like everybody", only()},
	{"skein/agent/api/refusal", "refusals know errors and answers", only("skein/agent/api/types",
		"skein/agent/ecs/strictjson", "skein/raftfsm/fleet")},
	{"skein/agent/api/endpoint", "a declaration knows bodies and answers, not what serves them",
		only("skein/agent/api/types", "skein/agent/api/refusal", "skein/agent/ecs", "skein/agent/ecs/strictjson",
			"skein/raftfsm/fleet")},
	{"skein/agent/api/view", "answers are made of State, not by the server or by changes",
		only("skein/agent/api/types", "skein/agent/api/endpoint", "skein/agent/plan", "skein/agent/plan/placement",
			"skein/agent/plan/service",
			"skein/agent/ecs", "skein/agent/lead", "skein/raftfsm/fleet")},
	{"skein/agent/api/write", "commands are made of requests, not by the server",
		only("skein/agent/api/types", "skein/agent/api/endpoint", "skein/agent/api/refusal", "skein/agent/api/view",
			"skein/agent/ecs", "skein/agent/ecs/strictjson", "skein/raftfsm/fleet", "skein/raftfsm/fleet/text",
			"skein/runtime/port")},
	{"skein/agent/api/cutoff", "what a host says alone, it says without the server",
		only("skein/agent/api/types", "skein/agent/api/refusal", "skein/agent/api/view", "skein/raftfsm/fleet")},
	{"skein/agent", "agent declares the interfaces it needs; only cmd names an adapter", func(imported string) bool {
		return shared(imported) || strings.HasPrefix(imported, "skein/agent/")
	}},
	{"skein/cmd/skein/node", "wiring may import anything", func(string) bool { return true }},
	{"skein/cmd", "commands ask an agent by HTTP; only the wiring knows server and adapters", func(imported string) bool {
		server := strings.HasPrefix(imported, "skein/agent/api") && imported != "skein/agent/api/types"
		return shared(imported) || strings.HasPrefix(imported, "skein/cmd/skein/") ||
			strings.HasPrefix(imported, "skein/agent/") && !server
	}},
	{"skein/packaging", "packaging tests look from outside", only()},
}

func only(allowed ...string) func(string) bool {
	return func(imported string) bool { return slices.Contains(allowed, imported) }
}

func TestImportsRunOneWay(t *testing.T) {
	for _, pkg := range listPackages(t) {
		rule := slices.IndexFunc(rules, func(r struct {
			prefix, why string
			allowed     func(string) bool
		}) bool {
			return pkg.ImportPath == r.prefix || strings.HasPrefix(pkg.ImportPath, r.prefix+"/")
		})
		if rule < 0 {
			t.Errorf("%s: no rule says what it may import; add one or move it", pkg.ImportPath)
			continue
		}
		for _, imported := range pkg.Imports {
			if strings.HasPrefix(imported, "skein/") && !rules[rule].allowed(imported) {
				t.Errorf("%s imports %s: %s", pkg.ImportPath, imported, rules[rule].why)
			}
		}
	}
}

// Packages named ...test hold fixtures and cases; nothing that is built into a program
// may need them.
func TestOnlyTestsImportFixtures(t *testing.T) {
	for _, pkg := range listPackages(t) {
		for _, imported := range pkg.Imports {
			if strings.HasPrefix(imported, "skein/") && strings.HasSuffix(imported, "test") &&
				!strings.HasSuffix(pkg.ImportPath, "test") {
				t.Errorf("%s imports %s, which is for tests", pkg.ImportPath, imported)
			}
		}
	}
}

// The core and the planners must not reach for a clock, chance or a file, or
// replicas and replays would differ.
func TestTheCoreKnowsNoClockChanceOrFile(t *testing.T) {
	forbidden := []string{"math/rand", "math/rand/v2", "crypto/rand", "os", "net", "net/http", "syscall", "log",
		"log/slog"}
	for _, pkg := range listPackages(t) {
		if pkg.ImportPath != "skein/raftfsm/fleet" && !strings.HasPrefix(pkg.ImportPath, "skein/agent/plan") &&
			pkg.ImportPath != "skein/agent/deployment" &&
			pkg.ImportPath != "skein/raftfsm/keeper" && pkg.ImportPath != "skein/raftfsm/voter" &&
			pkg.ImportPath != "skein/agent/peer/detector" && pkg.ImportPath != "skein/agent/peer/intake" &&
			pkg.ImportPath != "skein/agent/peer/fence" && pkg.ImportPath != "skein/agent/peer/relay" {
			continue
		}
		if strings.HasSuffix(pkg.ImportPath, "/plantest") {
			continue
		}
		for _, imported := range pkg.Imports {
			if slices.Contains(forbidden, imported) {
				t.Errorf("%s imports %s", pkg.ImportPath, imported)
			}
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"agent", "raftfsm", "runtime", "gossip", "cmd", "packaging", "go.mod", "go.sum", "Makefile",
		"README.md", "bin"}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") && !slices.Contains(allowed, entry.Name()) {
			t.Errorf("%s does not belong at the top level", entry.Name())
		}
	}
	for _, folder := range []string{"agent", "runtime"} {
		entries, err := os.ReadDir("../../" + folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if strings.HasSuffix(entry.Name(), ".go") {
				t.Errorf("%s/%s: this folder holds only sub-packages", folder, entry.Name())
			}
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, pkg := range listPackages(t) {
		if pkg.Doc == "" && len(pkg.GoFiles) > 0 {
			t.Errorf("%s has no package doc", pkg.ImportPath)
		}
	}
}

type listedPackage struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func listPackages(t *testing.T) []listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,GoFiles,Imports",
		"skein/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listedPackage
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, pkg)
	}
}
