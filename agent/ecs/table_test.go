package ecs

import (
	"bufio"
	"os"
	"strings"
	"testing"

	"skein/agent/ecs/strictjson"
)

var tables = map[string]*strictjson.Table{
	"taskdef": taskDefTable, "service": serviceTable, "run": runTable, "stop": stopTable,
}

// skeinsOwn are fields that ECS does not have.
var skeinsOwn = map[string][]string{
	"taskdef": {"containerDefinitions.healthCheck.httpGet", "containerDefinitions.healthCheck.httpGet.port",
		"containerDefinitions.healthCheck.httpGet.path"},
	"service": {"onDisconnect", "onDisconnect.stopAfterSeconds", "expose", "expose.containerPort", "expose.listen",
		"expose.protocol", "expose.host", "expose.path", "expose.healthCheckPath", "despiteAlarms",
		"deploymentConfiguration.lifecycleHooks.name",
		"deploymentConfiguration.lifecycleHooks.secretFile",
		"deploymentConfiguration.progressDeadlineSeconds",
		"deploymentConfiguration.analysis",
		"deploymentConfiguration.analysis.enable",
		"deploymentConfiguration.analysis.windowSeconds",
		"deploymentConfiguration.analysis.minRequests",
		"deploymentConfiguration.analysis.errorPercent",
		"deploymentConfiguration.analysis.latencyMs",
		"deploymentConfiguration.analysis.quantile",
		"deploymentConfiguration.analysis.ratio",
		"deploymentConfiguration.probe",
		"deploymentConfiguration.probe.enable",
		"deploymentConfiguration.probe.path",
		"deploymentConfiguration.probe.count",
		"deploymentConfiguration.probe.status",
		"deploymentConfiguration.probe.contains",
		"deploymentConfiguration.probe.latencyMs",
		"deploymentConfiguration.probe.host"},
	"stop": {"clientToken"},
}

func TestEveryFieldOfECSHasAFateAndNoOtherHas(t *testing.T) {
	known := map[string]map[string]bool{}
	for table := range tables {
		known[table] = map[string]bool{}
		for _, path := range skeinsOwn[table] {
			known[table][path] = true
		}
	}
	file, err := os.Open("testdata/ecs_fields.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		for _, name := range words[2:] {
			path := strings.TrimPrefix(words[1]+"."+name, "-.")
			known[words[0]][path] = true
			if _, ok := tables[words[0]].Lookup(path); !ok {
				t.Errorf("table %s has no row for %s", words[0], path)
			}
		}
	}
	for name, table := range tables {
		for _, f := range table.Fields() {
			if path := strings.ReplaceAll(f.Path, "[]", ""); !known[name][path] {
				t.Errorf("table %s has a row for %s, which neither ECS nor Skein knows", name, path)
			}
		}
	}
}

// TestEveryUsedFieldIsRead gives each used field a value of a type it cannot
// have: a reader that does not complain does not read it.
func TestEveryUsedFieldIsRead(t *testing.T) {
	readers := map[string]func([]byte) error{
		"taskdef": func(b []byte) error { _, err := ReadTaskDef(b, Options{}); return err },
		"service": func(b []byte) error { _, err := ReadUpdate(b, Options{}); return err },
		"run":     func(b []byte) error { _, err := ReadRun(b, Options{}); return err },
		"stop":    func(b []byte) error { _, err := ReadStop(b, Options{}); return err },
	}
	for name, table := range tables {
		for _, f := range table.Fields() {
			if f.Handling != strictjson.Used && f.Handling != strictjson.Mapped {
				continue
			}
			doc, at := nest(f.Path)
			err := readers[name]([]byte(doc))
			if err == nil || !strings.Contains(err.Error(), at+":") && !strings.Contains(err.Error(), at+"[") {
				t.Errorf("%s: %s was given a wrong type and nobody noticed: %v", name, at, err)
			}
		}
	}
}

// nest builds a document that holds only path, with a value of no allowed
// type: a list of a list of true.
func nest(path string) (doc, at string) {
	doc = "[[true]]"
	names := strings.Split(path, ".")
	for i := len(names) - 1; i >= 0; i-- {
		name, list := strings.CutSuffix(names[i], "[]")
		if list && i < len(names)-1 {
			doc = "[" + doc + "]"
		}
		doc = `{"` + name + `":` + doc + "}"
	}
	return doc, strings.TrimSuffix(strings.ReplaceAll(path, "[]", "[0]"), "[0]")
}

func TestRefusedFieldsAreRefusedAndIgnoredOnesWarned(t *testing.T) {
	for name, table := range tables {
		for _, f := range table.Fields() {
			if f.Handling == strictjson.Used {
				continue
			}
			doc, at := nest(f.Path)
			value, err := strictjson.Parse([]byte(doc), MaxDocument)
			if err != nil {
				t.Fatal(err)
			}
			p := &strictjson.Problems{}
			table.Audit(value, false, p)
			if f.Handling == strictjson.Refused {
				if err := p.Err(); err == nil || !strings.Contains(err.Error(), at+": "+f.Why) {
					t.Errorf("%s: %s must be refused with its reason, got %v", name, at, err)
				}
			} else if !warned(p, at, f.Why) {
				t.Errorf("%s: %s must be warned of with its reason, got %v", name, at, p.Warnings())
			}
			strict := &strictjson.Problems{}
			table.Audit(value, true, strict)
			if strict.Err() == nil {
				t.Errorf("%s: strict must refuse %s", name, at)
			}
		}
	}
}

func warned(p *strictjson.Problems, at, why string) bool {
	for _, w := range p.Warnings() {
		if w.Field == at && strings.Contains(w.Message, why) {
			return true
		}
	}
	return false
}
