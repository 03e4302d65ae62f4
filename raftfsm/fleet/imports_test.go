package fleet

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The core is pure: equal inputs, equal results, on every voter. Whatever reads
// a clock, chance, a file or the network may not be imported.
func TestCoreImportsOnlyPurePackages(t *testing.T) {
	allowed := []string{
		"bytes", "cmp", "crypto/subtle", "errors", "fmt", "iter", "math", "net/netip", "slices", "strconv",
		"strings", "sync", "unicode", "unicode/utf8", "github.com/tidwall/btree",
		"reflect", // of types: tags of fields
		"time",    // durations; its functions are checked below
	}
	for _, dir := range []string{".", "wire"} {
		also := []string{}
		if dir == "wire" {
			also = []string{"crypto/sha256", "encoding/binary", "hash", "io", "reflect", "github.com/fxamacker/cbor/v2",
				"skein/raftfsm/fleet"}
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(names), err)
		}
		for _, name := range names {
			if !strings.HasSuffix(name, "_test.go") {
				checkPure(t, name, slices.Concat(allowed, also))
			}
		}
	}
}

func checkPure(t *testing.T, name string, allowed []string) {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(allowed, path) {
			t.Errorf("%s imports %s", name, path)
		}
	}
	for _, clock := range clockUses(file) {
		t.Errorf("%s uses time.%s", name, clock)
	}
}

// clockUses lists the names of package time that a file uses and that read or
// wait for a clock.
func clockUses(file *ast.File) []string {
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			pkg, ok := sel.X.(*ast.Ident)
			if ok && pkg.Name == "time" &&
				slices.Contains([]string{"Now", "Since", "Until", "After", "Sleep", "NewTimer", "NewTicker", "Tick", "AfterFunc",
					"Local"}, sel.Sel.Name) {
				found = append(found, sel.Sel.Name)
			}
		}
		return true
	})
	return found
}
