package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ends are the codes that only end a condition: none stands.
var ends = []string{CodeSteady, CodeSilenceOver, CodeClockAgrees, CodeAgentBack}

func TestEveryCodeThatStandsIsRanked(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		code, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		codes++
		if slices.Contains(telling, code) == slices.Contains(ends, code) {
			t.Errorf("%s (%s) is to be in telling, or among those that end a condition", spec.Names[0].Name, code)
		}
		return true
	})
	if codes != len(telling)+len(ends) {
		t.Errorf("%d codes, %d stand and %d end", codes, len(telling), len(ends))
	}
}
