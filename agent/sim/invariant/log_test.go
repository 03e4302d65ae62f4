package invariant

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"testing"

	"skein/agent/lead"
	"skein/raftfsm/fleet"
)

// commandsInCases are the types of package fleet that a file's type switches name.
func commandsInCases(t *testing.T, file string) map[string]bool {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if clause, ok := n.(*ast.CaseClause); ok {
			for _, e := range clause.List {
				if s, of := e.(*ast.SelectorExpr); of {
					named[s.Sel.Name] = true
				}
			}
		}
		return true
	})
	return named
}

func TestTheModelFollowsEveryKindOfCommand(t *testing.T) {
	followed := commandsInCases(t, "log.go")
	maps.Copy(followed, commandsInCases(t, "rule_effects.go"))
	maps.Copy(followed, commandsInCases(t, "apply_deployment.go"))
	for _, kind := range fleet.Kinds() {
		command, _, err := fleet.DecodeCommand(kind, func(any) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		name := reflect.TypeOf(command).Name()
		if followed[name] == notModelled[kind] {
			t.Errorf("%s: followed %v, named as one that changes nothing of the model %v", name, followed[name],
				notModelled[kind])
		}
	}
}

func TestThePlannersOfTheLoopAreKnownAsPlanners(t *testing.T) {
	for _, by := range lead.Names() {
		if !isPlanner(by) {
			t.Errorf("what %s does is taken for an operator's", by)
		}
	}
}
